"""
Proxies as they count themselves, and control planes as they list them.

"Now" is the newest thing the lake holds, so that an old lake reads as it did
then. What a counter did is the difference between a target's last two scrapes;
one that is smaller than before was started anew, and counts from zero. A
target that was silent for `RECENT_HOURS` is only in `v_targets`.

Before: health.py. After: pane.py, dashboards/.
"""

from datetime import datetime, timedelta
from typing import Final

from pipeline.schema import View
from pipeline.schema.literals import literal, within
from pipeline.views.health import DEGRADED_ERRORS, FAILING_ERRORS, MIN_REQUESTS

RECENT_HOURS: Final = 2
EXPIRING_DAYS: Final = 7
"""A certificate nobody was seen to renew is *expiring* this long before its end."""
ROTATION_DAYS: Final = 4
"""For how long back renewals are looked for: meshes issue certificates of one to three days."""
SILENT_INTERVALS: Final = 3
"""A target is silent after this many of its own intervals without an answer."""

_DAY_S: Final = 86_400

_RECENT: Final = f"""received_time > (SELECT max(received_time) FROM proxy_samples)
        - INTERVAL {RECENT_HOURS} HOUR"""

_OBSERVER: Final = {
    "observer_cluster": "cluster of the agent that scrapes",
    "agent": "agent",
    "exporter": "the proxy: name of the target",
}

_EARLIER: Final = timedelta(minutes=5)
"""For how long back the scrape before a minute's first is looked for."""


def _counted(earlier: str, is_first: str) -> str:
    """SQL of what a counter counted since it was ``earlier``: null if its target's scrape is the first."""
    return f"""CASE WHEN {is_first} THEN NULL
                WHEN value < {earlier} THEN value ELSE value - coalesce({earlier}, 0) END"""


# One row a series of each target's last scrape, with what it counted since the one before.
_SERIES: Final = f"""last AS (
        SELECT vantage_id, received_time,
            lag(received_time) OVER (PARTITION BY vantage_id ORDER BY received_time) AS before_time
        FROM (SELECT DISTINCT vantage_id, received_time FROM proxy_samples
            WHERE metric = 'scrape_samples' AND {_RECENT})
        QUALIFY row_number() OVER (PARTITION BY vantage_id ORDER BY received_time DESC) = 1
    ), series AS (
        SELECT vantage_id, metric, mesh, direction, upstream_cluster, service, service_port,
            service_subset, listener, name, status, source_identity,
            l.received_time AS scraped_time, l.before_time,
            sum(value) FILTER (p.received_time = l.received_time) AS value,
            sum(value) FILTER (p.received_time = l.before_time) AS earlier
        FROM proxy_samples p JOIN last l USING (vantage_id)
        WHERE p.received_time = l.received_time OR p.received_time = l.before_time
        GROUP BY ALL HAVING value IS NOT NULL
    ), counted AS (
        SELECT *, {_counted("earlier", "before_time IS NULL")} AS more,
            (epoch_us(scraped_time) - epoch_us(before_time)) / 1e6 AS interval_s
        FROM series
    )"""


def _now(metric: str) -> str:
    return f"sum(value) FILTER (metric = '{metric}')"


def _more(metric: str) -> str:
    return f"sum(more) FILTER (metric = '{metric}')"


UPSTREAMS: Final = View(
    "v_upstreams",
    "For each proxy and upstream now: how many members are healthy, what fails, and is it well?",
    {
        **_OBSERVER,
        "mesh": "service mesh; null if not told",
        "direction": "outbound: the proxy's clients call others; inbound: others call its application",
        "upstream_cluster": "what the proxy calls the upstream",
        "service": "host name of the service; null if the name does not tell",
        "service_port": "its port",
        "service_subset": "its subset",
        "state": "healthy, degraded, failing, unknown (nothing of it is told)",
        "reasons": "why it is not healthy, with figures",
        "members": "endpoints",
        "members_healthy": "of those, neither failing their health check nor ejected",
        "members_ejected": "of those, put out by outlier detection",
        "breakers_open": "circuit breakers that are open: priority/what is full",
        "requests_per_s": "requests a second between the last two scrapes; null after the first",
        "failure_share": "share of them answered with 5xx, by the upstream or for it",
        "mean_ms": "mean time of a request between the last two scrapes",
        "retries": "requests sent again between the last two scrapes",
        "timeouts": "requests that ran out of time between the last two scrapes",
        "connect_failures": "connections that were not made between the last two scrapes",
        "tls_failures": "TLS handshakes that failed between the last two scrapes",
        "health_check_failures": "health checks that failed between the last two scrapes",
        "ejections": "endpoints put out between the last two scrapes",
        "scraped_time": "when the proxy was scraped last",
        "interval_s": "seconds since the scrape before; null if there was none",
    },
    f"""WITH {_SERIES}, told AS (
        SELECT vantage_id, upstream_cluster, any_value(mesh) AS mesh, any_value(direction) AS direction,
            any_value(service) AS service, any_value(service_port) AS service_port,
            any_value(service_subset) AS service_subset,
            coalesce({_now("upstream_members")},
                {_now("upstream_members_healthy")} + coalesce({_now("upstream_members_pending")}, 0))::BIGINT AS members,
            {_now("upstream_members_healthy")}::BIGINT AS members_healthy,
            {_now("ejections_active")}::BIGINT AS members_ejected,
            coalesce(list_sort(list(DISTINCT name) FILTER (metric = 'circuit_open' AND value > 0)), []) AS breakers_open,
            coalesce({_more("responses")}, {_more("requests")}) AS answered,
            coalesce({_more("requests")}, {_more("responses")}) AS requests,
            sum(more) FILTER (metric = 'responses' AND status >= 500) AS failed,
            {_more("request_time_sum")} / nullif({_more("request_time_count")}, 0) AS mean_ms,
            {_more("retries")}::BIGINT AS retries, {_more("timeouts")}::BIGINT AS timeouts,
            {_more("connect_failures")}::BIGINT AS connect_failures,
            {_more("tls_failures")}::BIGINT AS tls_failures,
            list_sort(list(DISTINCT name) FILTER (metric = 'tls_failures' AND more > 0)) AS tls_reasons,
            {_more("health_check_failures")}::BIGINT AS health_check_failures,
            {_more("ejections")}::BIGINT AS ejections,
            scraped_time, interval_s
        FROM counted WHERE upstream_cluster IS NOT NULL
            AND NOT ends_with(upstream_cluster, '.retry')  -- what Envoy counts of tries that were not the first
        GROUP BY vantage_id, upstream_cluster, scraped_time, interval_s
    ), judged AS (
        SELECT *, requests / nullif(interval_s, 0) AS requests_per_s,
            CASE WHEN answered > 0 THEN coalesce(failed, 0) / answered END AS failure_share
        FROM told
    )
    SELECT *, CASE
            WHEN members > 0 AND members_healthy = 0 THEN 'failing'
            WHEN answered >= {MIN_REQUESTS} AND failure_share >= {FAILING_ERRORS} THEN 'failing'
            WHEN len(reasons) > 0 THEN 'degraded'
            WHEN members IS NULL AND requests IS NULL THEN 'unknown'
            ELSE 'healthy' END AS state
    FROM (
        SELECT j.*, v.cluster AS observer_cluster, v.agent, v.exporter, list_filter([
            CASE WHEN members_healthy < members
                THEN format('{{}} of {{}} members healthy', members_healthy, members) END,
            CASE WHEN members_ejected > 0 THEN format('{{}} ejected', members_ejected) END,
            CASE WHEN len(breakers_open) > 0
                THEN 'circuit breakers open: ' || array_to_string(breakers_open, ', ') END,
            CASE WHEN failure_share >= {DEGRADED_ERRORS}
                THEN format('{{:.1f}}% of requests failed', failure_share * 100) END,
            CASE WHEN health_check_failures > 0
                THEN format('{{}} health checks failed', health_check_failures) END,
            CASE WHEN tls_failures > 0
                THEN format('{{}} TLS handshakes failed: {{}}', tls_failures, array_to_string(tls_reasons, ', ')) END,
            CASE WHEN connect_failures > 0
                THEN format('{{}} connections failed', connect_failures) END
        ], lambda reason: reason IS NOT NULL) AS reasons
        FROM judged j JOIN vantages v USING (vantage_id)
    )""",
)


def refused_sql(start: datetime, end: datetime) -> str:
    """
    SQL of ``client_cluster, service, refused``: why proxies there refused its certificates in [start, end).

    Only where that was half of the connections that they could not make to it.
    """
    of_certificate = "metric = 'tls_failures' AND starts_with(name, 'verify_')"
    return f"""WITH scraped AS (
            SELECT *, min(received_time) OVER (PARTITION BY vantage_id) AS first_time, lag(value) OVER (
                PARTITION BY vantage_id, metric, upstream_cluster, name ORDER BY received_time) AS earlier
            FROM proxy_samples WHERE {within("received_time", start - _EARLIER, end)}
                AND metric IN ('scrape_samples', 'tls_failures', 'connect_failures')
        ), counted AS (
            SELECT *, {_counted("earlier", "received_time = first_time")} AS more
            FROM scraped WHERE received_time >= {literal(start)}
                AND direction IS DISTINCT FROM 'inbound' AND service IS NOT NULL
        )
        SELECT cluster AS client_cluster, service, 'its certificate is refused: '
            || string_agg(DISTINCT name, ', ' ORDER BY name) FILTER ({of_certificate} AND more > 0) AS refused
        FROM counted JOIN vantages USING (vantage_id) GROUP BY ALL
        HAVING refused IS NOT NULL AND 2 * sum(more) FILTER ({of_certificate})
            >= coalesce(sum(more) FILTER (metric = 'connect_failures'), 0)"""


CERTIFICATES: Final = View(
    "v_certificates",
    "Which certificate of which proxy expires when, and is it late?",
    {
        **_OBSERVER,
        "certificate": "its name, as the proxy has it; null: the first of all of the proxy's to expire",
        "upstream_cluster": "upstream it is shown to, or is checked against; null if of a listener, or not told",
        "service": "host name of that upstream's service",
        "listener": "listener that shows it; null if of an upstream, or not told",
        "state": f"ok, expiring, expired. Expiring: less than {EXPIRING_DAYS} days are left; of one that is renewed by the mesh, less than a quarter of the longest time it was seen to have left",
        "expiry_time": "when it expires",
        "days_left": "days from now till then, below zero once expired",
        "renewals": f"times it was seen renewed in the last {ROTATION_DAYS} days; null where only the time left is told",
        "is_rotated": "true if it was seen renewed, or is the identity a mesh issues and renews",
        "scraped_time": "when it was told last",
    },
    f"""WITH seen AS (
        SELECT vantage_id, name AS certificate, upstream_cluster, listener, metric,
            any_value(service) AS service, max(received_time) AS scraped_time,
            CASE metric WHEN 'certificate_expiry_time' THEN to_timestamp(max_by(value, received_time))
                ELSE max(received_time) + to_milliseconds((max_by(value, received_time) * 1000)::BIGINT)
                END AS expiry_time,
            CASE metric WHEN 'certificate_expiry_time' THEN count(DISTINCT value) - 1 END AS renewals,
            max(CASE metric WHEN 'certificate_expiry_time' THEN value - epoch(received_time) ELSE value END)
                / {_DAY_S} AS longest_days
        FROM proxy_samples
        WHERE metric IN ('certificate_expiry_time', 'certificate_time_left')
            AND received_time > (SELECT max(received_time) FROM proxy_samples) - INTERVAL {ROTATION_DAYS} DAY
        GROUP BY vantage_id, name, upstream_cluster, listener, metric
    ), left_now AS (
        SELECT *, coalesce(renewals > 0, false) OR coalesce(certificate IN ('identity', 'default'), false) AS is_rotated,
            epoch_ms(expiry_time - (SELECT max(received_time) FROM proxy_samples)) / 1e3 / {_DAY_S} AS days_left
        FROM seen
    )
    SELECT l.*, v.cluster AS observer_cluster, v.agent, v.exporter, CASE
            WHEN days_left <= 0 THEN 'expired'
            WHEN days_left < CASE WHEN is_rotated THEN longest_days / 4 ELSE {EXPIRING_DAYS} END THEN 'expiring'
            ELSE 'ok' END AS state
    FROM left_now l JOIN vantages v USING (vantage_id)
    WHERE NOT (metric = 'certificate_time_left' AND certificate IS NULL AND vantage_id IN (
        SELECT vantage_id FROM seen WHERE metric = 'certificate_expiry_time'))""",
)

AUTHZ: Final = View(
    "v_authz",
    "How much does each proxy allow and deny, by which policy?",
    {
        **_OBSERVER,
        "mesh": "service mesh; null if not told",
        "direction": "inbound or outbound; null if not told",
        "listener": "listener or connection manager the policies are of; null if not told",
        "policy": "policy, or of Linkerd the Server nobody was authorized for; of Envoy null: all policies together",
        "source_identity": "identity of the client; null if it had none, or the proxy does not count by it",
        "allowed": "allowed since the proxy started",
        "denied": "denied since the proxy started",
        "shadow_denied": "what a policy on trial would have denied",
        "allowed_more": "allowed between the last two scrapes; null after the first",
        "denied_more": "denied between the last two scrapes",
        "scraped_time": "when the proxy was scraped last",
        "interval_s": "seconds since the scrape before",
    },
    f"""WITH {_SERIES}
    SELECT v.cluster AS observer_cluster, v.agent, v.exporter, any_value(mesh) AS mesh, direction, listener,
        name AS policy, source_identity,
        {_now("authz_allowed")}::BIGINT AS allowed, {_now("authz_denied")}::BIGINT AS denied,
        {_now("authz_shadow_denied")}::BIGINT AS shadow_denied,
        {_more("authz_allowed")}::BIGINT AS allowed_more, {_more("authz_denied")}::BIGINT AS denied_more,
        scraped_time, interval_s
    FROM counted JOIN vantages v USING (vantage_id)
    WHERE metric IN ('authz_allowed', 'authz_denied', 'authz_shadow_denied')
    GROUP BY v.cluster, v.agent, v.exporter, direction, listener, name, source_identity, scraped_time, interval_s""",
)

CONTROL_PLANE: Final = View(
    "v_control_plane",
    "Which proxies follow which control plane, how far behind are they, and what does it know of each cluster?",
    {
        "subject": "proxy, or cluster: what the row is about",
        "told_by": "control_plane: it lists its proxies and clusters; proxy: it says so of itself",
        "observer_cluster": "cluster of the agent that asked",
        "control_plane": "who serves the proxy, or reads the cluster; null where only the proxy tells",
        "proxy": "the proxy: as its control plane calls it, or the name of the target",
        "proxy_cluster": "cluster the proxy says it is in",
        "proxy_type": "sidecar, router, waypoint, ztunnel",
        "proxy_version": "version of its data plane",
        "connected": "false: it was connected before, and is in no control plane's last list; or says so itself",
        "connected_time": "since when; null if not told",
        "state": "synced; stale: it has not taken yet what was sent; rejected: it refused it; not_sent; null if not told",
        "behind": "types of resource it is stale in, or refused",
        "staleness_ms": "for how long it has not taken what was sent; 0 if synced",
        "last_update_time": "when it was sent, or took, a configuration last",
        "error": "why it refused",
        "remote_cluster": "cluster the control plane reads endpoints of, its own included",
        "cluster_state": "synced, syncing, timeout, closed; null if not told",
        "services": "services of which the control plane knows an endpoint there",
        "endpoints": "endpoints it knows there",
        "endpoints_healthy": "of those, healthy",
        "last_seen_time": "when that was told last",
    },
    f"""WITH recent AS (
        SELECT c.*, v.cluster AS observer_cluster,
            max(c.received_time) OVER (PARTITION BY c.vantage_id) AS answered_time
        FROM control_plane c JOIN vantages v USING (vantage_id)
        WHERE c.received_time > (SELECT max(received_time) FROM control_plane) - INTERVAL {RECENT_HOURS} HOUR
    ), of_proxy AS (
        SELECT *, max(received_time) OVER (PARTITION BY control_plane, observer_cluster, proxy, vantage_id) AS seen_time
        FROM recent WHERE subject = 'proxy'
    ), listed AS (
        SELECT observer_cluster, control_plane, proxy, any_value(proxy_cluster) AS proxy_cluster,
            any_value(proxy_type) AS proxy_type, any_value(proxy_version) AS proxy_version,
            bool_or(received_time = answered_time) AS connected, max(connected_time) AS connected_time,
            CASE WHEN bool_or(state = 'rejected') THEN 'rejected' WHEN bool_or(state = 'stale') THEN 'stale'
                WHEN bool_or(state = 'synced') THEN 'synced' WHEN bool_or(state = 'not_sent') THEN 'not_sent' END AS state,
            coalesce(list_sort(list(DISTINCT resource_type) FILTER (state IN ('rejected', 'stale'))), []) AS behind,
            max(staleness_ms) AS staleness_ms, max(last_update_time) AS last_update_time,
            any_value(error) AS error, max(received_time) AS last_seen_time
        FROM of_proxy WHERE received_time = seen_time
        GROUP BY observer_cluster, control_plane, proxy
    ), elsewhere AS (SELECT DISTINCT proxy FROM listed WHERE connected),
    {_SERIES}, own AS (
        SELECT vantage_id, max(value) FILTER (metric = 'control_plane_connected') > 0 AS connected,
            to_timestamp(max(value) FILTER (metric = 'config_update_time' AND value > 0)) AS last_update_time,
            coalesce(list_sort(list(DISTINCT name) FILTER (metric = 'config_updates_rejected' AND more > 0)), []) AS behind,
            scraped_time
        FROM counted GROUP BY vantage_id, scraped_time
        HAVING connected IS NOT NULL
    )
    SELECT 'proxy' AS subject, 'control_plane' AS told_by, observer_cluster, control_plane, proxy, proxy_cluster,
        proxy_type, proxy_version, connected, connected_time, state, behind, staleness_ms, last_update_time, error,
        NULL::VARCHAR AS remote_cluster, NULL::VARCHAR AS cluster_state, NULL::BIGINT AS services,
        NULL::BIGINT AS endpoints, NULL::BIGINT AS endpoints_healthy, last_seen_time
    FROM listed WHERE connected OR proxy NOT IN (FROM elsewhere)
    UNION ALL BY NAME
    SELECT 'proxy' AS subject, 'proxy' AS told_by, v.cluster AS observer_cluster, v.exporter AS proxy, connected,
        CASE WHEN len(behind) > 0 THEN 'rejected' END AS state, behind, last_update_time, scraped_time AS last_seen_time
    FROM own JOIN vantages v USING (vantage_id)
    UNION ALL BY NAME
    SELECT 'cluster' AS subject, 'control_plane' AS told_by, observer_cluster, control_plane, remote_cluster,
        max(cluster_state) AS cluster_state, sum(services)::BIGINT AS services, sum(endpoints)::BIGINT AS endpoints,
        sum(endpoints_healthy)::BIGINT AS endpoints_healthy, max(received_time) AS last_seen_time
    FROM recent WHERE subject = 'cluster' AND received_time = answered_time
    GROUP BY observer_cluster, control_plane, remote_cluster""",
)

TARGETS: Final = View(
    "v_targets",
    "Which targets are scraped, how often, and which fell silent?",
    {
        "observer_cluster": "cluster of the agent that scrapes",
        "agent": "agent",
        "exporter": "name of the target, and of istiod's endpoint",
        "format": "prometheus, istiod",
        "is_silent": f"true: no usable answer for {SILENT_INTERVALS} of its intervals; a target that never answered is in no row, but among the agent's drops, `scrape_*`",
        "last_time": "when it answered last, usably",
        "silent_s": "seconds since then, up to the newest thing the lake holds",
        "interval_s": "median of the seconds between its last answers; null if there was one only",
        "answers": "answers that could be read, ever",
        "samples": "samples in the last one; null for istiod's endpoints",
        "rejected_answers": "answers of which nothing could be used, ever",
    },
    f"""WITH newest AS (
        SELECT max(time) AS time FROM (
            SELECT max(received_time) AS time FROM proxy_samples UNION ALL
            SELECT max(received_time) FROM control_plane UNION ALL
            SELECT max(minute) FROM accounting UNION ALL SELECT max(minute) FROM agent_drops)
    ), answer AS (
        SELECT vantage_id, received_time, max(value) AS samples FROM proxy_samples
        WHERE metric = 'scrape_samples' GROUP BY vantage_id, received_time
        UNION ALL
        SELECT DISTINCT vantage_id, received_time, NULL::DOUBLE FROM control_plane
    ), spaced AS (
        SELECT *, (epoch_us(received_time) - epoch_us(lag(received_time) OVER w)) / 1e6 AS space_s,
            row_number() OVER (PARTITION BY vantage_id ORDER BY received_time DESC) AS age
        FROM answer WINDOW w AS (PARTITION BY vantage_id ORDER BY received_time)
    ), target AS (
        SELECT vantage_id, count(*) AS answers, max(received_time) AS last_time,
            max_by(samples, received_time)::BIGINT AS samples, median(space_s) FILTER (age <= 20) AS interval_s
        FROM spaced GROUP BY vantage_id
    ), rejected AS (
        SELECT vantage_id, sum(rejected_payloads)::BIGINT AS rejected_answers FROM accounting GROUP BY vantage_id
    )
    SELECT v.cluster AS observer_cluster, v.agent, v.exporter, v.format, t.last_time, t.interval_s, t.samples,
        coalesce(t.answers, 0) AS answers, coalesce(r.rejected_answers, 0) AS rejected_answers,
        CASE WHEN t.last_time IS NOT NULL THEN greatest(epoch_ms(newest.time - t.last_time) / 1e3, 0) END AS silent_s,
        coalesce(epoch_ms(newest.time - t.last_time) / 1e3 > {SILENT_INTERVALS} * t.interval_s, t.last_time IS NULL) AS is_silent
    FROM vantages v CROSS JOIN newest LEFT JOIN target t USING (vantage_id) LEFT JOIN rejected r USING (vantage_id)
    WHERE v.format IN ('prometheus', 'istiod')""",
)
