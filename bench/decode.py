"""
Datagrams to columns, one core, beside pip's netflow and scapy.

The same IPFIX datagrams to each. Ours goes all the way to a frame with
sequence accounting; the peers to their own objects.
"""

import logging

import numpy as np
import pyarrow as pa

from bench.measure import alternate, report
from bench.traffic import RECORDS_A_DATAGRAM, datagrams
from collectors.log import Place
from pipeline.decode import Payloads, Source
from pipeline.decode.netflow import Netflow

_PLACE = Place("crosspane.v1.flow.bench", 0)


def payloads(streams: list[list[bytes]]) -> Payloads:
    """Datagrams of some exporters, interleaved as they would arrive."""
    count = len(streams[0])
    ordered = [stream[number] for number in range(count) for stream in streams]
    return Payloads(
        sources=[Source(_PLACE, "bench", "c", "n", f"192.0.2.{n}") for n in range(len(streams))],
        source=np.tile(np.arange(len(streams), dtype=np.int32), count),
        received_ns=np.full(len(ordered), 1_764_000_001_000_000_000, np.int64),
        payload=pa.array(ordered, pa.binary()),
    )


def main() -> None:
    """Print the comparison."""
    one, fifty = payloads(datagrams(3_000)), payloads(datagrams(3_000, exporters=50))
    few = datagrams(100)[0]
    records = 3_000 * RECORDS_A_DATAGRAM

    def decode(batch: Payloads) -> None:
        flows = Netflow().decode(batch).frames["flows"]
        assert flows.height == records  # noqa: S101 - a bench of wrong results is none

    report(
        "decode: IPFIX, 20 fields, 20 records a datagram",
        alternate(
            {
                "crosspane, one exporter": (records, lambda: decode(one)),
                "crosspane, 50 exporters interleaved": (records, lambda: decode(fifty)),
                "netflow 0.12 (PyPI)": (len(few) * RECORDS_A_DATAGRAM, lambda: _netflow(few)),
                "scapy": (len(few) * RECORDS_A_DATAGRAM, lambda: _scapy(few)),
            }
        ),
    )


def _netflow(messages: list[bytes]) -> None:
    from netflow.ipfix import IPFIXExportPacket  # noqa: PLC0415 - the peer, when it is its turn

    templates: dict[int, list[object]] = {}
    for message in messages:
        packet = IPFIXExportPacket(message, templates)
        assert len(packet.flows) == RECORDS_A_DATAGRAM  # noqa: S101
        templates |= packet.templates


def _scapy(messages: list[bytes]) -> None:
    logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
    from scapy.layers.inet import IP, UDP  # noqa: PLC0415
    from scapy.layers.netflow import NetflowHeader, NetflowSession  # noqa: PLC0415

    session = NetflowSession()
    for message in messages:
        session.process(IP(src="192.0.2.1") / UDP(dport=2055) / NetflowHeader(message))


if __name__ == "__main__":
    main()
