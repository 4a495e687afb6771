"""
What a path costs: the same pair of workloads through a gateway and without one.

Of each call that both ends timed, what the client's proxy waited beyond the server's is the
path's: the network, gateways, proxies, and a handshake where a connection was new. Of one pair
of workloads that is told for each path they used, and what the gateway's is above the direct
one's is the gateway tax. Two clients, or two servers, differ by more than their path: they are
never compared.

A gateway that reads calls (a waypoint, say) timed each, so the hops before it and behind it
are known apart. One that passes TLS through timed connections only, and of it is known what
all hops together cost. No clock of one machine is compared with another's.

Before: stitched.py. After: dashboards/.
"""

from typing import Final

from pipeline.schema import Function, View
from pipeline.views.rollups import SINCE, SPAN, UNTIL

_COLUMNS: Final = {
    "client_entity": "`v_endpoints.entity` of the client",
    "server_entity": "of the server",
    "path_model": "local, flat or gateway",
    "gateway": "declared gateway the client's connection went to, name; null if none",
    "timed_by": "exporters of gateways and waypoints that timed each call, in order; empty where they told of connections only, or there are none",
    "services": "host names called, distinct",
    "match_methods": "how ends were joined, distinct",
    "calls": "conversations",
    "errors": "of them, failed on the server side",
    "retries": "times they were sent again; null if no proxy told",
    "bytes_difference": "body octets at the client's proxy less those at the server's, added; null if none told both",
    "timed_calls": "conversations that both ends timed and that were sent once: what all that follows is of",
    "client_p50_ms": "median duration at the client's proxy: end to end",
    "client_p95_ms": "95th percentile of it",
    "server_p50_ms": "median duration at the server's proxy",
    "server_p95_ms": "95th percentile of it",
    "overhead_p50_ms": "median of the client's less the server's: what the path costs",
    "overhead_p95_ms": "95th percentile of it",
    "hop_p50_ms": "the same for each hop from one proxy that timed calls to the next: client, ``timed_by``, server",
    "direct_calls": "timed calls of the same pair without a gateway, flat or local; null if none",
    "direct_overhead_p50_ms": "median of what their path costs",
    "gateway_tax_ms": "of a path through a gateway: what it costs above the direct one's; null where only one is seen",
    "first_time": "when the first call began",
    "last_time": "when the last call began",
}


def _taxed(minutes: str) -> str:
    """SQL of those columns, of conversations whose minute fulfils a condition."""
    key = "client_entity, server_entity, path_model, gateway, timed_by"
    path = f"hash({key}) AS path"
    return f"""WITH sent AS (
        SELECT edge_id, min(g.name) AS gateway
        FROM legs l JOIN v_gateways g ON g.network = l.network AND g.port = l.upstream_remote_port
            AND g.gateway_ip_hi = l.upstream_remote_ip_hi AND g.gateway_ip_lo = l.upstream_remote_ip_lo
        WHERE role = 'client' AND {minutes} GROUP BY edge_id
    ), passed AS (
        SELECT edge_id, list(v.exporter ORDER BY hop) AS timed_by, list(duration_ms ORDER BY hop) AS timed_by_ms
        FROM legs JOIN vantages v USING (vantage_id)
        WHERE role = 'gateway' AND status IS NOT NULL AND duration_ms IS NOT NULL AND edge_id IS NOT NULL
            AND {minutes} GROUP BY edge_id
    ), calls AS MATERIALIZED (
        SELECT client.entity AS client_entity, server.entity AS server_entity, path_model, gateway,
            coalesce(timed_by, []) AS timed_by, e.service, match_method, error, attempts, bytes_difference,
            start_time, client_ms, server_ms,
            CASE WHEN coalesce(attempts, 1) = 1 THEN tax_ms END AS overhead_ms,
            [client_ms] || coalesce(timed_by_ms, []) || [server_ms] AS at_ms
        FROM (FROM edges WHERE {minutes} AND path_model IS NOT NULL) e
        JOIN v_endpoints client ON client.endpoint_id = client_endpoint_id
        JOIN v_endpoints server ON server.endpoint_id = server_endpoint_id
        LEFT JOIN sent USING (edge_id) LEFT JOIN passed USING (edge_id)
    ), hops AS (
        SELECT path, list(p50_ms ORDER BY nth) AS hop_p50_ms FROM (
            SELECT {path}, nth, median(at_ms[nth] - at_ms[nth + 1]) AS p50_ms
            FROM (SELECT *, unnest(range(1, len(at_ms))) AS nth FROM calls WHERE overhead_ms IS NOT NULL)
            GROUP BY ALL)
        GROUP BY path
    ), paths AS (
        SELECT {key}, {path}, list_sort(list(DISTINCT service) FILTER (service IS NOT NULL)) AS services,
            list_sort(list(DISTINCT match_method)) AS match_methods, count(*) AS calls,
            count(*) FILTER (error) AS errors,
            sum(attempts - least(attempts, 1))::BIGINT AS retries, sum(bytes_difference)::BIGINT AS bytes_difference,
            count(overhead_ms) AS timed_calls,
            {_quantiles("client_ms", "client")}, {_quantiles("server_ms", "server")},
            {_quantiles("overhead_ms", "overhead")},
            min(start_time) AS first_time, max(start_time) AS last_time
        FROM calls GROUP BY {key}
    ), direct AS (
        SELECT client_entity, server_entity, count(overhead_ms) AS direct_calls,
            median(overhead_ms) AS direct_overhead_p50_ms
        FROM calls WHERE path_model IN ('flat', 'local') GROUP BY ALL HAVING direct_calls > 0
    )
    SELECT paths.*, hop_p50_ms, direct_calls, direct_overhead_p50_ms,
        CASE WHEN path_model = 'gateway' THEN overhead_p50_ms - direct_overhead_p50_ms END AS gateway_tax_ms
    FROM paths LEFT JOIN direct USING (client_entity, server_entity)
    LEFT JOIN hops USING (path)"""


def _quantiles(of: str, name: str) -> str:
    timed = f"FILTER (overhead_ms IS NOT NULL) AS {name}"
    return f"median({of}) {timed}_p50_ms, quantile_cont({of}, 0.95) {timed}_p95_ms"


GATEWAY_TAX: Final = View(
    "v_gateway_tax",
    "What does the path of each pair of workloads cost, and what does a gateway cost above the direct path of the same pair?",
    _COLUMNS,
    _taxed("window_start IS NOT NULL"),
)

GATEWAY_TAX_BETWEEN: Final = Function(
    "gateway_tax_between",
    "What did the path of each pair of workloads cost in a span, and a gateway above the direct path of the same pair?",
    SPAN,
    _COLUMNS,
    _taxed(f"window_start >= time_bucket(INTERVAL 1 MINUTE, {SINCE}) AND window_start < {UNTIL}"),
)
