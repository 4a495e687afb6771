"""
Is it well, is it complete, and is the pipeline itself keeping up?

Health is from golden signals against fixed thresholds, over the last quarter of an
hour of the rollup; what was usual, and who suffers from whom, is of the last minute
of `health_1m`. An edge that is too quiet to judge is *unknown*, not healthy.

Before: rollups.py. After: pane.py.
"""

from typing import Final

from pipeline.accounting import COUNTERS
from pipeline.schema import View, health

WINDOW_MINUTES: Final = 15
MIN_REQUESTS: Final = 5
"""Fewer calls than this in the window say nothing about health."""
DEGRADED_ERRORS: Final = 0.01
FAILING_ERRORS: Final = 0.25
DEGRADED_LOSS: Final = 0.001
SLOW_TAIL: Final = 10
"""p95 more than so many times the median, and over `SLOW_MS`, is a degraded tail."""
SLOW_MS: Final = 100

_COUNTED: Final = "('netflow5', 'netflow9', 'ipfix', 'unknown')"
"""Formats of exporters that number what they send; proxies do not, so nothing is judged by it."""

_KINDS: Final = {
    "service": "server_entity",
    "workload": "client_entity",
    "edge": "coalesce(client_entity, 'unknown') || ' -> ' || server_entity",
    "gateway": "gateway",
    "cluster": "server_cluster",
    "cloud_link": """CASE WHEN client_provider IS NOT NULL AND server_provider IS NOT NULL
            AND (client_provider, client_region) IS DISTINCT FROM (server_provider, server_region)
        THEN concat_ws('/', client_provider, client_region) || ' -> '
            || concat_ws('/', server_provider, server_region) END""",
}
"""Kinds of entities that have calls, and what an edge's row calls them."""

_EACH: Final = " UNION ALL ".join(
    f"SELECT '{kind}' AS entity_kind, {entity} AS entity, * FROM recent"
    for kind, entity in _KINDS.items()
)
_LOST: Final = "contains(reason, '% of packets ')"
_KEPT: Final = f"contains(reason, ', usually ') OR starts_with(reason, 'gateway ') OR {_LOST}"
"""
Reasons that only `health_1m` knows: what was usual, what gateways a cluster has, and how many
packets are lost. It knows of calls, too, that no proxy sent to a gateway any more, and of
those that failed on the way to one for another's fault (``of_gateways``); and of who has
no calls and tells of packets (``of_packets``).
"""
FAILING_LOSSES: Final = 0.10
"""Share of packets sent again, or dropped."""
_MINUTES: Final = f"""health_1m WHERE minute > greatest((SELECT max(bucket_start) FROM edges_1m),
                (SELECT max(minute) FROM health_1m)) - INTERVAL {WINDOW_MINUTES} MINUTE"""

_CALLS: Final = f"""
    WITH recent AS MATERIALIZED (SELECT * FROM edges_1m WHERE bucket_start
            > (SELECT max(bucket_start) FROM edges_1m) - INTERVAL {WINDOW_MINUTES} MINUTE
    ), of_each AS (SELECT * FROM ({_EACH}) WHERE entity IS NOT NULL
    ), buckets AS (
        SELECT entity_kind, entity, one.bucket, sum(one.calls)::UBIGINT AS calls
        FROM (SELECT entity_kind, entity, unnest(durations) AS one FROM of_each) GROUP BY ALL
    ), histograms AS (
        SELECT entity_kind, entity, list({{'bucket': bucket, 'calls': calls}}) AS durations
        FROM buckets GROUP BY entity_kind, entity
    ), counted AS (
        SELECT entity_kind, entity, sum(requests)::BIGINT AS requests,
            sum(CASE entity_kind WHEN 'gateway' THEN unserved_errors ELSE errors END)::BIGINT AS errors,
            sum(denied)::BIGINT AS denied,
            sum(on_the_way_ns) / 1e6 / nullif(sum(both_timed), 0) AS way_ms,
            min(first_time) AS window_start, max(last_time) AS window_end
        FROM of_each GROUP BY entity_kind, entity
    ), of_gateways AS (
        SELECT 'gateway' AS entity_kind, entity, sum(requests)::BIGINT AS requests, sum(errors)::BIGINT AS errors,
            min(minute) AS window_start, max(minute) + INTERVAL 1 MINUTE AS window_end
        FROM health_1m WHERE entity_kind = 'gateway' AND requests > 0 AND minute
            > (SELECT max(bucket_start) FROM edges_1m) - INTERVAL {WINDOW_MINUTES} MINUTE
        GROUP BY entity
    ), of_packets AS (
        SELECT entity_kind, entity, 0::BIGINT AS requests, 0::BIGINT AS denied,
            min(minute) AS window_start, max(minute) + INTERVAL 1 MINUTE AS window_end
        FROM {_MINUTES} AND (retransmit_packets IS NOT NULL OR drop_packets IS NOT NULL)
        GROUP BY entity_kind, entity
    ), measured AS (
        SELECT entity_kind, entity, coalesce(g.requests, c.requests) AS requests,
            coalesce(g.errors, c.errors) / coalesce(g.requests, c.requests) AS error_share,
            coalesce(denied, 0) AS denied, way_ms, coalesce(c.window_start, g.window_start) AS window_start,
            coalesce(c.window_end, g.window_end) AS window_end
        FROM counted c FULL JOIN of_gateways g USING (entity_kind, entity)
        UNION ALL BY NAME
        FROM of_packets ANTI JOIN counted USING (entity_kind, entity) ANTI JOIN of_gateways USING (entity_kind, entity)
    ), told AS (
        SELECT entity_kind, entity, coalesce(list_sort(list_distinct(flatten(list(flags)))), []) AS flags,
            arg_max(blamed, errors) AS blamed, arg_max(reasons, minute) AS reasons_then,
            arg_max({{'name': caused_by}}, minute) FILTER (state IN ('degraded', 'failing')).name AS caused_by,
            arg_max(greatest(retransmit_share, drop_share), minute) AS lost_share
        FROM {_MINUTES} GROUP BY entity_kind, entity
    ), timed AS (
        SELECT * EXCLUDE (durations, flags),
            CASE entity_kind WHEN 'gateway' THEN way_ms ELSE histogram_quantile(durations, 0.5) END AS p50_ms,
            CASE WHEN entity_kind <> 'gateway' THEN histogram_quantile(durations, 0.95) END AS p95_ms,
            coalesce(flags, []) AS flags,
            coalesce(list_filter(reasons_then, lambda reason: {_KEPT}), []) AS kept
        FROM measured LEFT JOIN histograms USING (entity_kind, entity)
        LEFT JOIN told USING (entity_kind, entity)
    ), reasoned AS (
        SELECT *, list_filter([
                CASE WHEN requests BETWEEN 1 AND {MIN_REQUESTS} - 1 THEN format('only {{}} calls', requests) END,
                CASE WHEN error_share >= {DEGRADED_ERRORS} THEN format('{{:.1f}}% errors', error_share * 100) END,
                CASE WHEN error_share >= {DEGRADED_ERRORS} AND len(flags) > 0
                    THEN 'flags ' || array_to_string(flags, ',') END,
                CASE WHEN error_share >= {DEGRADED_ERRORS} AND blamed IS NOT NULL THEN 'blame: ' || blamed END,
                CASE WHEN p95_ms > {SLOW_MS} AND p95_ms > {SLOW_TAIL} * p50_ms
                    THEN format('p95 {{:.0f}} ms is {{:.0f}} times the median', p95_ms, p95_ms / p50_ms) END
            ], lambda reason: reason IS NOT NULL) || kept AS reasons
        FROM timed
    )
    SELECT * EXCLUDE (caused_by, lost_share), CASE WHEN state IN ('degraded', 'failing') THEN caused_by END AS caused_by
    FROM (
        SELECT *, CASE
                WHEN len(list_filter(kept, lambda reason: ends_with(reason, ' is failing'))) > 0 THEN 'failing'
                WHEN lost_share >= {FAILING_LOSSES} AND len(list_filter(kept, lambda reason: {_LOST})) > 0 THEN 'failing'
                WHEN requests < {MIN_REQUESTS} AND len(kept) = 0 AND NOT (requests = 0 AND lost_share IS NOT NULL)
                    THEN 'unknown'
                WHEN error_share >= {FAILING_ERRORS} THEN 'failing'
                WHEN len(reasons) > 0 THEN 'degraded' ELSE 'healthy' END AS state
        FROM reasoned
    )"""
"""What calls of the last minutes say, of their rollup; and of `health_1m`, what they do not."""

_EXPORTERS: Final = f"""
    SELECT 'exporter' AS entity_kind, observer_cluster || '/' || exporter AS entity,
        loss_share AS error_share, first_time AS window_start, last_time AS window_end,
        CASE WHEN loss_share IS NULL THEN 'unknown' WHEN loss_share > {DEGRADED_LOSS} THEN 'degraded'
            ELSE 'healthy' END AS state,
        CASE WHEN loss_share > {DEGRADED_LOSS}
            THEN [format('{{:.2f}}% lost before us', loss_share * 100)] ELSE [] END AS reasons
    FROM v_completeness WHERE format IN {_COUNTED}"""


_TOLD: Final = """
    SELECT 'upstream' AS entity_kind, state, reasons,
        observer_cluster || '/' || exporter || ' -> ' || upstream_cluster AS entity,
        scraped_time AS window_end
    FROM v_upstreams WHERE upstream_cluster IS NOT NULL
    UNION ALL BY NAME
    SELECT 'certificate' AS entity_kind, observer_cluster || '/' || exporter || ': '
            || concat_ws(' ', coalesce(certificate, 'first to expire'), upstream_cluster, listener) AS entity,
        CASE state WHEN 'ok' THEN 'healthy' WHEN 'expired' THEN 'failing' ELSE 'degraded' END AS state,
        CASE state WHEN 'ok' THEN [] WHEN 'expired'
            THEN [format('expired {:.1f} days ago', -days_left)]
            ELSE [format('expires in {:.1f} days', days_left)] END AS reasons,
        scraped_time AS window_end
    FROM v_certificates
    UNION ALL BY NAME
    SELECT 'control_plane' AS entity_kind, subject || ': ' || coalesce(proxy, remote_cluster) AS entity,
        CASE WHEN connected = false OR state IN ('stale', 'rejected') OR cluster_state IN ('timeout', 'closed')
            THEN 'degraded' WHEN connected IS NULL AND state IS NULL AND cluster_state IS NULL THEN 'unknown'
            ELSE 'healthy' END AS state,
        list_filter([CASE WHEN connected = false THEN 'not connected' END,
            CASE WHEN state IN ('stale', 'rejected') THEN concat_ws(' ', state, array_to_string(behind, ',')) END,
            error, CASE WHEN cluster_state IN ('timeout', 'closed') THEN cluster_state END],
            lambda reason: reason IS NOT NULL) AS reasons,
        last_seen_time AS window_end
    FROM v_control_plane
    UNION ALL BY NAME
    SELECT 'target' AS entity_kind, observer_cluster || '/' || exporter AS entity,
        CASE WHEN is_silent THEN 'degraded' ELSE 'healthy' END AS state,
        CASE WHEN is_silent THEN [coalesce(format('silent for {:.0f} s', silent_s), 'never answered')]
            ELSE [] END AS reasons,
        last_time AS window_end
    FROM v_targets
    UNION ALL BY NAME
    SELECT 'probe' AS entity_kind, observer_cluster || '/' || agent || ' -> ' || target AS entity, state,
        reasons, loss_ratio AS error_share, total_p50_ms AS p50_ms, total_p95_ms AS p95_ms,
        first_time AS window_start, last_time AS window_end
    FROM v_probe_targets"""
"""What statistics, control planes and probes say by themselves."""

HEALTH: Final = View(
    "v_health",
    "Which services, edges, gateways and exporters are not well, and why?",
    {
        "entity_kind": "service, workload, edge, gateway, cluster, cloud_link, as in `health_1m`; exporter; upstream (what one proxy sends to), certificate, control_plane, target (of scrapes), probe, as far as statistics are collected",
        "entity": "`v_topology_nodes.entity`; for an edge client -> server; for an exporter or target cluster/exporter; for an upstream cluster/proxy -> upstream; for a certificate cluster/proxy: certificate; for a control plane the proxy it serves; for a probe cluster/agent -> target",
        "state": "healthy, degraded, failing, unknown (too little seen to say)",
        "reasons": "why it is not healthy, with figures",
        "caused_by": "what it suffers from, as far as that is told: `health_1m.caused_by`",
        "requests": "calls in the window; null where no calls are judged",
        "error_share": "share the server side failed; for exporters the share of units lost on the way to us; for probes the share of tries",
        "denied": "calls a policy denied: not an error of the service",
        "p50_ms": "median duration, 3 % off at most; of a gateway the mean of what calls took beyond their time at the server",
        "p95_ms": "95th percentile, likewise; of a gateway null",
        "flags": "response flags seen",
        "window_start": "first call of the window",
        "window_end": "last call of the window",
    },
    f"""{_CALLS}
    UNION ALL BY NAME {_EXPORTERS}
    UNION ALL BY NAME {_TOLD}""",
)

HEALTH_1M: Final = View(
    "v_health_1m",
    "How well was everything, minute by minute, why, and because of what?",
    {column.name: column.meaning for column in health.HEALTH_1M.columns},
    "FROM health_1m",
)

BEHIND_MS: Final = 60_000
"""A proxy that has not taken its configuration for longer is behind."""
BEHIND: Final = f"""(state = 'rejected' OR state = 'stale' AND staleness_ms > {BEHIND_MS}
            OR connected = false AND told_by = 'proxy')"""
"""Of a row of `v_control_plane`: whether its proxy is behind."""
UNREAD: Final = "cluster_state IN ('timeout', 'closed')"

CONTROL_PLANES: Final = f"""WITH told AS (
        SELECT coalesce(control_plane, observer_cluster) AS entity, min(observer_cluster) AS cluster,
            count(DISTINCT proxy) FILTER (subject = 'proxy') AS requests,
            count(DISTINCT proxy) FILTER (subject = 'proxy' AND {BEHIND}) AS errors,
            list_sort(list(DISTINCT remote_cluster) FILTER (subject = 'cluster' AND {UNREAD})) AS unread
        FROM v_control_plane GROUP BY entity
    )
    SELECT *, CASE WHEN requests > 0 AND errors / requests >= {FAILING_ERRORS} THEN 'failing'
            WHEN errors > 0 OR unread IS NOT NULL THEN 'degraded' ELSE 'healthy' END AS state,
        round(greatest(0, 1 - coalesce(errors / nullif(requests, 0), 0) / {FAILING_ERRORS}
            - CASE WHEN unread IS NULL THEN 0 ELSE 0.5 END), 3)::DOUBLE AS score,
        list_filter([
            CASE WHEN errors > 0 THEN format('{{}} of {{}} proxies behind', errors, requests) END,
            CASE WHEN unread IS NOT NULL THEN 'does not read ' || array_to_string(unread, ', ') END
        ], lambda reason: reason IS NOT NULL) AS reasons
    FROM told"""
"""Rows of `health_1m` of control planes: by what proxies have taken, and which clusters are read."""

COMPLETENESS: Final = View(
    "v_completeness",
    "How much of what was sent do we have, and how much of it do we understand?",
    {
        "observer_cluster": "cluster of the agent",
        "network": "its network",
        "agent": "agent",
        "exporter": "exporter's address, or the proxy's log",
        "format": "netflow5, netflow9, ipfix, envoy_json, envoy_text...",
        "observation_domain": "observation domain, source id or engine",
        **COUNTERS,
        "sequence_units_lost": "expected less received; below zero while datagrams sent twice outnumber those lost",
        "loss_share": "lost of expected; null where the exporter does not count, or nothing is expected yet",
        "rows": "rows in `flows`, `requests` or `verdicts`",
        "sides": "addresses that were looked up: two a row",
        "unknown_share": "of those, unknown",
        "ambiguous_share": "of those, ambiguous",
        "first_time": "first minute of receipt",
        "last_time": "last minute of receipt",
    },
    f"""SELECT v.cluster AS observer_cluster, v.*, a.*, r.rows, r.rows * 2 AS sides,
        r.unknown_sides / r.rows / 2 AS unknown_share, r.ambiguous_sides / r.rows / 2 AS ambiguous_share,
        sequence_units_expected - sequence_units_received AS sequence_units_lost,
        greatest(sequence_units_expected - sequence_units_received, 0)
            / nullif(sequence_units_expected, 0) AS loss_share
    FROM (SELECT vantage_id, {", ".join(f"sum({name})::BIGINT AS {name}" for name in COUNTERS)},
            min(minute) AS first_time, max(minute) AS last_time FROM accounting GROUP BY vantage_id) a
    JOIN vantages v USING (vantage_id)
    LEFT JOIN (
        SELECT vantage_id, count(*) AS rows,
            sum((src_resolution = 'unknown')::INTEGER + (dst_resolution = 'unknown')::INTEGER) AS unknown_sides,
            sum((src_resolution = 'ambiguous')::INTEGER + (dst_resolution = 'ambiguous')::INTEGER) AS ambiguous_sides
        FROM (SELECT vantage_id, src_resolution, dst_resolution FROM flows
              UNION ALL SELECT vantage_id, src_resolution, dst_resolution FROM requests
              UNION ALL SELECT vantage_id, src_resolution, dst_resolution FROM verdicts)
        GROUP BY vantage_id
    ) r USING (vantage_id)""",
)

PIPELINE: Final = View(
    "v_pipeline",
    "Does the job keep up, and where does its time go?",
    {
        "minute": "minute of the commits",
        "commits": "transactions",
        "messages": "log messages taken",
        "payloads": "payloads in them",
        "payload_bytes": "their bytes",
        "flows": "flow rows",
        "requests": "request rows",
        "rejects": "reject rows",
        "lag_ms": "largest age of a newest message at its commit",
        "poll_ms": "time waiting for the log",
        "decode_ms": "time decoding",
        "enrich_ms": "time normalizing and enriching",
        "write_ms": "time in transactions",
    },
    """SELECT time_bucket(INTERVAL 1 MINUTE, committed_time) AS minute, count(*) AS commits,
        sum(messages)::BIGINT AS messages, sum(payloads)::BIGINT AS payloads,
        sum(payload_bytes)::BIGINT AS payload_bytes, sum(flows)::BIGINT AS flows,
        sum(requests)::BIGINT AS requests, sum(rejects)::BIGINT AS rejects, max(lag_ms) AS lag_ms,
        sum(poll_ms) AS poll_ms, sum(decode_ms) AS decode_ms, sum(enrich_ms) AS enrich_ms,
        sum(write_ms) AS write_ms
    FROM commits GROUP BY minute""",
)

REJECTS: Final = View(
    "v_rejects",
    "What could not be decoded, from whom, and why?",
    {
        "received_time": "when the agent had it",
        "observer_cluster": "cluster of the agent; null where the message told none",
        "agent": "agent",
        "exporter": "exporter's address, or the proxy's log",
        "format": "format, as far as it was recognised",
        "reason": "one of a fixed list",
        "detail": "for people",
        "raw": "the bytes, at most 2,048",
        "raw_length": "how many there were",
        "topic": "log topic",
        "partition": "log partition",
        "log_offset": "offset of the message: replay from here",
    },
    """SELECT r.*, v.cluster AS observer_cluster, v.agent, v.exporter, v.format
    FROM rejects r LEFT JOIN vantages v USING (vantage_id)""",
)
