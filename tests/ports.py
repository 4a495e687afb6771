"""
Ports of 127.0.0.1 that nobody had a moment ago, nor gets by connecting somewhere.

The kernel gives outgoing connections ports from 32768 on: of those, any may be taken by the time
that a broker or a database, which starts for some seconds, listens on it.
"""

import errno
import random
import socket
from contextlib import ExitStack

_FIRST, _LAST = 20_000, 32_767


def free_ports(count: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> list[int]:
    """So many, each another: all are held until the last is known."""
    with ExitStack() as stack:
        return [_held(stack.enter_context(socket.socket(type=kind))) for _ in range(count)]


def _held(one: socket.socket) -> int:
    dice = random.SystemRandom()
    while True:
        port = dice.randint(_FIRST, _LAST)
        try:
            one.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return port
