"""A gRPC input over a real socket to a real log, and clients to talk to it."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import grpc

from collectors import envelope as envelopes
from collectors.batch import Batcher
from collectors.config import BatchConfig
from collectors.envelope import Envelope, Header
from collectors.log import Place
from collectors.log.local import LocalReader, LocalWriter
from collectors.ship import Shipper


class GatedLog(LocalWriter):
    """A local log that can be made to stand still."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.gate = threading.Event()
        self.gate.set()

    def flush(self, timeout_s: float = 30.0) -> None:
        """Write when the gate is open."""
        self.gate.wait()
        super().flush(timeout_s)


class Running:
    """An input in its thread, as the agent runs it."""

    def __init__(
        self,
        root: Path,
        kind: str,
        receive: Callable[..., None],
        config: Any,
        *,
        batch: BatchConfig | None = None,
        queue_size: int = 64,
        epoch_ns: int = 1,
    ) -> None:
        header = Header(agent="a", cluster="east", network="n", kind=kind, epoch_ns=epoch_ns)
        self.root = root
        self.batcher = Batcher(header, batch or BatchConfig(max_age_ms=20))
        self.log = GatedLog(root)
        self.shipper = Shipper(self.log, key=b"a", queue_size=queue_size)
        self.stop = threading.Event()
        self.port = 0
        self._bound = threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(receive, config), daemon=True)

    def _run(self, receive: Callable[..., None], config: Any) -> None:
        try:
            receive(config, self.batcher, self.shipper, self.stop, self._on_bound)
        except BaseException as error:  # noqa: BLE001 raised again where the test waits
            self.error = error
            self._bound.set()

    def _on_bound(self, port: int) -> None:
        self.port = port
        self._bound.set()

    def __enter__(self) -> Self:
        self.shipper.start()
        self._thread.start()
        assert self._bound.wait(10)
        if self.error is not None:
            self.__exit__()
            raise self.error
        return self

    def end(self) -> list[Envelope]:
        """Stop as the agent does; all the log holds then."""
        self.stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()
        self.shipper.close()
        return envelopes_of(self.root)

    def __exit__(self, *_: object) -> None:
        self.log.gate.set()
        self.stop.set()
        self._thread.join(20)
        self.shipper.close()
        self.log.close()

    def send(self, method: str, messages: Iterator[bytes] | list[bytes]) -> bytes:
        """One stream of messages from a client of its own; the answer."""
        options = [("grpc.use_local_subchannel_pool", 1)]  # a connection of its own
        with grpc.insecure_channel(f"127.0.0.1:{self.port}", options) as channel:
            answer: bytes = channel.stream_unary(method)(iter(messages), timeout=30)
            return answer


def envelopes_of(root: Path) -> list[Envelope]:
    """All envelopes of the proxies' topic, in order."""
    with LocalReader(root) as reader:
        reader.seek({Place("crosspane.v1.proxy.east", 0): 0})
        found = []
        while messages := reader.poll(1 << 30, 0):
            found += messages
        return [envelopes.decode(message.value) for message in found]


def rows_of(found: list[Envelope]) -> list[tuple[str, bytes]]:
    """Exporter and payload of every row."""
    return [(row["exporter"], row["payload"]) for one in found for row in one.payloads.to_pylist()]


def certificates(folder: Path) -> dict[str, Path]:
    """An authority, and a certificate of it for ``localhost`` that serves both sides."""
    files = {name: folder / f"{name}.pem" for name in ("ca", "ca_key", "cert", "key", "request")}
    extensions = folder / "extensions"
    extensions.write_text("subjectAltName=DNS:localhost\n")
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
    for arguments in (
        [
            "req",
            "-x509",
            *new_key,
            "-subj",
            "/CN=ca",
            "-keyout",
            files["ca_key"],
            "-out",
            files["ca"],
        ],
        ["req", *new_key, "-subj", "/CN=x", "-keyout", files["key"], "-out", files["request"]],
        [
            *("x509", "-req", "-in", files["request"], "-CA", files["ca"]),
            *("-CAkey", files["ca_key"], "-extfile", extensions, "-out", files["cert"]),
        ],
    ):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
    return files
