"""
Messages, on a socket: read one at a time, written when there are enough.

A message is read to its length and no further, and a length is looked at
before anything is read: what a client claims does not make us hold more than
the limit. The bytes are then pygwire's to understand, and no other module
knows it.

Before: a socket. After: login.py, session.py.
Source: PostgreSQL 15 manual, 55.7.
"""

import socket
import struct
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from pygwire import (
    ConnectionPhase,
    FrontendMessageDecoder,
    PygwireError,
    TransactionStatus,
    messages,
)
from pygwire.messages import PGMessage

from pipeline.errors import ServeError

Query = messages.Query
Parse = messages.Parse
Bind = messages.Bind
Describe = messages.Describe
Execute = messages.Execute
Close = messages.Close
Sync = messages.Sync
Flush = messages.Flush
Terminate = messages.Terminate
StartupMessage = messages.StartupMessage
SSLRequest = messages.SSLRequest
GSSEncRequest = messages.GSSEncRequest
CancelRequest = messages.CancelRequest
SASLInitialResponse = messages.SASLInitialResponse
SASLResponse = messages.SASLResponse

PROTOCOL_VIOLATION: Final = "08P01"
NEWEST_MINOR: Final = 2
"""Protocol 3.2, whose cancel keys may be longer."""
_MAJOR: Final = 3
_STARTUP_BYTES: Final = 10_000
"""PostgreSQL's own limit of a startup packet."""
_FLUSH_BYTES: Final = 1 << 17
_HEADER: Final = struct.Struct("!cI")
_LENGTH: Final = struct.Struct("!I")
_WRONG: Final = (PygwireError, struct.error, UnicodeError, IndexError, ValueError)
"""What pygwire raises for bytes that are no message."""


class Hello(NamedTuple):
    """The first packet of a client."""

    message: PGMessage
    minor: int
    """Of the protocol version it asks for."""


class Wire:
    """
    A client's socket as messages.

    Parameters
    ----------
    connection
        The socket; `start_tls` replaces it.
    max_message_bytes
        A longer message is refused before it is read.
    """

    def __init__(self, connection: socket.socket, *, max_message_bytes: int) -> None:
        self.connection = connection
        self.deadline: float | None = None
        """Until when, on the monotonic clock, what is read must have come; None: no limit."""
        self.send_s: float | None = None
        """Seconds that a client may take over what is written at a time."""
        self._max = max_message_bytes
        self._out = bytearray()
        self._decoder = FrontendMessageDecoder()

    def hello(self) -> Hello | None:
        """First packet, which has no type; None when the client has gone."""
        head = self._exactly(4, at_start=True)
        if head is None:
            return None
        (length,) = _LENGTH.unpack(head)
        if not 8 <= length <= _STARTUP_BYTES:  # noqa: PLR2004 - length and code
            raise ServeError(PROTOCOL_VIOLATION, "invalid length of startup packet")
        body = self._rest(length - 4)
        (code,) = _LENGTH.unpack_from(body)
        major, minor = code >> 16, code & 0xFFFF
        if major == _MAJOR and minor not in {0, NEWEST_MINOR}:
            body = _LENGTH.pack(_MAJOR << 16) + body[4:]
        elif major not in {_MAJOR, 1234}:
            raise ServeError("0A000", f"unsupported frontend protocol {major}.{minor}: speak 3.0")
        return Hello(self._decoded(ConnectionPhase.STARTUP, head + body), minor)

    def login(self, *, first: bool) -> PGMessage | None:
        """Answer to a question of the login: the first, or one that follows."""
        phase = (
            ConnectionPhase.AUTHENTICATING_SASL_INITIAL
            if first
            else ConnectionPhase.AUTHENTICATING_SASL_CONTINUE
        )
        return self._next(phase, min(self._max, _STARTUP_BYTES))

    def read(self) -> PGMessage | None:
        """Next message; None when the client has gone."""
        return self._next(ConnectionPhase.READY, self._max)

    def _next(self, phase: ConnectionPhase, limit: int) -> PGMessage | None:
        head = self._exactly(5, at_start=True)
        if head is None:
            return None
        _, length = _HEADER.unpack(head)
        if length < 4:  # noqa: PLR2004 - the length counts itself
            raise ServeError(PROTOCOL_VIOLATION, "invalid message length")
        if length > limit:
            raise ServeError("54000", f"a message of {length:,} bytes: at most {limit:,} are taken")
        return self._decoded(phase, head + self._rest(length - 4))

    def _decoded(self, phase: ConnectionPhase, frame: bytes) -> PGMessage:
        self._decoder.phase = phase
        try:
            self._decoder.feed(frame)
            found = next(iter(self._decoder), None)
        except _WRONG as error:
            raise ServeError(PROTOCOL_VIOLATION, f"not a message: {error}") from error
        if found is None:
            raise ServeError(PROTOCOL_VIOLATION, "not a message")
        return found

    def _rest(self, count: int) -> bytes:
        found = self._exactly(count, at_start=False)
        if found is None:
            raise ConnectionError("the client has gone in the middle of a message")
        return found

    def _exactly(self, count: int, *, at_start: bool) -> bytes | None:
        """So many bytes; None at the end of the stream, which is an error in a message."""
        out = bytearray()
        while len(out) < count:
            self._wait_at_most()
            part = self.connection.recv(min(count - len(out), 1 << 16))
            if not part:
                if out or not at_start:
                    raise ConnectionError("the client has gone in the middle of a message")
                return None
            out += part
        return bytes(out)

    def _wait_at_most(self) -> None:
        if self.deadline is None:
            self.connection.settimeout(None)
            return
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the client took too long to say who it is")
        self.connection.settimeout(left)

    def byte(self, answer: bytes) -> None:
        """Write the one byte that answers a request for TLS or GSS."""
        self.connection.sendall(answer)

    def put(self, *what: PGMessage) -> None:
        """Write messages, not necessarily at once."""
        for message in what:
            self.put_bytes(message.to_wire())

    def put_bytes(self, data: bytes | memoryview) -> None:
        """Write messages that are bytes already; waits for a client that does not read."""
        self._out += data
        if len(self._out) >= _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what has been put."""
        if self._out:
            self.connection.settimeout(self.send_s)
            data, self._out = self._out, bytearray()
            self.connection.sendall(data)


def ok() -> PGMessage:
    """The client is who it says."""
    return messages.AuthenticationOk()


def sasl(mechanism: str) -> PGMessage:
    """Which proof the client is asked for."""
    return messages.AuthenticationSASL(mechanisms=[mechanism])


def sasl_continue(data: bytes) -> PGMessage:
    """The server's part of the proof."""
    return messages.AuthenticationSASLContinue(data=data)


def sasl_final(data: bytes) -> PGMessage:
    """The proof that the server knows the password too."""
    return messages.AuthenticationSASLFinal(data=data)


def negotiate(unknown: Sequence[str]) -> PGMessage:
    """The newest version there is, and what of the client's options is unknown."""
    return messages.NegotiateProtocolVersion(newest_minor=NEWEST_MINOR, unrecognized=list(unknown))


def parameter(name: str, value: str) -> PGMessage:
    """A setting the client should know of."""
    return messages.ParameterStatus(name=name, value=value)


def key(number: int, secret: bytes) -> PGMessage:
    """What a cancel request has to name."""
    return messages.BackendKeyData(process_id=number, secret_key=secret)


def ready(status: str) -> PGMessage:
    """The next statement may come; I: outside a transaction, T: in one, E: in a failed one."""
    return messages.ReadyForQuery(status=TransactionStatus(status))


def error(refusal: ServeError, *, fatal: bool = False) -> PGMessage:
    """What went wrong."""
    return messages.ErrorResponse(fields=_said("FATAL" if fatal else "ERROR", refusal))


def warning(state: str, message: str) -> PGMessage:
    """What a client should know, and nothing failed."""
    return messages.NoticeResponse(fields=_said("WARNING", ServeError(state, message)))


def _said(severity: str, refusal: ServeError) -> dict[str, str]:
    text = str(refusal).replace("\0", "")
    return {"S": severity, "V": severity, "C": refusal.sqlstate, "M": text}


class Field(NamedTuple):
    """One column of a result, for the client."""

    name: str
    oid: int
    bytes: int
    """Of a value; -1 if they differ."""
    modifier: int
    binary: bool


def row_description(fields: Sequence[Field]) -> PGMessage:
    """Columns of the rows to come."""
    return messages.RowDescription(
        fields=[
            messages.FieldDescription(
                name=field.name.replace("\0", ""),
                type_oid=field.oid,
                type_size=field.bytes,
                type_modifier=field.modifier,
                format_code=int(field.binary),
            )
            for field in fields
        ]
    )


def parameter_description(oids: Sequence[int]) -> PGMessage:
    """Types of a statement's parameters."""
    return messages.ParameterDescription(type_oids=list(oids))


def complete(tag: str) -> PGMessage:
    """A statement is done."""
    return messages.CommandComplete(tag=tag)


EMPTY: Final = messages.EmptyQueryResponse()
NO_DATA: Final = messages.NoData()
PARSED: Final = messages.ParseComplete()
BOUND: Final = messages.BindComplete()
CLOSED: Final = messages.CloseComplete()
SUSPENDED: Final = messages.PortalSuspended()
