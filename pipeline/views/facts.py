"""
Facts with names: flows, requests and endpoints, addresses as text.

Before: lake.py (the tables). After: topology.py.
"""

from typing import Final

from pipeline.decode.response_flags import FLAGS
from pipeline.schema import FLOWS as TABLE
from pipeline.schema import View

_SIDE: Final = {
    "ip": "address, text",
    "entity": "what has the address: `v_endpoints.entity` if resolved, else network/address; the range's name if that is outside",
    "kind": "kind of that endpoint; external: a named range outside; null unless resolved",
    "cluster": "its cluster",
    "namespace": "its namespace",
    "workload": "its workload",
    "host": "host name it is called by",
    "spiffe_id": "its SPIFFE ID",
    "node": "node it runs on",
    "mesh": "service mesh of its cluster",
    "network": "network it was found in; the observer's where nobody is known",
    "provider": "cloud it is in: its own, its cluster's or its range's",
    "region": "likewise its region",
    "zone": "likewise its zone",
    "vpc": "cloud network of the longest range",
    "subnet": "subnet of the longest range",
    "resolution": "resolved, ambiguous or unknown, by (network, address, time)",
    "method": "how it was found: exact, service, gateway, peering, external, prefix, none",
    "prefix": "name of the longest declared range that held the address then",
}


def side_columns(side: str) -> dict[str, str]:
    """Columns of one side, ``src`` or ``dst``, that every view of facts has."""
    return {f"{side}_{name}": meaning for name, meaning in _SIDE.items()}


def _side_entity(side: str, ip: str) -> str:
    """Entity of a side; null where it has no address."""
    return f"""coalesce({side}e.entity, CASE WHEN {side}_method = 'external' THEN {side}p.name END,
            coalesce({side}p.network, v.network) || '/' || {ip})"""


def side_select(side: str, ip: str) -> str:
    """Columns of `_SIDE`, from joins named ``{side}e`` and ``{side}p``; ``ip`` is the address text."""
    return f"""{ip} AS {side}_ip, {_side_entity(side, ip)} AS {side}_entity,
        coalesce({side}e.kind, CASE WHEN {side}_method = 'external' THEN 'external' END)
            AS {side}_kind,
        {side}e.cluster AS {side}_cluster, {side}e.namespace AS {side}_namespace,
        {side}e.workload AS {side}_workload, {side}e.service AS {side}_host,
        {side}e.identity AS {side}_spiffe_id, {side}e.node AS {side}_node,
        {side}e.mesh AS {side}_mesh,
        coalesce({side}e.network, {side}p.network, v.network) AS {side}_network,
        coalesce({side}e.provider, {side}p.provider) AS {side}_provider,
        coalesce({side}e.region, {side}p.region) AS {side}_region,
        coalesce({side}e.zone, {side}p.zone) AS {side}_zone,
        {side}p.vpc AS {side}_vpc, {side}p.subnet AS {side}_subnet,
        {side}_resolution, {side}_method, {side}p.name AS {side}_prefix"""


def side_joins(side: str) -> str:
    """Joins that `side_select` reads."""
    return f"""
    LEFT JOIN v_endpoints {side}e ON {side}e.endpoint_id = {side}_endpoint_id
    LEFT JOIN prefixes {side}p ON {side}p.prefix_id = {side}_prefix_id"""


SIDE_JOINS: Final = f"""
    LEFT JOIN vantages v USING (vantage_id) {side_joins("src")} {side_joins("dst")}"""

_TRANSLATED: Final = {"post_nat_src": "source", "post_nat_dst": "destination"}


def _translated(side: str) -> str:
    ip = f"ip_text({side}_ip_hi, {side}_ip_lo)"
    return f"{ip} AS {side}_ip, {_side_entity(side, ip)} AS {side}_entity"


OBSERVER: Final = {
    "observer_cluster": "cluster of the agent that took the record",
    "network": "network in which its addresses mean something",
    "agent": "agent",
    "exporter": "exporter's address, or the proxy's log",
}

ENDPOINTS: Final = View(
    "v_endpoints",
    "What is (or was) every known address?",
    {
        "endpoint_id": "id that facts hold",
        "entity": "what people call it: cluster/namespace/workload for pods, cluster/kind/name for the rest",
        "network": "network the address is in",
        "ip": "address, text",
        "kind": "pod, node, vm, gateway, load_balancer, service, interface, external",
        "provider": "cloud it is in: its own, else its cluster's",
        "region": "likewise its region",
        "zone": "zone",
        "mesh": "service mesh of its cluster",
        "cluster": "cluster",
        "namespace": "namespace",
        "workload": "workload",
        "service": "host name it is called by",
        "pod": "pod",
        "node": "node",
        "identity": "SPIFFE ID",
        "valid_from": "from when, inclusive",
        "valid_to": "until when, exclusive",
    },
    """SELECT *, CASE
            WHEN kind IN ('pod', 'vm') AND workload IS NOT NULL
            THEN concat_ws('/', cluster, namespace, workload)
            ELSE concat_ws('/', coalesce(cluster, network), kind, coalesce(workload, service, node, pod, ip))
        END AS entity
    FROM (SELECT e.* REPLACE (coalesce(e.provider, c.provider) AS provider,
                              coalesce(e.region, c.region) AS region),
                 c.mesh, ip_text(endpoint_ip_hi, endpoint_ip_lo) AS ip
          FROM endpoints e LEFT JOIN clusters c USING (cluster))""",
)

_LOSSES: Final = (
    *("dropped_bytes", "dropped_packets", "retransmitted_bytes", "retransmitted_packets"),
    *("rtt_us", "min_rtt_us", "forwarding_status"),
)

FLOWS: Final = View(
    "v_flows",
    "Which flows were seen, by whom, between which workloads?",
    {
        "start_time": "first packet",
        "end_time": "last packet",
        "received_time": "when the agent had the record",
        **OBSERVER,
        "format": "netflow5, netflow9, ipfix, or inet_diag: a node's own connections",
        "observation_domain": "observation domain, source id or engine",
        **side_columns("src"),
        "src_port": "source port",
        **side_columns("dst"),
        "dst_port": "destination port",
        "protocol": "IP protocol number",
        "tcp_flags": "TCP flags, OR over the flow",
        "direction": "0 ingress, 1 egress at the observation point",
        "bytes": "octets observed",
        "packets": "packets observed",
        "sampling_factor": "what observed counts are multiplied by",
        "bytes_estimate": "octets after sampling",
        "packets_estimate": "packets after sampling",
        **{column.name: column.meaning for column in TABLE.columns if column.name in _LOSSES},
        **{
            f"{side}_{name}": f"{what} of the {whose} after translation; null if not exported"
            for side, whose in _TRANSLATED.items()
            for name, what in (
                ("ip", "address"),
                ("entity", "entity"),
                ("resolution", "resolution"),
                ("method", "method of resolution"),
            )
        },
        "event": "firewall or NAT event",
        "end_reason": "why the flow ended",
        "src_ip_hi": "source address, high half: for `in_cidr(src_ip_hi, src_ip_lo, '10.0.0.0/16')`",
        "src_ip_lo": "low half",
        "dst_ip_hi": "destination address, high half",
        "dst_ip_lo": "low half",
    },
    f"""SELECT f.*, v.cluster AS observer_cluster, v.network, v.agent, v.exporter, v.format,
        v.observation_domain,
        {side_select("src", "ip_text(src_ip_hi, src_ip_lo)")},
        {side_select("dst", "ip_text(dst_ip_hi, dst_ip_lo)")},
        bytes * sampling_factor AS bytes_estimate, packets * sampling_factor AS packets_estimate,
        {", ".join(_translated(side) for side in _TRANSLATED)}
    FROM flows f {SIDE_JOINS} {" ".join(side_joins(side) for side in _TRANSLATED)}""",
)

_ADDRESSES: Final = ("downstream_remote", "downstream_local", "upstream_local", "upstream_remote")

REQUESTS: Final = View(
    "v_requests",
    "What did each proxy log?",
    {
        "start_time": "when the proxy began",
        "received_time": "when the agent read the line",
        **OBSERVER,
        "reporter": "source (client's proxy), destination (server's), gateway, waypoint, unknown",
        "proxy_model": "sidecar, host, gateway, waypoint; null if not told",
        "mesh": "service mesh; null if not told",
        "log_type": "end, start, periodic or attempt; null if not told; only ends and nulls are requests to count",
        "is_health_check": "true if a proxy's health check, not traffic; null if not told",
        **side_columns("src"),
        **side_columns("dst"),
        "service": "host name of the service called",
        "service_port": "its port",
        "service_subset": "its subset",
        "service_network": "where the name itself says it is: datacenter, zone, peer or cluster",
        "protocol": "HTTP/1.1, HTTP/2, TCP...",
        "method": "HTTP method",
        "authority": "host the client asked for",
        "path": "path without query",
        "route": "route name",
        "status": "HTTP status; null if no response was sent",
        "grpc_status": "gRPC status code; null if not gRPC or not told",
        "response_flags": "why the proxy answered or cut",
        "response_code_details": "what set the status",
        "termination_details": "why the connection ended",
        "upstream_failure": "transport failure towards the upstream",
        "authz": "allowed or denied; null if not told",
        "policy": "authorization policy that said so",
        "duration_ms": "duration",
        "request_ms": "until the request was in",
        "ttfb_ms": "until the first byte from upstream",
        "upstream_ms": "of that, the upstream's",
        "bytes_received": "body octets from the client side",
        "bytes_sent": "body octets to the client side",
        "attempts": "times it was sent upstream",
        **{
            f"{end}_wire_bytes_{way}": f"octets {way}, {end}, with headers"
            for end in ("downstream", "upstream")
            for way in ("received", "sent")
        },
        "request_id": "x-request-id",
        "trace_id": "trace id",
        "stream_id": "the proxy's own id of it",
        "sni": "TLS server name asked for",
        "upstream_cluster": "the proxy's name for where it sent it",
        **{f"{name}_ip": f"{name.replace('_', ' ')} address" for name in _ADDRESSES},
        **{f"{name}_port": f"{name.replace('_', ' ')} port" for name in _ADDRESSES},
        "downstream_peer_identity": "SPIFFE ID of the client",
        "downstream_local_identity": "SPIFFE ID shown to the client",
        "upstream_peer_identity": "SPIFFE ID of the server",
        "upstream_local_identity": "SPIFFE ID shown to the server",
        "downstream_tls": "TLS version of the connection in",
        "upstream_tls": "TLS version of the connection out",
        **{
            f"reported_{side}_{name}": f"{name} of the {whose}, as the proxy says"
            for side, whose in (("src", "client"), ("dst", "server"))
            for name in ("cluster", "namespace", "workload", "pod")
        },
    },
    f"""SELECT r.*, v.cluster AS observer_cluster, v.network, v.agent, v.exporter,
        {", ".join(f"ip_text({name}_ip_hi, {name}_ip_lo) AS {name}_ip" for name in _ADDRESSES)},
        {side_select("src", "srce.ip")}, {side_select("dst", "dste.ip")}
    FROM requests r {SIDE_JOINS}""",
)

RESPONSE_FLAGS: Final = View(
    "v_response_flags",
    "What does each response flag mean, and whom does it point at?",
    {
        "flag": "short form, as in `v_requests.response_flags`",
        "name": "long form",
        "blame": "client, network, server, proxy, configuration, policy, limit, injected or none: seen from the proxy that wrote it",
        "meaning": "in words",
    },
    "SELECT * FROM (VALUES "
    + ", ".join(
        f"('{flag.short}', '{flag.name}', '{flag.blame}', '{flag.meaning.replace(chr(39), chr(39) * 2)}')"
        for flag in FLAGS
    )
    + ") AS flags (flag, name, blame, meaning)",
)
