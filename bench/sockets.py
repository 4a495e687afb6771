"""
TCP connections of a node looked at: nothing happened on them, and something on all.

The connections are this process's own, over loopback. Ours goes as far as the batch.
The peer is the kernel's own part: the same answer read, and thrown away.
"""

import contextlib
import resource
import socket
import time

import msgspec

from bench.measure import alternate, report
from collectors.batch import Batcher
from collectors.config import BatchConfig, SocketsInput
from collectors.envelope import Header
from collectors.inet_diag import open_diag, request
from collectors.sockets import Sample, Watched

CONNECTIONS = 4_900
"""Each is two sockets; a process may have 10,240 files open, or 20,000."""


_DELAYED_ACK_S = 0.1
"""After so long nothing more happens by itself."""


def main() -> None:
    """Print the comparison."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    batcher = Batcher(Header("node", "east", "net", "sockets"), BatchConfig())
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=4_096))
        pairs = []
        for _ in range(CONNECTIONS):
            client = stack.enter_context(socket.create_connection(listening.getsockname()))
            pairs.append((client, stack.enter_context(listening.accept()[0])))

        def tell(name: str, sample: Sample) -> None:
            batcher.add(time.time_ns(), name, msgspec.json.encode(sample))

        watched = stack.enter_context(
            contextlib.closing(Watched("", SocketsInput(loopback=True), tell, batcher.drop))
        )
        ask, hear = open_diag("", 65_536)
        stack.enter_context(ask)
        stack.enter_context(hear)
        watched.look()

        def talk() -> None:
            for client, server in pairs:
                client.send(b"?")
                server.recv(1)

        def busy() -> None:
            talk()
            time.sleep(_DELAYED_ACK_S)
            watched.look()

        def thrown_away() -> None:
            for family in (socket.AF_INET, socket.AF_INET6):
                ask.send(request(family))
                while not _is_last(ask.recv(1 << 18)):
                    pass

        count = 2 * CONNECTIONS
        report(
            f"sockets: {count} of them, looked at",
            alternate(
                {
                    "crosspane, idle": (count, watched.look),
                    "the kernel's answer, thrown away": (count, thrown_away),
                    "the traffic": (count, talk),
                    "crosspane, all busy, and the traffic": (count, busy),
                }
            ),
        )


def _is_last(chunk: bytes) -> bool:
    return int.from_bytes(chunk[4:6], "little") == 3  # NLMSG_DONE


if __name__ == "__main__":
    main()
