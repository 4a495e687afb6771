"""
Findings of what is told: who is not seen, what is lost, what cannot be read.

Before: space.py. After: proxies.py.
"""

from datetime import timedelta
from typing import Final

from pipeline.findings.kind import MIN_TIMES, ONE_CLUSTER, SELDOM, Kind
from pipeline.views.health import DEGRADED_LOSS

MANY_LOST: Final = 0.05
MANY_REJECTED: Final = 0.5
"""Shares from which loss and rejects are errors."""
REJECTED: Final = 0.01
SILENT_MINUTES: Final = 90
"""A source of inventory is silent then: the slowest are asked once an hour."""
_LONG_HEARD: Final = "FROM accounting WHERE minute <= getvariable('until') - INTERVAL 60 MINUTE"
"""Before that nobody can have been silent for an hour."""
_REPORTED: Final = """SELECT minute, accounting.* EXCLUDE (minute, vantage_id)
FROM accounting JOIN vantages USING (vantage_id)
WHERE cluster = $cluster AND exporter = $exporter AND format = $format
    AND minute >= $since AND minute < $until ORDER BY minute"""

_OF_SCRAPES: Final = "starts_with(reason, 'scrape_')"
_DROPS: Final = """FROM agent_drops WHERE cluster IS NOT DISTINCT FROM $cluster
    AND agent IS NOT DISTINCT FROM $agent AND minute >= $since AND minute < $until{} ORDER BY minute"""


def _dropped(severity: str, condition: str, least: int) -> str:
    """SQL of agents with so many drops of some reasons."""
    return f"""SELECT concat_ws('/', cluster, agent) AS entity, '{severity}' AS severity,
            list_filter([cluster], lambda one: one IS NOT NULL) AS clusters,
            string_agg(format('{{}} {{}}', times, reason), ', ' ORDER BY times DESC) AS summary, cluster, agent
        FROM (SELECT cluster, agent, reason, sum(payloads)::BIGINT AS times FROM agent_drops
            WHERE {condition} GROUP BY ALL HAVING sum(payloads) > 0)
        GROUP BY cluster, agent HAVING sum(times) >= {least}"""


TELEMETRY: Final = (
    Kind(
        "blind_spot",
        "nodes and clusters that nobody has seen for an hour (`v_blind_spots`)",
        f"""WITH unseen AS (
            SELECT * FROM v_blind_spots WHERE state IN ('never_seen', 'silent')
                AND exists({_LONG_HEARD})
        )
        SELECT CASE kind WHEN 'node' THEN 'nodes of ' || cluster ELSE 'cluster ' || entity END AS entity,
            'warning' AS severity, {ONE_CLUSTER.format("any_value(cluster)")} AS clusters,
            format('{{}} not seen for an hour: {{}}', count(*),
                array_to_string(list(unseen.entity ORDER BY unseen.entity)[:5], ', ')
                || CASE WHEN count(*) > 5 THEN '...' ELSE '' END) AS summary,
            kind, any_value(cluster) AS cluster
        FROM unseen WHERE kind = 'cluster'
            OR (kind = 'node' AND cluster NOT IN (SELECT entity FROM unseen WHERE kind = 'cluster'))
        GROUP BY ALL""",
        "FROM v_blind_spots WHERE kind = $kind AND cluster IS NOT DISTINCT FROM $cluster ORDER BY entity",
        "Run an agent there, or let one that runs take the flow records and proxy logs of it.",
        timedelta(minutes=65),
        SELDOM,
        only_if=_LONG_HEARD,
    ),
    Kind(
        "inventory_silent",
        f"a source of inventory that said nothing for {SILENT_MINUTES} minutes (`v_inventory`)",
        f"""SELECT concat_ws('/', kind, cluster, scope, resource) AS entity, 'warning' AS severity,
            {ONE_CLUSTER.format("cluster")} AS clusters,
            format('nothing heard for {{}} minutes; {{}} objects may be out of date',
                date_diff('minute', heard_time, getvariable('until')), objects) AS summary,
            kind, cluster, scope, resource
        FROM v_inventory WHERE heard_time < getvariable('until') - INTERVAL {SILENT_MINUTES} MINUTE""",
        """FROM v_inventory WHERE kind = $kind AND cluster IS NOT DISTINCT FROM $cluster
    AND scope IS NOT DISTINCT FROM $scope AND resource IS NOT DISTINCT FROM $resource""",
        "See whether the agent that asks it runs, and whether its rights or its token ended.",
        every=SELDOM,
        by_time=True,
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
        _dropped("error", f"reason <> 'duplicate' AND NOT {_OF_SCRAPES}", 1),
        _DROPS.format(""),
        "Give the agent a larger queue or spool, or find out why the log was away.",
        timedelta(minutes=15),
    ),
    Kind(
        "scrapes_failing",
        "an agent some of whose targets do not answer, or not with what they should",
        _dropped("warning", _OF_SCRAPES, MIN_TIMES),
        _DROPS.format(f" AND {_OF_SCRAPES}"),
        "See whether what it asks runs, and whether the addresses and files it was given are right: the agent's log names them.",
        timedelta(minutes=2),
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
)
