"""
Verdicts: what a node's datapath said of packets, event by event.

One row is one event of one packet (a trace point passed, a policy looked up, a
drop), not a connection and not a flow: the same packet gives several rows, on
both nodes, and none of them tells octets. Count connections by ``trace_reason``
NEW at one observation point, or by SYN without ACK; never add rows up.

Before: requests.py. After: entities.py.
"""

from typing import Final

import polars as pl

from pipeline.schema.model import TEXT, TIME, U8, U16, U32, U64, Column, Table, address, side

_NAMES: Final = pl.List(pl.String)

_EVENT: Final = (
    Column(
        "verdict",
        TEXT,
        "what became of the packet: FORWARDED, DROPPED, ERROR, AUDIT, REDIRECTED, TRACED, TRANSLATED",
        "verdict",
    ),
    Column("drop_reason", TEXT, "why it was dropped, Cilium's name", "drop_reason_desc"),
    Column(
        "event_type",
        TEXT,
        "trace, drop, policy_verdict, capture, debug, trace_sock; else its number",
        "event_type.type",
    ),
    Column(
        "observation_point",
        TEXT,
        "where in the datapath it was seen: TO_ENDPOINT, TO_STACK, TO_PROXY, TO_OVERLAY...",
        "trace_observation_point",
    ),
    Column(
        "trace_reason",
        TEXT,
        "what connection tracking knew: NEW, ESTABLISHED, REPLY, RELATED...",
        "trace_reason",
    ),
    Column(
        "traffic_direction",
        TEXT,
        "INGRESS or EGRESS, of the connection at the endpoint that is local",
        "traffic_direction",
    ),
    Column(
        "is_reply",
        pl.Boolean(),
        "true if the packet goes from server to client; null if not known",
        "is_reply",
    ),
)

_PACKET: Final = (
    *address("src", "source address", "IP.source"),
    *address("dst", "destination address", "IP.destination"),
    Column("src_port", U16, "source port; null if the protocol has none", "l4"),
    Column("dst_port", U16, "destination port", "l4"),
    Column("protocol", U8, "IP protocol number: 6, 17, 1, 58, 132", "l4"),
    Column(
        "tcp_flags",
        U16,
        "TCP flags of the packet: FIN 1, SYN 2, RST 4, PSH 8, ACK 16...",
        "l4.TCP.flags",
    ),
    Column("icmp_type_code", U16, "ICMP type << 8 | code", "l4.ICMPv4, l4.ICMPv6"),
    *address("post_nat_src", "source address after translation", "IP.source_xlated"),
    Column(
        "encrypted",
        pl.Boolean(),
        "true if it went encrypted between nodes; null if not told",
        "IP.encrypted",
    ),
    Column("interface", TEXT, "network interface, name or number", "interface"),
    Column("proxy_port", U16, "port of the L7 proxy it was sent to", "proxy_port"),
)


def _endpoint(side: str, whose: str) -> tuple[Column, ...]:
    source = "source" if side == "src" else "destination"
    return (
        Column(
            f"{side}_identity",
            U32,
            f"Cilium security identity of the {whose}: below 256 reserved (1 host, 2 world, 6 remote node)",
            f"{source}.identity",
        ),
        Column(
            f"reported_{side}_cluster",
            TEXT,
            f"cluster of the {whose}, as Cilium says",
            f"{source}.cluster_name",
        ),
        Column(
            f"reported_{side}_namespace", TEXT, f"namespace of the {whose}", f"{source}.namespace"
        ),
        Column(
            f"reported_{side}_workload", TEXT, f"workload of the {whose}", f"{source}.workloads"
        ),
        Column(f"reported_{side}_pod", TEXT, f"pod of the {whose}", f"{source}.pod_name"),
        Column(
            f"{side}_labels",
            _NAMES,
            f"labels that tell what the {whose} is: reserved, app, version, service account, cidr, fqdn",
            f"{source}.labels",
        ),
        Column(
            f"{side}_names",
            _NAMES,
            f"DNS names its node knows the {whose}'s address by",
            f"{source}_names",
        ),
        Column(
            f"{side}_service",
            TEXT,
            f"service the {whose}'s address and port belong to, namespace/name",
            f"{source}_service",
        ),
    )


_POLICY: Final = (
    Column(
        "policy_match",
        TEXT,
        "what of a policy matched: none, l3_only, l3_l4, l4_only, all, l3_proto, proto_only",
        "policy_match_type",
    ),
    Column(
        "allowed_by",
        _NAMES,
        "policies that allowed it, kind namespace/name",
        "ingress_ and egress_allowed_by",
    ),
    Column(
        "denied_by", _NAMES, "policies that denied it, likewise", "ingress_ and egress_denied_by"
    ),
)

_VERDICT: Final = (
    *_EVENT,
    *_PACKET,
    *_endpoint("src", "source"),
    *_endpoint("dst", "destination"),
    *_POLICY,
)

DECODED_VERDICTS: Final = pl.Schema(
    {
        "vantage": pl.Int32(),
        "received_ns": pl.Int64(),
        "event_ns": pl.Int64(),  # never null: an event without a time is a reject
        **{column.name: column.dtype for column in _VERDICT},
    }
)
"""Columns every decoder of verdicts gives."""

VERDICTS: Final = Table(
    "verdicts",
    "One row per packet event of a datapath that enforces policy (Cilium), as one node saw it; no octets.",
    (
        Column("received_time", TIME, "when the agent had it"),
        Column("event_time", TIME, "when the node saw the packet", "time"),
        Column("vantage_id", U64, "`vantages` row: which node, in which network"),
        *_VERDICT,
        *side("src"),
        *side("dst"),
    ),
)
