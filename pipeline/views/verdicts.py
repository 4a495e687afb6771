"""
What a datapath that enforces policy let through and what not, with names.

Before: facts.py. After: topology.py.
"""

from typing import Final

from pipeline.schema import Function, View
from pipeline.views.blame import TURNED_AWAY
from pipeline.views.facts import OBSERVER, SIDE_JOINS, side_columns, side_select
from pipeline.views.rollups import SINCE, SPAN, UNTIL

_TOLD: Final = {
    f"{side}_{name}": meaning
    for side, whose in (("src", "source"), ("dst", "destination"))
    for name, meaning in (
        ("identity", f"Cilium security identity of the {whose}; below 256 reserved"),
        ("labels", f"labels that tell what the {whose} is"),
        ("names", f"DNS names the node knows the {whose}'s address by"),
        ("service", f"service of the {whose}'s address and port"),
    )
}

_REPORTED: Final = {
    f"reported_{side}_{name}": f"{name} of the {whose}, as Cilium says"
    for side, whose in (("src", "source"), ("dst", "destination"))
    for name in ("cluster", "namespace", "workload", "pod")
}

VERDICTS: Final = View(
    "v_verdicts",
    "What did each node's datapath do with which packets, and why?",
    {
        "event_time": "when the node saw the packet",
        "received_time": "when the agent had the event",
        **(OBSERVER | {"exporter": "node that saw it"}),
        "verdict": "FORWARDED, DROPPED, ERROR, AUDIT, REDIRECTED, TRACED, TRANSLATED",
        "drop_reason": "why it was dropped",
        "event_type": "trace, drop, policy_verdict...",
        "observation_point": "where in the datapath",
        "trace_reason": "NEW, ESTABLISHED, REPLY...",
        "traffic_direction": "INGRESS or EGRESS, of the connection at the local endpoint",
        "is_reply": "true from server to client; null if not known",
        **side_columns("src"),
        "src_port": "source port",
        **side_columns("dst"),
        "dst_port": "destination port",
        "protocol": "IP protocol number",
        "tcp_flags": "TCP flags of the packet",
        "icmp_type_code": "ICMP type << 8 | code",
        "post_nat_src_ip": "source after translation, if told",
        "encrypted": "true if encrypted between nodes; null if not told",
        "interface": "network interface",
        "proxy_port": "port of the L7 proxy it was sent to",
        "policy_match": "what of a policy matched",
        "allowed_by": "policies that allowed it",
        "denied_by": "policies that denied it",
        **_TOLD,
        **_REPORTED,
    },
    f"""SELECT d.*, v.cluster AS observer_cluster, v.network, v.agent, v.exporter,
        ip_text(post_nat_src_ip_hi, post_nat_src_ip_lo) AS post_nat_src_ip,
        {side_select("src", "ip_text(src_ip_hi, src_ip_lo)")},
        {side_select("dst", "ip_text(dst_ip_hi, dst_ip_lo)")}
    FROM verdicts d {SIDE_JOINS}""",
)


def _who(side: str) -> str:
    """Entity of a side: the resolved endpoint, else what is told of it, else network/address."""
    told = f"""concat_ws('/', reported_{side}_cluster, reported_{side}_namespace,
        coalesce(reported_{side}_workload, reported_{side}_pod))"""
    named = f"coalesce(reported_{side}_workload, reported_{side}_pod) IS NOT NULL"
    return f"WHEN {side}_resolution = 'resolved' THEN {side}_entity WHEN {named} THEN {told}"


def _peer(side: str) -> str:
    """As `_who`; of what is outside, its DNS name or the identity Cilium reserves for it."""
    reserved = f"list_filter({side}_labels, lambda label: starts_with(label, 'reserved:'))[1]"
    return f"""CASE {_who(side)} WHEN {side}_names[1] IS NOT NULL THEN {side}_names[1]
        ELSE coalesce({reserved}, {side}_entity) END"""


_DISTINCT: Final = "coalesce(list_sort(list_distinct(flatten(list({}) FILTER (len({}) > 0)))), [])"

_COLUMNS: Final = {
    "layer": "L4: packets a datapath refused; L7: requests and connections a proxy refused",
    "client_entity": "who wanted it: workload, else DNS name, reserved identity or network/address",
    "server_entity": "from whom, likewise; a host name where no more is known",
    "server_port": "port of the server",
    "protocol": "TCP, UDP, SCTP, ICMP or IP protocol number; HTTP/1.1, DNS...",
    "verdict": "DROPPED; ERROR; AUDIT: let through, a policy would have denied it",
    "reason": "why, in the words of who refused; POLICY_DENIED: none allows it, POLICY_DENY: one denies it",
    "policies": "policies that denied it; empty where none is named",
    "traffic_direction": "EGRESS: refused where it left; INGRESS: where it arrived",
    "observers": "nodes or proxies that refused it",
    "times": "packets (every retry is one more) or requests refused",
    "first_time": "first seen",
    "last_time": "last seen",
}


def _refused(and_of: str = "") -> str:
    """SQL of who was refused what, of rows for whose time (``{0}``) a further condition holds."""
    # One packet gives an event of the policy that is looked up and one of the drop.
    return f"""SELECT 'L4' AS layer, client_entity, server_entity, server_port, protocol, verdict,
        drop_reason AS reason, {_DISTINCT.format("denied_by", "denied_by")} AS policies, traffic_direction,
        list_sort(list(DISTINCT exporter)) AS observers,
        greatest(count(*) FILTER (event_type = 'policy_verdict'),
            count(*) FILTER (event_type IS DISTINCT FROM 'policy_verdict')) AS times,
        min(event_time) AS first_time, max(event_time) AS last_time
    FROM (
        SELECT * REPLACE (CASE protocol WHEN 6 THEN 'TCP' WHEN 17 THEN 'UDP' WHEN 132 THEN 'SCTP'
                WHEN 1 THEN 'ICMP' WHEN 58 THEN 'ICMP' ELSE protocol::VARCHAR END AS protocol),
            CASE WHEN is_reply THEN {_peer("dst")} ELSE {_peer("src")} END AS client_entity,
            CASE WHEN is_reply THEN {_peer("src")} ELSE {_peer("dst")} END AS server_entity,
            CASE WHEN is_reply THEN src_port ELSE dst_port END AS server_port
        FROM v_verdicts WHERE verdict IN ('DROPPED', 'ERROR', 'AUDIT') {and_of.format("event_time")}
    ) GROUP BY client_entity, server_entity, server_port, protocol, verdict, drop_reason, traffic_direction
    UNION ALL BY NAME
    SELECT 'L7' AS layer, client_entity, server_entity, server_port, protocol, 'DROPPED' AS verdict,
        reason, coalesce(list_sort(list(DISTINCT policy) FILTER (policy IS NOT NULL)), []) AS policies, traffic_direction,
        list_sort(list(DISTINCT exporter)) AS observers, count(DISTINCT call) AS times,
        min(start_time) AS first_time, max(start_time) AS last_time
    FROM (
        SELECT *, coalesce(response_code_details, termination_details,
                CASE WHEN {TURNED_AWAY} THEN 'filter_chain_not_found' END) AS reason,
            CASE {_who("src")} ELSE coalesce(downstream_peer_identity, src_entity) END AS client_entity,
            CASE {_who("dst")} ELSE coalesce(service, authority, dst_entity) END AS server_entity,
            coalesce(service_port, downstream_local_port, upstream_remote_port) AS server_port,
            CASE reporter WHEN 'source' THEN 'EGRESS' WHEN 'destination' THEN 'INGRESS' END AS traffic_direction,
            coalesce(request_id, concat_ws(' ', start_time, downstream_remote_ip, downstream_remote_port)) AS call
        FROM v_requests WHERE (authz = 'denied' OR {TURNED_AWAY}) {and_of.format("start_time")}
    ) GROUP BY client_entity, server_entity, server_port, protocol, reason, traffic_direction"""


POLICY_VERDICTS: Final = View(
    "v_policy_verdicts",
    "Who was denied or dropped, by which policy or for which reason, how often?",
    _COLUMNS,
    _refused(),
)

POLICY_VERDICTS_BETWEEN: Final = Function(
    "policy_verdicts_between",
    "Who was denied or dropped in a span, by which policy or for which reason, how often?",
    SPAN,
    _COLUMNS,
    _refused(f"AND {{0}} >= {SINCE} AND {{0}} < {UNTIL}"),
)
