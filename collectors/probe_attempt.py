"""
One try to reach a place: how far it came, how long each step took, and whose certificate was shown.

    name → address → connection → handshake → first byte
    resolve_ms       connect_ms   tls_ms      first_byte_ms     each by a monotonic clock

A step that was not reached, or not needed, is null. Of a name with several
addresses a try takes one, the next try the next. A certificate is shipped as it
came (DER), also one that is not trusted: that is asked for a second time, by a
handshake that trusts all. Who reads it is the pipeline.

A server that does not want the client's certificate says so, by TLS 1.3, only
after the handshake: as long as that took is waited for its word.

Before: probe.py. After: probe.py.
"""

import asyncio
import base64
import errno
import os
import socket
import ssl
import time
from ipaddress import ip_address
from typing import Any, Final, Literal

import msgspec

from collectors.config import ProbeTarget

Outcome = Literal[
    "ok",
    "refused",  # a reset, or an ICMP message, in place of a connection
    "timeout",  # no end in time, at whatever step
    "unreachable",  # there is no way to the address
    "reset",  # connected, then cut
    "name_unknown",  # the name has no address, or its server did not say
    "tls_failed",  # no TLS there, no version or cipher in common, or our certificate is refused
    "certificate_untrusted",
    "certificate_expired",
    "name_mismatch",  # trusted, and somebody else's
    "status_unexpected",
    "other",
]

_UNREACHABLE: Final = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)
_RAISED: Final[tuple[tuple[tuple[type[Exception], ...], Outcome], ...]] = (
    ((socket.gaierror, UnicodeError), "name_unknown"),
    ((ssl.SSLEOFError, ssl.SSLZeroReturnError, asyncio.IncompleteReadError), "reset"),
    ((ConnectionResetError, ConnectionAbortedError, BrokenPipeError), "reset"),
    ((ssl.SSLError,), "tls_failed"),
    ((ConnectionRefusedError,), "refused"),
)
"""What a socket raises to its outcome, the first that fits."""
_VERIFY_CODES: Final[dict[int, Outcome]] = {
    10: "certificate_expired",  # X509_V_ERR_CERT_HAS_EXPIRED
    62: "name_mismatch",  # X509_V_ERR_HOSTNAME_MISMATCH
    64: "name_mismatch",  # X509_V_ERR_IP_ADDRESS_MISMATCH
}
"""Why OpenSSL does not accept a certificate; anything else is a lack of trust."""
_OF_CERTIFICATES: Final = ("certificate_untrusted", "certificate_expired", "name_mismatch")
_HEAD_BYTES: Final = 65_536
_CERTIFICATE_BYTES: Final = 32_768
"""A larger one is not shipped."""
_ECHO_BYTES: Final = 16
_ERROR_CHARACTERS: Final = 200
_WORD_S: Final = 0.05
"""At least so long is waited for a server to refuse a certificate."""


class Attempt(msgspec.Struct, omit_defaults=True):
    """What one try gave: a payload is this as JSON. Durations in milliseconds."""

    target: str
    kind: str
    address: str
    attempt: int
    start_ns: int
    outcome: Outcome
    error: str | None = None
    server_name: str | None = None
    peer: str | None = None
    resolve_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    first_byte_ms: float | None = None
    total_ms: float | None = None
    status: int | None = None
    tls_version: str | None = None
    certificate: str | None = None


class _AnswerError(Exception):
    """There is an answer, and not the one that is wanted."""

    def __init__(self, outcome: Outcome, detail: str) -> None:
        super().__init__(detail)
        self.outcome: Outcome = outcome


async def attempt(target: ProbeTarget, tls: ssl.SSLContext | None, number: int) -> Attempt:
    """
    Try once; whatever happens is a result.

    Parameters
    ----------
    tls
        Whom to trust and what to show, for a target with TLS.
    number
        Of this try, from 1 on: which of several addresses it takes.
    """
    done = Attempt(
        target=target.name,
        kind=target.kind,
        address=target.address or target.url.partition("?")[0],
        attempt=number,
        start_ns=time.time_ns(),
        outcome="ok",
        server_name=_server_name(target),
    )
    try_ = _Try(target, tls, done)
    try:
        async with asyncio.timeout(target.timeout_s):
            await try_.run()
    except TimeoutError:
        done.outcome, done.error = "timeout", f"no end in {target.timeout_s:g} s: {try_.step()}"
    except _AnswerError as error:
        done.outcome, done.error = error.outcome, str(error)
    except (OSError, ValueError, asyncio.IncompleteReadError) as error:
        done.outcome, done.error = _outcome(error), str(error) or type(error).__name__
    done.total_ms = try_.total_ms()
    if done.error is not None:
        done.error = done.error[:_ERROR_CHARACTERS]
    if done.outcome in _OF_CERTIFICATES and done.certificate is None:
        await try_.look()
    return done


def _outcome(error: BaseException) -> Outcome:
    """
    Outcome of what a socket raised.

    >>> _outcome(ConnectionRefusedError())
    'refused'
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFY_CODES.get(error.verify_code, "certificate_untrusted")
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return "unreachable"
    return next((name for kinds, name in _RAISED if isinstance(error, kinds)), "other")


class _Try:
    def __init__(self, target: ProbeTarget, tls: ssl.SSLContext | None, done: Attempt) -> None:
        self._target = target
        self._tls = tls
        self._done = done
        self._began_s = time.monotonic()
        self._until_s = self._began_s + target.timeout_s
        self._ended_s: float | None = None
        self._place: tuple[socket.AddressFamily, Any] | None = None
        self._of = (target.server_name or target.place()[0]) if tls is not None else None

    def total_ms(self) -> float:
        """From the start to the end of what is measured, or to the failure."""
        return ((self._ended_s or time.monotonic()) - self._began_s) * 1e3

    def step(self) -> str:
        """Say which step it is at."""
        done = self._done
        if done.peer is None:
            return "the name is looked up"
        if done.connect_ms is None:
            return "not connected"
        return "handshake" if self._tls and done.tls_ms is None else "waits for the answer"

    async def run(self) -> None:
        """All steps; raises what stops them."""
        await self._resolve()
        sock = await self._connect()
        if self._target.kind == "tcp" and not self._target.echo:
            sock.close()
            return
        reader, writer = await self._open(sock)
        try:
            if self._tls is not None:
                self._read_session(writer)
            if self._target.kind == "http":
                await self._request(reader, writer)
            elif self._target.echo:
                await self._echo(reader, writer)
            elif self._tls is not None:
                self._ended_s = time.monotonic()
                await self._hear_refusal(reader)
        finally:
            writer.transport.abort()

    async def look(self) -> None:
        """Ask for the certificate that was not trusted, by a handshake that trusts any."""
        context = _trusting_any(self._target)
        try:
            async with asyncio.timeout(max(self._until_s - time.monotonic(), _WORD_S)):
                sock = await self._connected()
                _, writer = await asyncio.open_connection(
                    sock=sock, ssl=context, server_hostname=self._of
                )
                self._keep_certificate(writer.get_extra_info("ssl_object"))
                writer.transport.abort()
        except (OSError, ValueError):
            return  # what is known of it is the failure

    async def _resolve(self) -> None:
        host, port = self._target.place()
        if not _is_address(host):
            loop = asyncio.get_running_loop()
            began_s = time.monotonic()
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            self._done.resolve_ms = (time.monotonic() - began_s) * 1e3
        else:
            flags = socket.AI_NUMERICHOST
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
        family, _, _, _, address = found[(self._done.attempt - 1) % len(found)]
        self._place = (family, address)
        shown = str(address[0]) if family == socket.AF_INET else f"[{address[0]}]"
        self._done.peer = f"{shown}:{int(address[1])}"

    async def _connect(self) -> socket.socket:
        began_s = time.monotonic()
        sock = await self._connected()
        self._done.connect_ms = (time.monotonic() - began_s) * 1e3
        return sock

    async def _connected(self) -> socket.socket:
        assert self._place is not None  # noqa: S101 resolved before
        family, address = self._place
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, address)
        except BaseException:
            sock.close()
            raise
        return sock

    async def _open(self, sock: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        began_s = time.monotonic()
        opened = await asyncio.open_connection(
            sock=sock,
            limit=_HEAD_BYTES,
            ssl=self._tls,
            server_hostname=self._of,
        )
        if self._tls is not None:
            self._done.tls_ms = (time.monotonic() - began_s) * 1e3
        return opened

    def _read_session(self, writer: asyncio.StreamWriter) -> None:
        session = writer.get_extra_info("ssl_object")
        self._done.tls_version = session.version()
        self._keep_certificate(session)
        wanted = self._target.identity
        shown = dict[str, Any](session.getpeercert() or {}).get("subjectAltName", ())
        identities = [value for kind, value in shown if kind == "URI"]
        if wanted and wanted not in identities:
            raise _AnswerError("name_mismatch", f"is {', '.join(identities) or 'nobody by SPIFFE'}")

    def _keep_certificate(self, session: ssl.SSLObject) -> None:
        der = session.getpeercert(binary_form=True)
        if der and len(der) <= _CERTIFICATE_BYTES:
            self._done.certificate = base64.b64encode(der).decode()

    async def _hear_refusal(self, reader: asyncio.StreamReader) -> None:
        """Wait for an alert; what the server says by itself, or nothing, is fine."""
        wait_s = max((self._done.tls_ms or 0.0) / 1e3, _WORD_S)
        wait_s = min(wait_s, (self._until_s - time.monotonic()) / 2)
        try:
            async with asyncio.timeout(wait_s):
                if not await reader.read(1):
                    raise _AnswerError("reset", "closed after the handshake")
        except TimeoutError:
            return

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        began_s = time.monotonic()
        sent = os.urandom(_ECHO_BYTES)
        writer.write(sent)
        answer = await reader.read(_ECHO_BYTES)
        if answer:
            self._done.first_byte_ms = (time.monotonic() - began_s) * 1e3
        answer += await reader.readexactly(_ECHO_BYTES - len(answer))
        if answer != sent:
            raise _AnswerError("other", "what came back is not what was sent")

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        began_s = time.monotonic()
        writer.write(_request(self._target))
        head = await reader.read(_HEAD_BYTES)
        if head:
            self._done.first_byte_ms = (time.monotonic() - began_s) * 1e3
        while b"\r\n\r\n" not in head:
            more = await reader.read(_HEAD_BYTES)
            if not more:
                raise _AnswerError("reset", "closed before the answer's head was whole")
            head += more
            if len(head) > _HEAD_BYTES:
                raise _AnswerError("other", f"a head of more than {_HEAD_BYTES} bytes")
        self._done.status = _status(head)
        wanted = self._target.status
        if self._done.status not in (wanted or range(200, 400)):
            raise _AnswerError("status_unexpected", f"status {self._done.status}")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _server_name(target: ProbeTarget) -> str | None:
    """What is sent as SNI: no address, by RFC 6066."""
    name = target.server_name or target.place()[0]
    return name if target.tls() and not _is_address(name) else None


def _request(target: ProbeTarget) -> bytes:
    at_host = target.url.partition("//")[2]
    authority, slash, path = at_host.partition("/")
    fields = {
        "Host": target.host or authority,
        "User-Agent": "crosspane-probe",
        "Accept": "*/*",
        "Connection": "close",
    }
    lines = [
        f"{target.method} {slash + path or '/'} HTTP/1.1",
        *(f"{name}: {text}" for name, text in fields.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("utf-8")


def _status(head: bytes) -> int:
    version, _, rest = head.partition(b"\r\n")[0].partition(b" ")
    digits = rest[:3]
    if not version.startswith(b"HTTP/1.") or not digits.isdigit() or not 100 <= int(digits) <= 599:  # noqa: PLR2004
        raise _AnswerError("other", "the answer is not HTTP/1")
    return int(digits)


def tls_context(target: ProbeTarget) -> ssl.SSLContext:
    """
    Whom to trust, what to show and to offer.

    Raises
    ------
    OSError
        When a file is not there, or not what it should be (`ssl.SSLError`).
    """
    context = ssl.create_default_context(cafile=target.tls_ca_file or None)
    if target.verify != "name" or target.identity:
        context.check_hostname = False
    if target.verify == "nothing":
        context.verify_mode = ssl.CERT_NONE
    if target.tls_cert_file:
        context.load_cert_chain(target.tls_cert_file, target.tls_key_file or None)
    if target.alpn:
        context.set_alpn_protocols(list(target.alpn))
    return context


def _trusting_any(target: ProbeTarget) -> ssl.SSLContext:
    """As `tls_context`, to look at a certificate: without showing one, and for nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if target.alpn:
        context.set_alpn_protocols(list(target.alpn))
    return context
