"""
Flows: what was seen at L3 and L4, at any vantage.

Before: model.py. After: requests.py.
"""

from typing import Final

import polars as pl

from pipeline.schema.model import (
    F64,
    TIME,
    U8,
    U16,
    U32,
    U64,
    Column,
    Table,
    address,
    side,
)

_FLOW: Final = (
    *address("src", "source address", "8/27 sourceIPv4/6Address"),
    *address("dst", "destination address", "12/28 destinationIPv4/6Address"),
    Column(
        "src_port", U16, "source port; null if the protocol has none or it was not exported", "7"
    ),
    Column("dst_port", U16, "destination port", "11"),
    Column("protocol", U8, "IP protocol number", "4 protocolIdentifier"),
    Column("tcp_flags", U16, "TCP flags, OR over the flow", "6 tcpControlBits"),
    Column("tos", U8, "IP class of service", "5"),
    Column("icmp_type_code", U16, "ICMP type << 8 | code", "32, 139; 176-179"),
    Column("direction", U8, "0 ingress, 1 egress at the observation point", "61 flowDirection"),
    Column("ingress_interface", U32, "ifIndex", "10"),
    Column("egress_interface", U32, "ifIndex", "14"),
    Column("src_asn", U32, "BGP origin AS of the source, as exported; null if 0", "16"),
    Column("dst_asn", U32, "BGP origin AS of the destination, as exported; null if 0", "17"),
    Column("vlan_id", U16, "VLAN of the packet", "58, 243"),
    *address("post_nat_src", "source address after translation", "225, 281"),
    *address("post_nat_dst", "destination address after translation", "226, 282"),
    Column("post_nat_src_port", U16, "source port after translation", "227"),
    Column("post_nat_dst_port", U16, "destination port after translation", "228"),
    Column(
        "end_reason",
        U8,
        "why the flow ended: 1 idle, 2 active, 3 end seen, 4 forced, 5 lack of resources",
        "136 flowEndReason",
    ),
    Column("event", U8, "firewall or NAT event, as exported", "233 firewallEvent, 230 natEvent"),
    Column(
        "biflow_direction",
        U8,
        "239 biflowDirection; the row of the reverse half has 128 added; null if no biflow",
        "RFC 5103",
    ),
    Column(
        "bytes",
        U64,
        "octets observed, as exported; of `inet_diag` those TCP carried, without headers",
        "1, 85, 231",
    ),
    Column("packets", U64, "packets observed, as exported", "2, 86, 298"),
    Column(
        "dropped_bytes",
        U64,
        "octets of those that the observer dropped; null if it does not tell",
        "132, 134, 89",
    ),
    Column("dropped_packets", U64, "packets of those that it dropped, likewise", "133, 135, 89"),
    Column(
        "retransmitted_bytes",
        U64,
        "octets that TCP sent again; null if nobody who knows tells",
        "nProbe 127, 128; inet_diag",
    ),
    Column(
        "retransmitted_packets",
        U64,
        "packets of those that TCP sent again, likewise",
        "nProbe 109, 110; inet_diag",
    ),
    Column(
        "rtt_us",
        U32,
        "round-trip time of the connection in microseconds: of its handshake, or as TCP smooths it at the end",
        "nProbe 123 and 124; inet_diag",
    ),
    Column(
        "min_rtt_us",
        U32,
        "the least of it, of the last minutes, where TCP itself tells",
        "inet_diag",
    ),
    Column(
        "forwarding_status",
        U8,
        "what became of the packets: 64 to 127 forwarded, 128 to 191 dropped, 192 and more consumed; below, unknown",
        "89 forwardingStatus",
    ),
    Column(
        "sampling_factor",
        F64,
        "what to multiply observed counts by; 1 if unsampled or unknown",
        "34, 50, 305/306, 309/310, v5 header",
    ),
    Column(
        "sampling_source",
        U8,
        "where the factor is from: 0 nothing said, 1 header, 2 record, 3 options",
    ),
)

DECODED_FLOWS: Final = pl.Schema(
    {
        "vantage": pl.Int32(),  # index into Decoded.vantages
        "received_ns": pl.Int64(),
        "start_ns": pl.Int64(),  # UTC nanoseconds; null where the exporter gave no time
        "end_ns": pl.Int64(),
        **{column.name: column.dtype for column in _FLOW},
    }
)

FLOWS: Final = Table(
    "flows",
    "One row per flow record and direction, as one vantage saw it.",
    (
        Column("received_time", TIME, "when the agent had the datagram"),
        Column(
            "start_time", TIME, "first packet; the time of receipt where the exporter gave none"
        ),
        Column("end_time", TIME, "last packet"),
        Column(
            "vantage_id",
            U64,
            "`vantages` row: who saw it, and in which network the addresses mean something",
        ),
        *_FLOW,
        *side("src"),
        *side("dst"),
        *side("post_nat_src"),
        *side("post_nat_dst"),
    ),
)
