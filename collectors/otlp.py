"""
OpenTelemetry logs by gRPC: one request is one payload.

    ExportLogsServiceRequest → payload        ExportLogsServiceResponse ← (empty)

The answer waits until the payload is on disk or in the log for good, so what
was answered is not lost. A client whose patience ends before sends it again,
and has then sent it twice. The exporter is the peer's address. What is
counted: ``redact_failed``, ``message_too_large``, as in als.py.

Source: opentelemetry/proto/collector/logs/v1/logs_service.proto.
Before: grpc_server.py. After: redact_messages.py, batch.py.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from collectors.batch import Batcher
from collectors.config import OtlpLogsInput
from collectors.grpc_server import exporter_of, read, serve
from collectors.intake import PIECE_BYTES, Intake
from collectors.partial_messages import OTLP
from collectors.redact import Redactor
from collectors.redact_messages import UnreadableError
from collectors.redact_messages import otlp as redaction
from collectors.ship import Shipper

METHOD: Final = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"

_EMPTY_RESPONSE: Final = b""
_MAX_AGE_S: Final = 0.1
"""A client waits for its answer, so a batch is closed this soon."""
_Request: Final = OTLP["ExportLogsServiceRequest"]


def receive(
    config: OtlpLogsInput,
    batcher: Batcher,
    shipper: Shipper,
    stop: threading.Event,
    on_bound: Callable[[int], None] | None = None,
) -> None:
    """
    Serve clients until ``stop`` is set.

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
        max_streams=config.max_calls,
        max_age_s=_MAX_AGE_S,
        promises=True,
        on_bound=on_bound,
    )


class _Service:
    def __init__(self, config: OtlpLogsInput) -> None:
        self._max_message_bytes = config.max_message_bytes
        self._redact = redaction(Redactor(config.redact))
        self._calls = asyncio.Semaphore(config.max_calls)

    async def answer(self, call: Any, intake: Intake) -> bytes:
        """Take one request; answer once it is safe."""
        async with self._calls:
            message = await read(call, intake)
            if message and len(message) > self._max_message_bytes:
                intake.drop("message_too_large")
                await call.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "message too large")
            if message:
                self._take(message, exporter_of(call), intake)
                await intake.safe()
        return _EMPTY_RESPONSE

    def _take(self, message: bytes, exporter: str, intake: Intake) -> None:
        try:
            message = self._redact(message)
        except UnreadableError:
            intake.drop("redact_failed")
            return
        for piece in pieces(message, PIECE_BYTES):
            if len(piece) > PIECE_BYTES:
                intake.drop("message_too_large")
            else:
                intake.add(exporter, piece)


def pieces(request: bytes, max_bytes: int) -> Iterator[bytes]:
    """
    Cut a large request between its records; one record alone may be above the bound.

    The resource and the scope of a record are in each piece. Bytes that are no
    request are one piece.
    """
    if len(request) <= max_bytes:
        yield request
        return
    try:
        whole = _Request.FromString(request)
    except DecodeError:
        yield request
        return
    piece = _Request()
    size = 0
    for of_resource in whole.resource_logs:
        resource_bytes = of_resource.resource.ByteSize() + 64
        to_resource = None
        for of_scope in of_resource.scope_logs:
            scope_bytes = of_scope.scope.ByteSize() + 64
            to_scope = None
            for record in of_scope.log_records:
                record_bytes = record.ByteSize() + 16  # tags and lengths around it
                if size and size + resource_bytes + scope_bytes + record_bytes > max_bytes:
                    yield piece.SerializeToString()
                    piece.Clear()
                    size = 0
                    to_resource = to_scope = None
                if to_resource is None:
                    to_resource = piece.resource_logs.add(
                        resource=of_resource.resource, schema_url=of_resource.schema_url
                    )
                    size += resource_bytes
                if to_scope is None:
                    to_scope = to_resource.scope_logs.add(
                        scope=of_scope.scope, schema_url=of_scope.schema_url
                    )
                    size += scope_bytes
                to_scope.log_records.append(record)
                size += record_bytes
    if size:
        yield piece.SerializeToString()
