"""Ports of 127.0.0.1 that nobody had a moment ago."""

import socket
from contextlib import ExitStack


def free_ports(count: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> list[int]:
    """So many, each another: all are held until the last is known."""
    with ExitStack() as stack:
        held = [stack.enter_context(socket.socket(type=kind)) for _ in range(count)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
