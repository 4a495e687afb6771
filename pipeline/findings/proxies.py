"""
Findings of proxies, control planes and probes, as they tell of themselves.

Before: telemetry.py. After: kinds.py.
"""

from datetime import timedelta
from typing import Final

from pipeline.findings.kind import MIN_ERRORS, SELDOM, Kind
from pipeline.findings.moment import SCRAPES_LOOKBACK
from pipeline.views.health import BEHIND, BEHIND_MS, UNREAD
from pipeline.views.probes import SHOWN_HOURS
from pipeline.views.proxies import EXPIRING_DAYS, RECENT_HOURS, ROTATION_DAYS

_UPSTREAM: Final = """FROM v_upstreams WHERE observer_cluster = $cluster
    AND upstream_cluster = $upstream_cluster ORDER BY exporter"""


def _upstream(which: str, severity: str, what: str) -> str:
    """One upstream as all proxies of a cluster see it."""
    return f"""SELECT observer_cluster || ': ' || upstream_cluster AS entity,
        {severity} AS severity, [observer_cluster] AS clusters,
        format('{what} at {{}} of its proxies: {{}}', count(*) FILTER ({which}),
            array_to_string(list_sort(list_distinct(flatten(list(reasons) FILTER ({which})))), '; ')) AS summary,
        observer_cluster AS cluster, upstream_cluster,
        observer_cluster || ' ' || any_value(service) AS shows
    FROM v_upstreams WHERE upstream_cluster IS NOT NULL
    GROUP BY observer_cluster, upstream_cluster HAVING bool_or({which})"""


_PROBED: Final = "FROM v_probe_targets WHERE target = $target AND address = $address ORDER BY agent"


def _probe(which: str, severity: str, what: str) -> str:
    """One target as all agents that try it see it."""
    return f"""SELECT concat_ws(' ', target, nullif(address, target)) AS entity, {severity} AS severity,
        list_sort(list(DISTINCT observer_cluster)) AS clusters,
        format('{what} from {{}} of {{}} agents: {{}}', count(*) FILTER ({which}), count(*),
            array_to_string(list_sort(list_distinct(flatten(list(reasons) FILTER ({which})))), '; ')) AS summary,
        target, address
    FROM v_probe_targets GROUP BY target, address HAVING bool_or({which})"""


PROXIES: Final = (
    Kind(
        "certificate_expiring",
        "a certificate that has expired, or that nobody renewed in time (`v_certificates`)",
        """SELECT observer_cluster || '/' || exporter || ': ' || coalesce(certificate, 'first to expire') AS entity,
            CASE WHEN bool_or(state = 'expired') THEN 'error' ELSE 'warning' END AS severity,
            [observer_cluster] AS clusters,
            CASE WHEN min(days_left) <= 0 THEN format('expired {:.1f} days ago', -min(days_left))
                ELSE format('expires in {:.1f} days{}', min(days_left),
                    CASE WHEN bool_or(is_rotated) THEN ', and should have been renewed by now' ELSE '' END) END
                || CASE WHEN count(*) > 1 THEN format(', at {} listeners and upstreams', count(*)) ELSE '' END AS summary,
            observer_cluster AS cluster, exporter
        FROM v_certificates WHERE state IN ('expiring', 'expired')
            AND scraped_time > getvariable('until') - INTERVAL 30 MINUTE
        GROUP BY observer_cluster, exporter, certificate""",
        "FROM v_certificates WHERE observer_cluster = $cluster AND exporter = $exporter ORDER BY expiry_time",
        "Renew it; of one the mesh renews, see whether the proxy still reaches the authority that issues it.",
        timedelta(days=ROTATION_DAYS),
        SELDOM,
        at_once=f"""FROM proxy_samples SELECT 1 WHERE metric = 'certificate_expiry_time'
            AND received_time >= getvariable('until') - INTERVAL 5 MINUTE
        GROUP BY vantage_id, name, upstream_cluster, listener
        HAVING max(value) - min(value) > {EXPIRING_DAYS} * 86400
            OR arg_max(value, received_time) < arg_min(value, received_time)""",
    ),
    Kind(
        "upstream_ejected",
        "members of an upstream that outlier detection put out (`v_upstreams`)",
        _upstream("members_ejected > 0", "'warning'", "members ejected"),
        _UPSTREAM,
        "Look at the members that are out: they fail more often than the others.",
        SCRAPES_LOOKBACK,
    ),
    Kind(
        "upstream_failing",
        "an upstream without a healthy member, or that fails its calls (`v_upstreams`)",
        _upstream(
            "state = 'failing'",
            "CASE WHEN bool_and(state = 'failing') THEN 'error' ELSE 'warning' END",
            "failing",
        ),
        _UPSTREAM,
        "See whether its endpoints run and are ready; across clusters, whether the way to them is open.",
        SCRAPES_LOOKBACK,
    ),
    Kind(
        "control_plane_behind",
        f"a proxy that refused its configuration, has not taken it for {BEHIND_MS // 1000} s, or says it is disconnected",
        f"""SELECT proxy AS entity, 'warning' AS severity,
            list_sort(list_distinct([observer_cluster, coalesce(any_value(proxy_cluster), observer_cluster)])) AS clusters,
            string_agg(concat_ws(' ', CASE WHEN connected = false THEN 'not connected' END, state,
                nullif(array_to_string(behind, ','), ''), error), '; ' ORDER BY told_by) AS summary
        FROM v_control_plane WHERE subject = 'proxy' AND {BEHIND}
        GROUP BY observer_cluster, proxy""",
        "FROM v_control_plane WHERE proxy = $entity",
        "Until it follows, the proxy routes by what it knew before: see its log, and the control plane's on this proxy.",
        SCRAPES_LOOKBACK,
    ),
    Kind(
        "cluster_not_read",
        "a cluster whose endpoints a control plane does not read any more",
        f"""SELECT concat_ws(' -> ', coalesce(control_plane, observer_cluster), remote_cluster) AS entity,
            'error' AS severity, list_sort(list_distinct([observer_cluster, remote_cluster])) AS clusters,
            any_value(cluster_state) AS summary, remote_cluster
        FROM v_control_plane WHERE subject = 'cluster' AND {UNREAD}
        GROUP BY observer_cluster, control_plane, remote_cluster""",
        "FROM v_control_plane WHERE subject = 'cluster' AND remote_cluster = $remote_cluster",
        "See whether the control plane reaches that cluster's API server, and whether its remote secret is valid.",
        SCRAPES_LOOKBACK,
    ),
    Kind(
        "target_silent",
        "a target of scrapes that answered before and does not any more (`v_targets`)",
        """SELECT observer_cluster || '/' || exporter AS entity, 'warning' AS severity, [observer_cluster] AS clusters,
            format('silent for {:.0f} s; it answered every {:.0f} s', silent_s, interval_s) AS summary,
            observer_cluster AS cluster, exporter
        FROM v_targets WHERE is_silent AND last_time IS NOT NULL
            AND NOT exists(FROM endpoints WHERE endpoints.cluster = observer_cluster AND pod = exporter
                AND valid_to <= getvariable('until'))""",
        "FROM v_targets WHERE observer_cluster = $cluster AND exporter = $exporter",
        "See whether it runs and whether its statistics port answers; a pod that is gone should be gone from the inventory, too.",
        timedelta(hours=RECENT_HOURS),
        SELDOM,
    ),
    Kind(
        "probe_failing",
        "a target that agents try to reach and do not (`v_probe_targets`)",
        _probe(
            "state = 'failing'",
            "CASE WHEN bool_and(state = 'failing') THEN 'error' ELSE 'warning' END",
            "failing",
        ),
        _PROBED,
        "The outcome says how far it came: no connection, no handshake, a wrong certificate, another status. Compare with the agents that do reach it.",
        SCRAPES_LOOKBACK,
    ),
    Kind(
        "probe_lossy",
        f"a target that is reached, and of the tries to which some are lost, at least {MIN_ERRORS}",
        _probe(f"state = 'degraded' AND losses >= {MIN_ERRORS}", "'warning'", "lossy")
        + " AND NOT bool_or(state = 'failing')",
        _PROBED,
        "Look for loss on the way to it, or for one of several servers behind the address that does not answer.",
        SCRAPES_LOOKBACK,
    ),
    Kind(
        "probe_certificate",
        "a certificate that probes are shown, and that has expired or will soon (`v_probe_certificates`)",
        """SELECT concat_ws(' ', target, peer_ip || ':' || peer_port) AS entity,
            CASE WHEN bool_or(state = 'expired') THEN 'error' ELSE 'warning' END AS severity,
            list_sort(list(DISTINCT observer_cluster)) AS clusters,
            CASE WHEN min(days_left) <= 0 THEN format('expired {:.1f} days ago', -min(days_left))
                ELSE format('expires in {:.1f} days', min(days_left)) END
                || ': ' || any_value(coalesce(certificate_subject, certificate_sha256)) AS summary, target
        FROM v_probe_certificates WHERE state <> 'ok' GROUP BY target, peer_ip, peer_port""",
        "FROM v_probe_certificates WHERE target = $target ORDER BY days_left",
        "Renew it where it is shown; of one that is renewed by itself, see why that stopped.",
        timedelta(hours=SHOWN_HOURS),
        SELDOM,
    ),
)
