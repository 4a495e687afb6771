"""
Every kind of finding: what it asks the views, the evidence, and what to do about it.

A kind's query gives one row a finding, with the columns

    entity     what it is about; with the kind, it makes the finding's id
    severity   error: it is broken, or an address does not mean one thing;
               warning: it is about to be, or less is known than seems; info
    clusters   clusters it concerns
    summary    what is wrong, with figures

and those that its evidence names. The evidence is a query for anybody's DuckDB:
``$name`` is that column's value, ``$since`` and ``$until`` the time looked at.
Thresholds are those of the views, and the constants here.

Before: moment.py. After: stage.py.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from pipeline.findings.moment import CALLS_LOOKBACK, SCRAPES_LOOKBACK
from pipeline.views.health import DEGRADED_ERRORS, DEGRADED_LOSS
from pipeline.views.proxies import ROTATION_DAYS

MIN_REQUESTS: Final = 20
MIN_ERRORS: Final = 3
"""What is degraded, not failing, is a finding from so many calls, and so many errors, on."""
MIN_TIMES: Final = 10
"""Refusals, drops, rejects or lost units in the time looked at, below which they are chance."""
MANY_LOST: Final = 0.05
MANY_REJECTED: Final = 0.5
"""Shares from which loss and rejects are errors."""
REJECTED: Final = 0.01
BEHIND_MS: Final = 60_000
"""A proxy that has not taken its configuration for longer is behind."""
SILENT_MINUTES: Final = 90
"""A source of inventory is silent then: the slowest are asked once an hour."""

_MINUTE: Final = timedelta(minutes=1)
_SELDOM: Final = timedelta(minutes=10)


class Kind(NamedTuple):
    """
    One kind of finding.

    Attributes
    ----------
    rows
        Query over the views; see above.
    lookback
        How far back it looks.
    every
        How often it is asked, in the time of the records.
    """

    name: str
    meaning: str
    rows: str
    evidence: str
    action: str
    lookback: timedelta = CALLS_LOOKBACK
    every: timedelta = _MINUTE


def evidence(kind: Kind, row: Mapping[str, object], until: datetime) -> str:
    """The evidence query of one finding, ready to run."""
    values = {**row, "since": until - kind.lookback, "until": until}
    return re.sub(r"\$(\w+)", lambda name: literal(values[name[1]]), kind.evidence)


def literal(value: object) -> str:
    """
    A value as SQL has it.

    >>> literal("a'b"), literal(None), literal(3)
    ("'a''b'", 'NULL', '3')
    """
    match value:
        case None:
            return "NULL"
        case datetime():
            return f"TIMESTAMPTZ '{value.isoformat()}'"
        case bool() | int() | float():
            return str(value)
        case _:
            return "'{}'".format(str(value).replace("'", "''"))


_CLUSTERS: Final = """(SELECT list(DISTINCT cluster) FROM (
        SELECT cluster FROM clusters UNION ALL SELECT cluster FROM vantages))"""


def _of(*entities: str) -> str:
    """Clusters that entities begin with, as far as there are such."""
    first = ", ".join(f"split_part({entity}, '/', 1)" for entity in entities)
    return f"coalesce(list_sort(list_intersect([{first}], {_CLUSTERS})), [])"


_NOT_WELL: Final = f"""(state = 'failing' OR state = 'degraded' AND requests >= {MIN_REQUESTS}
        AND (error_share < {DEGRADED_ERRORS} OR error_share * requests >= {MIN_ERRORS}))"""
_STATE: Final = "CASE state WHEN 'failing' THEN 'error' ELSE 'warning' END"
_WELL: Final = """SELECT start_time, client_entity, server_entity, status, response_flags, blame,
    blamed_entity, blame_reason, duration_ms, server_duration_ms, request_id FROM v_calls
WHERE {} AND start_time >= $since AND start_time < $until
ORDER BY error DESC, duration_ms DESC NULLS LAST LIMIT 100"""


def _unhealthy(entity_kind: str, clusters: str, more: str = "true") -> str:
    return f"""SELECT entity, {_STATE} AS severity, {clusters} AS clusters,
        format('{{}}: {{}} ({{}} calls)', state, array_to_string(reasons, '; '), requests) AS summary,
        split_part(entity, ' -> ', 1) AS client, split_part(entity, ' -> ', 2) AS server
    FROM v_health found WHERE entity_kind = '{entity_kind}' AND {_NOT_WELL} AND {more}"""


_EDGE: Final = "concat_ws(' -> ', coalesce(client_entity, 'unknown'), server_entity)"
_REFUSED: Final = "(layer = 'L7' OR starts_with(reason, 'POLICY') OR len(policies) > 0)"


def _refused(which: str) -> str:
    """Refusals of one client at one server, whoever saw them."""
    return f"""SELECT {_EDGE} || coalesce(':' || server_port, '') AS entity,
        CASE WHEN sum(times) >= {MIN_TIMES} THEN 'warning' ELSE 'info' END AS severity,
        {_of("any_value(client_entity)", "any_value(server_entity)")} AS clusters,
        concat_ws(' ', sum(times)::BIGINT, CASE any_value(layer) WHEN 'L7' THEN 'requests' ELSE 'packets' END,
            CASE WHEN bool_and(verdict = 'AUDIT') THEN 'would be refused:' ELSE 'refused:' END,
            array_to_string(list_sort(list(DISTINCT coalesce(reason, 'no reason told'))), ', '),
            nullif('by ' || array_to_string(list_sort(list_distinct(flatten(list(policies)))), ', '), 'by '))
            AS summary,
        client_entity, server_entity, server_port
    FROM v_policy_verdicts WHERE {which} GROUP BY client_entity, server_entity, server_port"""


_REFUSALS: Final = """FROM v_policy_verdicts WHERE client_entity IS NOT DISTINCT FROM $client_entity
    AND server_entity IS NOT DISTINCT FROM $server_entity
    AND server_port IS NOT DISTINCT FROM $server_port AND last_time >= $since"""


def _side(prefix: str) -> str:
    return f"""concat_ws(' ', {prefix}kind, coalesce({prefix}cluster || '/', '') ||
        coalesce({prefix}name, {prefix}range))"""


_BOTH_CLUSTERS: Final = """list_sort(list_distinct(list_filter([cluster, other_cluster],
        lambda one: one IS NOT NULL)))"""
_ONE_CLUSTER: Final = "list_filter([{}], lambda one: one IS NOT NULL)"
_REPORTED: Final = """SELECT minute, accounting.* EXCLUDE (minute, vantage_id)
FROM accounting JOIN vantages USING (vantage_id)
WHERE cluster = $cluster AND exporter = $exporter AND format = $format
    AND minute >= $since AND minute < $until ORDER BY minute"""
_UPSTREAM: Final = """FROM v_upstreams WHERE observer_cluster = $cluster
    AND upstream_cluster = $upstream_cluster ORDER BY exporter"""


def _upstream(which: str, severity: str, what: str) -> str:
    """One upstream as all proxies of a cluster see it."""
    return f"""SELECT observer_cluster || ': ' || upstream_cluster AS entity,
        {severity} AS severity, [observer_cluster] AS clusters,
        format('{what} at {{}} of its proxies: {{}}', count(*) FILTER ({which}),
            array_to_string(list_sort(list_distinct(flatten(list(reasons) FILTER ({which})))), '; ')) AS summary,
        observer_cluster AS cluster, upstream_cluster
    FROM v_upstreams WHERE upstream_cluster IS NOT NULL
    GROUP BY observer_cluster, upstream_cluster HAVING bool_or({which})"""


FINDINGS: Final = (
    Kind(
        "unhealthy_service",
        "a service that fails, or is degraded, for its clients (`v_health`)",
        _unhealthy("service", _of("entity")),
        _WELL.format("server_entity = $entity"),
        "Look at who is blamed: the service's own proxy and logs, or the gateway or policy on the way to it.",
    ),
    Kind(
        "unhealthy_edge",
        "calls of one client that go worse than those of its server's other clients",
        _unhealthy(
            "edge",
            _of("split_part(entity, ' -> ', 1)", "split_part(entity, ' -> ', 2)"),
            """NOT exists(FROM v_health service WHERE service.entity_kind = 'service'
            AND service.entity = split_part(found.entity, ' -> ', 2) AND service.state IN ('failing', found.state))""",
        ),
        _WELL.format("coalesce(client_entity, 'unknown') = $client AND server_entity = $server"),
        "Compare with the server's other clients: what only this one passes (its proxy, its gateway, its certificate) is at fault.",
    ),
    Kind(
        "unhealthy_gateway",
        "calls that do not get through a gateway, or are slow on the way through it",
        _unhealthy(
            "gateway",
            "(SELECT list_sort(list(DISTINCT cluster)) FROM v_gateways WHERE name = found.entity)",
        ),
        _WELL.format("gateway = $entity"),
        "See whether the gateway runs, whether its address and port are reached, and whether its certificate and SNI routes are those the client expects.",
    ),
    Kind(
        "plaintext_edge",
        "calls from cluster to cluster without TLS, told by proxies that tell of TLS elsewhere",
        f"""SELECT {_EDGE} AS entity, 'warning' AS severity,
            list_sort([any_value(client_cluster), any_value(server_cluster)]) AS clusters,
            format('{{}} of {{}} calls from {{}} to {{}} were not encrypted', count(*) FILTER (tls IS NULL), count(*),
                any_value(client_cluster), any_value(server_cluster)) AS summary,
            client_entity, server_entity
        FROM v_calls WHERE client_cluster <> server_cluster AND NOT error AND NOT denied
            AND client_cluster IN (SELECT client_cluster FROM v_calls WHERE tls IS NOT NULL)
        GROUP BY client_entity, server_entity HAVING count(*) FILTER (tls IS NULL) > 0""",
        """FROM v_calls WHERE client_entity IS NOT DISTINCT FROM $client_entity
    AND server_entity = $server_entity AND tls IS NULL AND start_time >= $since AND start_time < $until
ORDER BY start_time DESC LIMIT 100""",
        "Require mTLS for the server (PeerAuthentication STRICT or its like), and see why the client's proxy does not offer it.",
    ),
    Kind(
        "policy_denials",
        f"refused by policy; a warning from {MIN_TIMES} times on",
        _refused(_REFUSED),
        _REFUSALS,
        "If the client should be let in, allow it in the policy that is named; if not, find out why it tries.",
    ),
    Kind(
        "packets_dropped",
        f"dropped by a datapath, and not by policy; a warning from {MIN_TIMES} times on",
        _refused(f"NOT {_REFUSED}"),
        _REFUSALS,
        "Read the reason: full connection tables, unroutable or stale addresses and wrong interfaces are the node's to mend.",
    ),
    Kind(
        "certificate_expiring",
        "a certificate that has expired, or that nobody renewed in time (`v_certificates`)",
        """SELECT observer_cluster || '/' || exporter || ': '
                || concat_ws(' ', coalesce(certificate, 'first to expire'), upstream_cluster, listener) AS entity,
            CASE state WHEN 'expired' THEN 'error' ELSE 'warning' END AS severity,
            [observer_cluster] AS clusters,
            CASE state WHEN 'expired' THEN format('expired {:.1f} days ago', -days_left)
                ELSE format('expires in {:.1f} days{}', days_left,
                    CASE WHEN is_rotated THEN ', and should have been renewed by now' ELSE '' END) END AS summary,
            observer_cluster AS cluster, exporter
        FROM v_certificates WHERE state IN ('expiring', 'expired')
            AND scraped_time > getvariable('until') - INTERVAL 30 MINUTE""",
        "FROM v_certificates WHERE observer_cluster = $cluster AND exporter = $exporter ORDER BY expiry_time",
        "Renew it; of one the mesh renews, see whether the proxy still reaches the authority that issues it.",
        timedelta(days=ROTATION_DAYS),
        _SELDOM,
    ),
    Kind(
        "ip_conflict",
        "one address of one network with two live owners (`v_ipspace`)",
        f"""SELECT network || ' ' || range AS entity, 'error' AS severity, {_BOTH_CLUSTERS} AS clusters,
            {_side("")} || ' and ' || {_side("other_")} || ' have this address at one time' AS summary,
            network, range
        FROM v_ipspace WHERE problem = 'observed_conflict'
            AND last_time >= getvariable('until') - INTERVAL 10 MINUTE""",
        """FROM v_endpoints WHERE network = $network AND ip || '/' = left($range, length(ip) + 1)
    AND coalesce(valid_to, 'infinity') >= $since ORDER BY valid_from""",
        "Give one of the two another address; until then, traffic of both cannot be told apart.",
        every=_SELDOM,
    ),
    Kind(
        "address_overlap",
        "declared ranges that contend, in one network or in networks routed to each other",
        f"""SELECT concat_ws(' ', network, range, kind, name, '~', other_network, other_range, other_kind,
                other_name) AS entity,
            'error' AS severity, {_BOTH_CLUSTERS} AS clusters,
            format('{{}} and {{}} {{}}: {{:.0f}} addresses', {_side("")}, {_side("other_")}, detail, addresses) AS summary,
            network, range, other_network, other_range
        FROM v_ipspace WHERE problem = 'declared_overlap' AND severity = 'error'""",
        """FROM v_ipspace WHERE problem = 'declared_overlap' AND network = $network AND range = $range
    AND other_network = $other_network AND other_range = $other_range""",
        "Renumber one of them (`crosspane ipspace` says which is the least), or keep them in networks that are not routed to each other.",
        every=_SELDOM,
    ),
    Kind(
        "range_exhaustion",
        "a range that is full, nearly full, or will be soon (`v_ip_forecast`)",
        f"""SELECT concat_ws(' ', network, range, unit) AS entity,
            CASE state WHEN 'full' THEN 'error' ELSE 'warning' END AS severity,
            {_ONE_CLUSTER.format("cluster")} AS clusters,
            concat_ws(', ', replace(state, '_', ' '), concat_ws(' ', kind, name),
                format('{{:.0f}} of {{:.0f}} {{}} in use', in_use, capacity,
                    CASE unit WHEN 'block' THEN 'blocks' ELSE 'addresses' END),
                CASE WHEN days_left > 0 THEN format('full in {{:.0f}} days', days_left) END) AS summary,
            network, range
        FROM v_ip_forecast WHERE state IN ('full', 'nearly_full', 'filling')""",
        "FROM v_ip_forecast WHERE network = $network AND range = $range",
        "Add a range, or free addresses, before what starts next gets none.",
        every=_SELDOM,
    ),
    Kind(
        "blind_spot",
        "nodes, gateways and clusters that nobody has seen for an hour (`v_blind_spots`)",
        f"""WITH unseen AS (
            SELECT * FROM v_blind_spots WHERE state IN ('never_seen', 'silent')
                AND (SELECT min(minute) FROM accounting) <= getvariable('until') - INTERVAL 60 MINUTE
        )
        SELECT CASE kind WHEN 'node' THEN 'nodes of ' || cluster ELSE concat_ws(' ', kind, entity) END AS entity,
            'warning' AS severity, {_ONE_CLUSTER.format("any_value(cluster)")} AS clusters,
            format('{{}} not seen for an hour: {{}}', count(*),
                array_to_string(list(unseen.entity ORDER BY unseen.entity)[:5], ', ')
                || CASE WHEN count(*) > 5 THEN '...' ELSE '' END) AS summary,
            kind, any_value(cluster) AS cluster
        FROM unseen WHERE kind IN ('gateway', 'cluster')
            OR (kind = 'node' AND cluster NOT IN (SELECT entity FROM unseen WHERE kind = 'cluster'))
        GROUP BY ALL""",
        "FROM v_blind_spots WHERE kind = $kind AND cluster IS NOT DISTINCT FROM $cluster ORDER BY entity",
        "Run an agent there, or let one that runs take the flow records and proxy logs of it.",
        timedelta(hours=2),
        _SELDOM,
    ),
    Kind(
        "inventory_silent",
        f"a source of inventory that said nothing for {SILENT_MINUTES} minutes (`v_inventory`)",
        f"""SELECT concat_ws('/', kind, cluster, scope, resource) AS entity, 'warning' AS severity,
            {_ONE_CLUSTER.format("cluster")} AS clusters,
            format('nothing heard for {{}} minutes; {{}} objects may be out of date',
                date_diff('minute', heard_time, getvariable('until')), objects) AS summary,
            kind, cluster, scope, resource
        FROM v_inventory WHERE heard_time < getvariable('until') - INTERVAL {SILENT_MINUTES} MINUTE""",
        """FROM v_inventory WHERE kind = $kind AND cluster IS NOT DISTINCT FROM $cluster
    AND scope IS NOT DISTINCT FROM $scope AND resource IS NOT DISTINCT FROM $resource""",
        "See whether the agent that asks it runs, and whether its rights or its token ended.",
        every=_SELDOM,
    ),
    Kind(
        "telemetry_loss",
        f"more than {DEGRADED_LOSS:.1%} of what an exporter numbered did not arrive",
        f"""SELECT concat_ws(' ', observer_cluster || '/' || exporter, format) AS entity,
            CASE WHEN sum(lost) / sum(sequence_units_expected) >= {MANY_LOST} THEN 'error' ELSE 'warning' END AS severity,
            [observer_cluster] AS clusters,
            format('{{}} of {{}} units lost ({{:.2f}}%)', sum(lost)::BIGINT, sum(sequence_units_expected)::BIGINT,
                100 * sum(lost) / sum(sequence_units_expected)) AS summary,
            observer_cluster AS cluster, exporter, format
        FROM (SELECT cluster AS observer_cluster, exporter, format, sum(sequence_units_expected) AS sequence_units_expected,
                greatest(sum(sequence_units_expected) - sum(sequence_units_received), 0) AS lost
            FROM accounting JOIN vantages USING (vantage_id) GROUP BY vantage_id, cluster, exporter, format)
        GROUP BY observer_cluster, exporter, format
        HAVING sum(lost) >= {MIN_TIMES} AND sum(lost) / sum(sequence_units_expected) > {DEGRADED_LOSS}""",
        _REPORTED,
        "Look for a full socket buffer at the agent, a slow network, or an exporter that restarts; figures of this exporter are too low.",
        timedelta(minutes=15),
    ),
    Kind(
        "agent_loss",
        "an agent that lost payloads before the log had them",
        """SELECT concat_ws('/', cluster, agent) AS entity, 'error' AS severity,
            list_filter([cluster], lambda one: one IS NOT NULL) AS clusters,
            string_agg(format('{} {}', payloads, reason), ', ' ORDER BY payloads DESC) AS summary, cluster, agent
        FROM (SELECT cluster, agent, reason, sum(payloads)::BIGINT AS payloads FROM agent_drops
            WHERE reason <> 'duplicate' GROUP BY ALL HAVING sum(payloads) > 0)
        GROUP BY cluster, agent""",
        """FROM agent_drops WHERE cluster IS NOT DISTINCT FROM $cluster
    AND agent IS NOT DISTINCT FROM $agent AND minute >= $since AND minute < $until ORDER BY minute""",
        "Give the agent a larger queue or spool, or find out why the log was away or its targets did not answer.",
        timedelta(minutes=15),
    ),
    Kind(
        "rejects_high",
        f"more than {REJECTED:.0%} of what an exporter sent could not be read",
        f"""SELECT concat_ws(' ', cluster || '/' || exporter, format) AS entity,
            CASE WHEN rejects >= {MANY_REJECTED} * payloads THEN 'error' ELSE 'warning' END AS severity,
            [cluster] AS clusters,
            format('{{}} rejects in {{}} payloads: {{}}', rejects, payloads, reasons) AS summary, cluster, exporter, format
        FROM (SELECT observer_cluster AS cluster, exporter, format, count(*) AS rejects,
                array_to_string(list_sort(list(DISTINCT reason)), ', ') AS reasons
            FROM v_rejects WHERE observer_cluster IS NOT NULL GROUP BY ALL)
        JOIN (SELECT cluster, exporter, format, sum(received_payloads)::BIGINT AS payloads
            FROM accounting JOIN vantages USING (vantage_id) GROUP BY ALL) USING (cluster, exporter, format)
        WHERE rejects >= {MIN_TIMES} AND rejects > {REJECTED} * payloads
        UNION ALL BY NAME
        SELECT 'topic ' || topic AS entity, 'error' AS severity, [] AS clusters,
            format('{{}} messages refused: {{}}', count(*),
                array_to_string(list_sort(list(DISTINCT reason)), ', ')) AS summary
        FROM v_rejects WHERE observer_cluster IS NULL GROUP BY topic HAVING count(*) >= {MIN_TIMES}""",
        """SELECT received_time, reason, detail, topic, partition, log_offset, raw_length FROM v_rejects
WHERE observer_cluster IS NOT DISTINCT FROM $cluster AND exporter IS NOT DISTINCT FROM $exporter
    AND received_time >= $since AND received_time < $until ORDER BY received_time DESC LIMIT 100""",
        "Read the details: a log format that was changed, an exporter that restarted without templates, or bytes that are no telemetry.",
        timedelta(minutes=15),
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
        FROM v_control_plane WHERE subject = 'proxy' AND (state = 'rejected'
            OR state = 'stale' AND staleness_ms > {BEHIND_MS} OR connected = false AND told_by = 'proxy')
        GROUP BY observer_cluster, proxy""",
        "FROM v_control_plane WHERE proxy = $entity",
        "Until it follows, the proxy routes by what it knew before: see its log, and the control plane's on this proxy.",
        SCRAPES_LOOKBACK,
    ),
    Kind(
        "cluster_not_read",
        "a cluster whose endpoints a control plane does not read any more",
        """SELECT concat_ws(' -> ', coalesce(control_plane, observer_cluster), remote_cluster) AS entity,
            'error' AS severity, list_sort(list_distinct([observer_cluster, remote_cluster])) AS clusters,
            any_value(cluster_state) AS summary, remote_cluster
        FROM v_control_plane WHERE subject = 'cluster' AND cluster_state IN ('timeout', 'closed')
        GROUP BY observer_cluster, control_plane, remote_cluster""",
        "FROM v_control_plane WHERE subject = 'cluster' AND remote_cluster = $remote_cluster",
        "See whether the control plane reaches that cluster's API server, and whether its remote secret is valid.",
        SCRAPES_LOOKBACK,
    ),
)
"""Every kind. One entry here adds one."""
