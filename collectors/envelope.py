"""
The envelope: one batch of raw payloads of one kind from one agent.

    Arrow IPC stream, bodies zstd
    schema metadata   crosspane.envelope: the `Header` as JSON
    received_ns  int64       when the agent had the payload, UTC nanoseconds
    exporter     string      who sent it: peer address, or proxy / node id
    payload      binary      the bytes, untouched

One envelope is one message of the log. Thousands of payloads share one
message, so neither side runs Python per payload to move them.

Before: udp.py, logtail.py, pcap.py. After: batch.py, then log/, then
pipeline/decode.
"""

from dataclasses import dataclass
from typing import Final

import msgspec
import pyarrow as pa

VERSION: Final = 1

GROUPS: Final = {
    "netflow": "flow",
    "access_log": "proxy",
    "als": "proxy",
    "otlp_logs": "proxy",
    "prometheus": "proxy",
    "istiod": "proxy",
    "ztunnel": "proxy",
    "linkerd": "proxy",
    "hubble": "proxy",
    "hubble_json": "proxy",
    "kubernetes": "inventory",
    "aws": "inventory",
    "gcp": "inventory",
    "azure": "inventory",
    "netbox": "inventory",
    "probe": "probe",
    "sockets": "flow",
}
"""Kind of payload to the topic group that carries it (design section 3)."""

MAX_PAYLOADS: Final = 65_536
"""More payloads than this in one envelope is a reject, not a request for memory."""

_METADATA_KEY: Final = b"crosspane.envelope"

SCHEMA: Final = pa.schema(
    [
        pa.field("received_ns", pa.int64(), nullable=False),
        pa.field("exporter", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("payload", pa.binary(), nullable=False),
    ]
)


class EnvelopeError(Exception):
    """
    A message of the log that is no envelope.

    ``reason`` is one of: ``envelope_malformed``, ``envelope_version``,
    ``envelope_too_large``.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    Who took the payloads, and what was lost before them.

    Attributes
    ----------
    agent
        Name of the agent, unique in its cluster.
    cluster, network
        Where the agent stands: the observer's cluster, and the network in
        which the addresses it sees mean something.
    kind
        A key of `GROUPS`.
    first_sequence
        Number of the first payload, counted by this agent for this kind since
        ``epoch_ns``; the next envelope starts at ``first_sequence + n``.
    epoch_ns
        When the agent began to count, UTC nanoseconds.
    dropped
        Payloads lost in the agent before this envelope, by reason, since the
        envelope before it.
    format, mesh, proxy_model
        What the agent's configuration declares of what it reads: the format of
        the lines, the mesh of the proxies, and whether they are sidecars,
        host proxies, gateways or waypoints. Empty: left to the decoder.
    """

    agent: str
    cluster: str
    network: str
    kind: str
    first_sequence: int = 0
    epoch_ns: int = 0
    dropped: dict[str, int] = {}
    format: str = ""
    mesh: str = ""
    proxy_model: str = ""
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Envelope:
    """A `Header` and n payloads: ``payloads`` has the columns of `SCHEMA`."""

    header: Header
    payloads: pa.RecordBatch


def topic(prefix: str, kind: str, cluster: str) -> str:
    """
    Name of the topic for one kind of payload of one cluster.

    >>> topic("crosspane.v1", "netflow", "cluster-east")
    'crosspane.v1.flow.cluster-east'
    """
    return f"{prefix}.{GROUPS[kind]}.{cluster}"


def encode(envelope: Envelope) -> bytes:
    """Envelope to one message of the log."""
    metadata = {_METADATA_KEY: msgspec.json.encode(envelope.header)}
    schema = SCHEMA.with_metadata(metadata)
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, schema, options=options) as stream:
        stream.write_batch(envelope.payloads.cast(SCHEMA).replace_schema_metadata(metadata))
    message: bytes = sink.getvalue().to_pybytes()
    return message


def decode(message: bytes) -> Envelope:
    """
    One message of the log to an envelope.

    Raises
    ------
    EnvelopeError
        For any bytes that are not a whole, valid envelope of this version.
    """
    try:
        with pa.ipc.open_stream(message) as stream:
            schema = stream.schema
            raw_header = (schema.metadata or {}).get(_METADATA_KEY)
            if raw_header is None:
                raise EnvelopeError("envelope_malformed", "no crosspane.envelope metadata")
            header = msgspec.json.decode(raw_header, type=Header)
            if header.version != VERSION:
                raise EnvelopeError("envelope_version", f"version {header.version}, not {VERSION}")
            if schema.remove_metadata() != SCHEMA:
                raise EnvelopeError("envelope_malformed", f"columns are {schema.names}")
            batches = []
            payload_count = 0
            for batch in stream:
                payload_count += batch.num_rows
                if payload_count > MAX_PAYLOADS:
                    raise EnvelopeError("envelope_too_large", f"more than {MAX_PAYLOADS} payloads")
                batch.validate(full=True)
                batches.append(batch)
    except (pa.ArrowException, msgspec.MsgspecError, OSError, MemoryError, ValueError) as error:
        raise EnvelopeError("envelope_malformed", str(error)[:200]) from error
    if header.kind not in GROUPS:
        raise EnvelopeError("envelope_malformed", f"kind {header.kind!r}, not one of {[*GROUPS]}")
    payloads = pa.Table.from_batches(batches, schema).combine_chunks()
    whole = payloads.to_batches()
    if len(whole) > 1:
        raise EnvelopeError("envelope_malformed", "payloads do not fit one batch")
    empty = pa.RecordBatch.from_pylist([], schema=SCHEMA)
    return Envelope(header, whole[0].replace_schema_metadata(None) if whole else empty)
