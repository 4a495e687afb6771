"""
The listening socket, and a thread for each client.

DuckDB answers in the thread that asks and lets go of Python's lock meanwhile,
so a thread a client is what it takes; there are no more of them than
`ServeConfig.max_clients`, and whoever comes then is told so and goes.

Before: login.py. After: the network.
"""

import contextlib
import hmac
import logging
import secrets
import socket
import ssl
import threading
import time
from typing import Final

from pipeline.config import ServeConfig
from pipeline.errors import CrosspaneError, ServeError
from pipeline.serve.engine import Engine, Session
from pipeline.serve.pgwire import codec
from pipeline.serve.pgwire.codec import Wire
from pipeline.serve.pgwire.login import Cancelled, Doorkeeper, tell
from pipeline.serve.pgwire.session import Conversation
from pipeline.serve.refusals import OTHER

_log = logging.getLogger("crosspane.serve")
_BACKLOG: Final = 128
_SECRET_BYTES: Final = {0: 4, 2: 32}
"""Of a cancel key, by minor version of the protocol."""
_END_S: Final = 5.0
_LINGER_S: Final = 1.0
_LINGER_READS: Final = 16
_TOO_MANY: Final = "53300"


class Server:
    """
    Serves until it is closed.

    Parameters
    ----------
    engine
        Who answers.
    config
        Roles, limits, TLS.
    listen
        host:port; port 0 is any that is free.

    Raises
    ------
    ConfigError
        For a password or certificate that cannot be read.
    OSError
        If the address cannot be listened on.
    """

    def __init__(self, engine: Engine, config: ServeConfig, listen: str) -> None:
        self._engine = engine
        self._config = config
        self._door = Doorkeeper(config)
        self._lock = threading.Lock()
        self._sockets: dict[threading.Thread, socket.socket] = {}
        self._running: dict[int, tuple[bytes, Session]] = {}
        self._last = 0
        self._closed = threading.Event()
        host, _, port = listen.rpartition(":")
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listening = socket.create_server(
            (host, int(port)), family=family, backlog=_BACKLOG, reuse_port=False
        )
        self.address: tuple[str, int] = self._listening.getsockname()[:2]
        """Host and port it listens on."""
        self._thread = threading.Thread(target=self._accept, name="pgwire", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No more clients; those there are end what they do."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        with self._lock:
            clients = [*self._sockets.items()]
            sessions = [session for _, session in self._running.values()]
        for session in sessions:
            session.close()
        for _, connection in clients:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        until = time.monotonic() + _END_S
        for thread in (self._thread, *(thread for thread, _ in clients)):
            thread.join(max(0.0, until - time.monotonic()))

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                connection, address = self._listening.accept()
            except OSError:
                if self._closed.is_set():
                    return
                time.sleep(0.05)  # too many open files, most likely: others will end
                continue
            self._take(connection, str(address[0]))

    def _take(self, connection: socket.socket, address: str) -> None:
        thread = threading.Thread(
            target=self._serve, args=(connection, address), name="pgwire client", daemon=True
        )
        with self._lock:
            full = len(self._sockets) >= self._config.max_clients
            if not full:
                self._sockets[thread] = connection
        if full:
            _refuse(connection, self._config.max_clients)
            return
        try:
            thread.start()
        except RuntimeError:  # no more threads
            with self._lock:
                del self._sockets[thread]
            _refuse(connection, self._config.max_clients)

    def _serve(self, connection: socket.socket, address: str) -> None:
        wire = Wire(connection, max_message_bytes=self._config.max_message_bytes)
        wire.deadline = time.monotonic() + self._config.login_s
        wire.send_s = self._config.login_s
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._converse(wire, address)
        except ServeError as error:
            _log.info("%s: %s", address, error)
            _last_words(wire, error)
        except CrosspaneError as error:
            _log.error("%s: %s", address, error)
            _last_words(wire, ServeError("58000", str(error)))
        except (OSError, ssl.SSLError) as error:
            _log.info("%s: %s", address, error)
        except Exception as error:  # noqa: BLE001 - it ends one connection, not the server
            _log.exception("%s", address)
            _last_words(wire, ServeError(OTHER, type(error).__name__))
        finally:
            try:
                _close(wire.connection)
            finally:
                with self._lock:
                    self._sockets.pop(threading.current_thread(), None)

    def _converse(self, wire: Wire, address: str) -> None:
        client = self._door.admit(wire, address)
        if client is None:
            return
        if isinstance(client, Cancelled):
            self._cancel(client)
            return
        session = self._engine.open(client.role)
        secret = secrets.token_bytes(_SECRET_BYTES.get(client.minor, 4))
        with self._lock:
            self._last = number = self._last % 0x7FFF_FFFF + 1
            self._running[number] = secret, session
            self._sockets[threading.current_thread()] = wire.connection  # with TLS it is another
        try:
            tell(wire, number, secret)
            wire.deadline = None
            wire.send_s = session.max_time_s
            if not self._closed.is_set():
                Conversation(wire, session).run()
        finally:
            with self._lock:
                del self._running[number]
            session.close()

    def _cancel(self, asked: Cancelled) -> None:
        """End what another connection runs, if the key is the one it was given."""
        with self._lock:
            secret, session = self._running.get(asked.number, (b"", None))
        if session and hmac.compare_digest(secret, asked.secret):
            session.cancel()


def _refuse(connection: socket.socket, most: int) -> None:
    """Tell one more client than there may be, without waiting for it."""
    message = codec.error(
        ServeError(_TOO_MANY, f"sorry, too many clients already: {most}"), fatal=True
    )
    with contextlib.suppress(OSError):
        connection.setblocking(False)
        connection.send(message.to_wire())
    connection.close()


def _close(connection: socket.socket) -> None:
    """Say that it is the end, where TLS has a way to: without it, it might be an attack."""
    if isinstance(connection, ssl.SSLSocket):
        with contextlib.suppress(OSError, ValueError):
            connection.settimeout(_LINGER_S)
            connection.unwrap()
    with contextlib.suppress(OSError):
        connection.close()


def _last_words(wire: Wire, error: ServeError) -> None:
    """
    Tell a client why its connection ends.

    What it has sent is read, a little of it and a short while: closed with bytes
    unread, a connection is reset, and the client might not see the reason.
    """
    with contextlib.suppress(OSError, ValueError):
        wire.send_s = _LINGER_S
        wire.put(codec.error(error, fatal=True))
        wire.flush()
        wire.connection.shutdown(socket.SHUT_WR)
        wire.connection.settimeout(_LINGER_S)
        for _ in range(_LINGER_READS):
            if not wire.connection.recv(65_536):
                return
