"""
Probes with names, how each target does minute by minute, and the certificates it shows.

"Now" is the newest thing the lake holds. Durations are of tries that were ok:
how long a failed one took is when the agent gave up.

Before: proxies.py. After: health.py, dashboards/.
"""

from typing import Final

from pipeline.schema import View
from pipeline.schema.probes import OUTCOMES
from pipeline.views.facts import side_columns, side_joins, side_select
from pipeline.views.health import DEGRADED_ERRORS, FAILING_ERRORS, MIN_REQUESTS
from pipeline.views.proxies import EXPIRING_DAYS, RECENT_HOURS

RENEWED_SHARE: Final = 4
"""A certificate that lives shorter than so many times `EXPIRING_DAYS` is late in its last quarter."""
SHOWN_HOURS: Final = 24
"""What an address showed before is not looked at: it may be gone."""
NOW_MINUTES: Final = 2
"""How a target does now is by the tries of so long, or its last `MIN_REQUESTS` if those are more."""
_DAY_MS: Final = 86_400_000

_OBSERVER: Final = {
    "observer_cluster": "cluster of the agent that tries",
    "network": "network it tries from",
    "agent": "agent",
}
_TARGET: Final = {
    "target": "name of the target",
    "kind": "tcp, tls or http",
    "address": "host:port, or URL without query",
}
_CERTIFICATE: Final = {
    "certificate_sha256": "fingerprint of the server's certificate",
    "certificate_subject": "its subject",
    "certificate_issuer": "who signed it",
    "certificate_serial": "its serial number, hexadecimal",
    "certificate_identities": "URIs it is for: SPIFFE IDs",
    "certificate_names": "DNS names and addresses it is for",
    "certificate_not_before": "from when it is valid",
    "certificate_not_after": "until when",
}
_STEPS: Final = {
    "resolve_ms": "until the name had an address",
    "connect_ms": "from then until connected",
    "tls_ms": "from then until the handshake was done",
    "first_byte_ms": "from the request to the first byte of the answer",
    "total_ms": "all of it, until it ended or failed",
}

_PROBES: Final = """(SELECT p.*, v.cluster AS observer_cluster, v.network, v.agent
        FROM probes p JOIN vantages v USING (vantage_id))"""

PROBES: Final = View(
    "v_probes",
    "What did each try of an agent to reach a target find?",
    {
        "start_time": "when it began",
        "received_time": "when the agent had the result",
        **_OBSERVER,
        **_TARGET,
        "server_name": "TLS server name that was sent",
        "attempt": "which try of its round, from 1",
        "outcome": ", ".join(OUTCOMES),
        "error": "why it is not ok, in words",
        **side_columns("peer"),
        "peer_port": "port that was tried",
        **_STEPS,
        "status": "HTTP status",
        "tls_version": "TLS version",
        **_CERTIFICATE,
    },
    f"""SELECT f.*, v.cluster AS observer_cluster, v.agent,
        {side_select("peer", "ip_text(peer_ip_hi, peer_ip_lo)")}, v.network
    FROM probes f LEFT JOIN vantages v USING (vantage_id) {side_joins("peer")}""",
)

PROBE_HEALTH: Final = View(
    "v_probe_health",
    "How well is each target reached from each agent, minute by minute?",
    {
        "minute": "start of the minute the tries began in",
        **_OBSERVER,
        **_TARGET,
        "attempts": "tries",
        "losses": "tries that were not ok",
        "loss_ratio": "share of them",
        "outcomes": "outcome to the number of tries that ended so",
        "last_outcome": "outcome of the minute's last try",
        "last_error": "why the last one that was not ok was not",
        **{
            f"{step}_{name}_ms": f"{meaning} of {what}, over the tries that were ok; null if none was"
            for step, what in (("total", "all of it"), ("connect", "the time to connect"))
            for name, meaning in (("p50", "median"), ("p95", "95th percentile"), ("max", "longest"))
        },
        "certificate_days_left": "days from the last try till the first certificate that was shown ends; below zero once it did; null if none was shown",
    },
    f"""SELECT time_bucket(INTERVAL 1 MINUTE, start_time) AS minute,
        observer_cluster, network, agent, target, kind, address,
        count(*) AS attempts, count(*) FILTER (outcome <> 'ok') AS losses,
        count(*) FILTER (outcome <> 'ok') / count(*) AS loss_ratio,
        histogram(outcome) AS outcomes,
        arg_max(outcome, start_time) AS last_outcome,
        arg_max(error, start_time) FILTER (outcome <> 'ok') AS last_error,
        {
        ", ".join(
            f"{figure} FILTER (outcome = 'ok') AS {step}_{name}_ms"
            for step in ("total", "connect")
            for name, figure in (
                ("p50", f"quantile_cont({step}_ms, 0.5)"),
                ("p95", f"quantile_cont({step}_ms, 0.95)"),
                ("max", f"max({step}_ms)"),
            )
        )
    },
        (epoch_ms(min(certificate_not_after)) - epoch_ms(max(start_time)))
            / {_DAY_MS} AS certificate_days_left
    FROM {_PROBES}
    GROUP BY minute, observer_cluster, network, agent, target, kind, address""",
)

PROBE_CERTIFICATES: Final = View(
    "v_probe_certificates",
    "Which certificate does each address of each target show to which agent, as of the last day, and when does it expire?",
    {
        **_OBSERVER,
        **_TARGET,
        "server_name": "TLS server name that was sent",
        "peer_ip": "address that showed it",
        "peer_port": "its port",
        "state": f"ok, expiring, expired. Expiring: less than {EXPIRING_DAYS} days are left, or of one that lives shorter than {RENEWED_SHARE} times that, less than a quarter of its life",
        "days_left": "days from now till it ends, below zero once it did",
        "outcome": "how the try ended that showed it: whether it is trusted, and for this name",
        **_CERTIFICATE,
        "start_time": "when it was shown last",
    },
    # What each address of a target showed last, within a day: a load balancer's may differ.
    f"""WITH last AS (
        SELECT *, ip_text(peer_ip_hi, peer_ip_lo) AS peer_ip
        FROM {_PROBES} WHERE certificate_sha256 IS NOT NULL
            AND start_time > (SELECT max(start_time) FROM probes) - INTERVAL {SHOWN_HOURS} HOUR
        QUALIFY row_number() OVER (PARTITION BY vantage_id, peer_ip_hi, peer_ip_lo, peer_port
            ORDER BY start_time DESC) = 1
    ), judged AS (
        SELECT *, (epoch_ms(certificate_not_after) - epoch_ms(certificate_not_before)) / {_DAY_MS} AS lives_days,
            (epoch_ms(certificate_not_after) - epoch_ms((SELECT max(start_time) FROM probes))) / {_DAY_MS} AS days_left
        FROM last
    )
    SELECT *, CASE
            WHEN days_left <= 0 THEN 'expired'
            WHEN days_left < least({EXPIRING_DAYS}, lives_days / {RENEWED_SHARE}) THEN 'expiring'
            WHEN days_left IS NOT NULL THEN 'ok' END AS state
    FROM judged""",
)

PROBE_TARGETS: Final = View(
    "v_probe_targets",
    "Is each target reached from each agent now, and if not, why?",
    {
        **_OBSERVER,
        **_TARGET,
        "state": f"failing: {FAILING_ERRORS:.0%} of the tries or more were lost; degraded: {DEGRADED_ERRORS:.0%} or more, or its certificate ends soon; healthy; unknown: fewer than {MIN_REQUESTS} tries",
        "reasons": "why it is not healthy, with figures",
        "attempts": f"tries of the last {NOW_MINUTES} minutes, or the last {MIN_REQUESTS} if those are more",
        "losses": "of those, not ok",
        "loss_ratio": "share of them",
        "last_outcome": "outcome of the last try",
        "last_error": "why the last one that was not ok was not",
        "total_p50_ms": "median of all of it, over the tries that were ok",
        "total_p95_ms": "its 95th percentile",
        "first_time": "when the first of these tries began",
        "last_time": "when the last one did",
    },
    f"""WITH tries AS (
        SELECT * FROM {_PROBES}
        WHERE start_time > (SELECT max(start_time) FROM probes) - INTERVAL {RECENT_HOURS} HOUR
        QUALIFY start_time > max(start_time) OVER () - INTERVAL {NOW_MINUTES} MINUTE
            OR row_number() OVER (PARTITION BY vantage_id ORDER BY start_time DESC) <= {MIN_REQUESTS}
    ), told AS (
        SELECT vantage_id, observer_cluster, network, agent, target, kind, address,
            count(*) AS attempts, count(*) FILTER (outcome <> 'ok') AS losses, losses / attempts AS loss_ratio,
            arg_max(outcome, start_time) AS last_outcome,
            arg_max(outcome, start_time) FILTER (outcome <> 'ok') AS last_failure,
            arg_max(error, start_time) FILTER (outcome <> 'ok') AS last_error,
            quantile_cont(total_ms, 0.5) FILTER (outcome = 'ok') AS total_p50_ms,
            quantile_cont(total_ms, 0.95) FILTER (outcome = 'ok') AS total_p95_ms,
            min(start_time) AS first_time, max(start_time) AS last_time
        FROM tries GROUP BY ALL
    ), late AS (
        SELECT observer_cluster, agent, target, min(days_left) AS days_left
        FROM v_probe_certificates WHERE state <> 'ok' GROUP BY ALL
    )
    SELECT *, CASE WHEN attempts < {MIN_REQUESTS} THEN 'unknown'
            WHEN loss_ratio >= {FAILING_ERRORS} THEN 'failing'
            WHEN len(reasons) > 0 THEN 'degraded' ELSE 'healthy' END AS state
    FROM (
        SELECT t.*, list_filter([
            CASE WHEN attempts < {MIN_REQUESTS} THEN format('only {{}} tries', attempts) END,
            CASE WHEN loss_ratio >= {DEGRADED_ERRORS}
                THEN format('{{}} of {{}} tries lost: ', losses, attempts) || concat_ws(', ', last_failure, last_error) END,
            CASE WHEN days_left <= 0 THEN format('certificate expired {{:.1f}} days ago', -days_left)
                WHEN days_left > 0 THEN format('certificate expires in {{:.1f}} days', days_left) END
        ], lambda reason: reason IS NOT NULL) AS reasons
        FROM told t LEFT JOIN late USING (observer_cluster, agent, target)
    )""",
)
