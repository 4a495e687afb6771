"""Payloads of one agent of a cluster into a log, as a message of its own."""

import pyarrow as pa

from collectors import envelope
from collectors.log.local import LocalWriter


def ship_payloads(
    log: LocalWriter,
    kind: str,
    payloads: list[bytes],
    *,
    first: int,
    received_ns: int,
    exporter: str,
    cluster: str = "cluster-east",
) -> None:
    """Number them from ``first`` on, all received at one time of one exporter."""
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array([received_ns] * len(payloads), pa.int64()),
            pa.array([exporter] * len(payloads), pa.string()).dictionary_encode(),
            pa.array(payloads, pa.binary()),
        ],
        schema=envelope.SCHEMA,
    )
    header = envelope.Header(
        agent="node-1",
        cluster=cluster,
        network="net-east",
        kind=kind,
        first_sequence=first,
    )
    topic = envelope.topic("crosspane.v1", kind, cluster)
    log.append(topic, b"node-1", envelope.encode(envelope.Envelope(header, batch)))
    log.flush()
