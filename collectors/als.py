"""
Envoy's Access Log Service, version 3: proxies stream their logs, the agent serves.

    StreamAccessLogsMessage   1 identifier: node, log name (first message only)
                              2 HTTP entries, or 3 TCP entries

A message is one payload, its bytes untouched but for what redact.py leaves
out. Only the first message of a stream says whose it is; so that each payload
stands for itself, a short form of that identifier is put in front of every
one: of two protobuf messages one behind the other, the fields merge. The
exporter is the node's id. What is counted, and why:

    no_identifier          a first message that does not say whose it is, or is
                           no message at all: the stream is ended
    too_many_streams       a stream above ``max_streams``; one for each, what it
                           would have carried nobody knows
    too_many_identities    a node id above ``max_identities``: the stream is ended
    redact_failed          a message that cannot be read, so that what is private
                           in it cannot be left out
    message_too_large      a message above ``max_message_bytes``, or one entry of it
                           that is too large for any batch

The protocol has no acknowledgement: what a proxy had sent and the agent had
not read when one of them died is lost, and neither knows how much that was.

Source: envoy/service/accesslog/v3/als.proto.
Before: grpc_server.py. After: redact_messages.py, batch.py.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import grpc
from envoy.service.accesslog.v3 import als_pb2
from google.protobuf.message import DecodeError

from collectors.batch import Batcher
from collectors.config import AlsInput
from collectors.grpc_server import exporter_of, read, serve
from collectors.intake import PIECE_BYTES, Intake
from collectors.redact import Redactor
from collectors.redact_messages import UnreadableError
from collectors.redact_messages import als as redaction
from collectors.ship import Shipper

METHOD: Final = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"

NODE_METADATA: Final = (
    "CLUSTER_ID",
    "INSTANCE_IPS",
    "ISTIO_VERSION",
    "MESH_ID",
    "NAME",
    "NAMESPACE",
    "NETWORK",
    "NODE_NAME",
    "OWNER",
    "SERVICE_ACCOUNT",
    "WORKLOAD_NAME",
)
"""Keys of a node's metadata that are kept: whose it is, and where it stands."""

_TEXT_BYTES: Final = 1_000
"""Longer texts of an identifier are left out, and a longer node id is none."""
_IDENTITIES_S: Final = 3_600.0
_IDENTIFIER: Final = als_pb2.StreamAccessLogsMessage.Identifier
_IDENTIFIER_TAG: Final = 0x0A
_WIDTHS: Final = {1: 8, 5: 4}


def receive(
    config: AlsInput,
    batcher: Batcher,
    shipper: Shipper,
    stop: threading.Event,
    on_bound: Callable[[int], None] | None = None,
) -> None:
    """
    Serve proxies until ``stop`` is set.

    Raises
    ------
    InputError
        See `collectors.grpc_server.serve`.
    ConfigError
        When something is to be hashed and there is no key.
    """
    serve(
        config,
        batcher,
        shipper,
        stop,
        listen=config.listen,
        method=METHOD,
        handler=_Service(config).answer,
        max_streams=config.max_streams,
        on_bound=on_bound,
    )


class _Service:
    def __init__(self, config: AlsInput, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_streams = config.max_streams
        self._max_message_bytes = config.max_message_bytes
        self._max_identities = config.max_identities
        self._redact = redaction(Redactor(config.redact))
        self._clock = clock
        self._streams = 0
        self._identities: set[str] = set()
        self._forget_s = clock() + _IDENTITIES_S

    async def answer(self, call: Any, intake: Intake) -> bytes:
        """Take a stream to its end."""
        if self._streams >= self._max_streams:
            intake.drop("too_many_streams")
            await call.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many streams")
        self._streams += 1
        try:
            return await self._take(call, intake)
        finally:
            self._streams -= 1

    async def _take(self, call: Any, intake: Intake) -> bytes:
        front, exporter = b"", ""
        while (message := await read(call, intake)) is not None:
            if len(message) > self._max_message_bytes:
                intake.drop("message_too_large")
                continue
            identifier, entries = split_identifier(message)
            if not front:
                try:
                    front, node_id = short_identifier(identifier)
                except ValueError as error:
                    intake.drop("no_identifier")
                    await call.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
                exporter = node_id or exporter_of(call)
            if exporter not in self._identities and not self._is_welcome(exporter):
                intake.drop("too_many_identities")
                await call.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many node ids")
            try:
                entries = self._redact(entries)
            except UnreadableError:
                intake.drop("redact_failed")
                continue
            if len(front) + len(entries) <= PIECE_BYTES:
                intake.add(exporter, front + entries)
                continue
            for piece in pieces(entries, PIECE_BYTES - len(front)):
                if len(front) + len(piece) > PIECE_BYTES:
                    intake.drop("message_too_large")
                else:
                    intake.add(exporter, front + piece)
        return b""

    def _is_welcome(self, exporter: str) -> bool:
        """Remember a node id for an hour, if there are not too many."""
        if self._clock() >= self._forget_s:
            self._identities.clear()
            self._forget_s = self._clock() + _IDENTITIES_S
        if len(self._identities) >= self._max_identities:
            return False
        self._identities.add(exporter)
        return True


def split_identifier(message: bytes) -> tuple[bytes, bytes]:
    """
    Identifier of a message, and all else of it; either may be empty.

    Bytes that are no protobuf message have no identifier.
    """
    identifier, others = [], []
    place = 0
    try:
        while place < len(message):
            end, begin = _field(message, place)
            if message[place] == _IDENTIFIER_TAG:
                identifier.append(message[begin:end])
            elif not place and end == len(message):  # as proxies write all but the first
                return b"", message
            else:
                others.append(message[place:end])
            place = end
    except ValueError:
        return b"", message
    return b"".join(identifier), b"".join(others)


def short_identifier(identifier: bytes) -> tuple[bytes, str]:
    """
    Make what is put in front of every message of a stream.

    A node describes itself in up to 60 kB, most of it the extensions it was
    built with. Kept are its id, cluster, locality and version, the metadata of
    `NODE_METADATA`, and the log's name.

    Returns
    -------
    tuple
        The field ``identifier`` of a message, as bytes; and the node's id,
        which may be empty.

    Raises
    ------
    ValueError
        When there is no identifier, or it cannot be read, or its id is longer
        than any name.
    """
    if not identifier:
        raise ValueError("the first message has no identifier")
    try:
        whole = _IDENTIFIER.FromString(identifier)
    except DecodeError as error:
        raise ValueError("the identifier cannot be read") from error
    short = als_pb2.StreamAccessLogsMessage()
    node = short.identifier.node
    if len(whole.node.id) > _TEXT_BYTES:
        raise ValueError("the node's id is too long")
    node.id = whole.node.id
    node.cluster = whole.node.cluster[:_TEXT_BYTES]
    node.user_agent_name = whole.node.user_agent_name[:_TEXT_BYTES]
    if whole.node.HasField("locality"):
        node.locality.region = whole.node.locality.region[:_TEXT_BYTES]
        node.locality.zone = whole.node.locality.zone[:_TEXT_BYTES]
        node.locality.sub_zone = whole.node.locality.sub_zone[:_TEXT_BYTES]
    for key in NODE_METADATA:
        value = whole.node.metadata.fields.get(key)
        if value is not None and value.ByteSize() <= _TEXT_BYTES:
            node.metadata.fields[key].CopyFrom(value)
    short.identifier.log_name = whole.log_name[:_TEXT_BYTES]
    return short.SerializeToString(), node.id


def pieces(entries: bytes, max_bytes: int) -> Iterator[bytes]:
    """
    Cut a large message between its entries; one entry alone may be above the bound.

    Bytes that are no message are one piece.
    """
    try:
        message = als_pb2.StreamAccessLogsMessage.FromString(entries)
    except DecodeError:
        yield entries
        return
    name = message.WhichOneof("log_entries")
    if name is None:
        yield entries
        return
    piece = als_pb2.StreamAccessLogsMessage()
    size = 0
    for entry in getattr(message, name).log_entry:
        entry_bytes = entry.ByteSize() + 16  # tags and lengths around it
        if size and size + entry_bytes > max_bytes:
            yield piece.SerializeToString()
            piece.Clear()
            size = 0
        getattr(piece, name).log_entry.append(entry)
        size += entry_bytes
    yield piece.SerializeToString()


def _field(message: bytes, place: int) -> tuple[int, int]:
    """Where the field at ``place`` ends, and where its value begins."""
    tag, begin = _varint(message, place)
    end = begin
    wire_type = tag & 7
    if wire_type == 2:  # noqa: PLR2004 length-delimited
        length, begin = _varint(message, begin)
        end = begin + length
    elif wire_type in _WIDTHS:
        end = begin + _WIDTHS[wire_type]
    elif wire_type == 0:
        _, end = _varint(message, begin)
    else:
        raise ValueError(f"wire type {wire_type}")
    if end > len(message):
        raise ValueError("cut short")
    return end, begin


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if place >= len(message):
            break
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 the last byte of the number
            return value, place
    raise ValueError("a number without end")
