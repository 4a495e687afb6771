"""
Findings of the wire: where packets are lost on the way, by what TCP and exporters tell.

Where a gateway or a link between regions loses packets of an edge, it is the finding,
and the edge its symptom.

Before: calls.py. After: space.py.
"""

from typing import Final

from pipeline.findings.kind import Kind, clusters_of

MIN_MINUTES: Final = 2
"""Losses are a finding when there are too many in so many minutes in a row."""


def _lossy(done: str) -> str:
    """Entities of which too many packets are lost for some minutes, and not because of another."""
    return f"""WITH minutes AS (
            SELECT *, list_filter(reasons, lambda reason: contains(reason, '% of packets {done}')) AS told
            FROM health_1m WHERE minute >= getvariable('until') - {MIN_MINUTES} * INTERVAL 1 MINUTE
                AND entity_kind IN ('edge', 'gateway', 'cloud_link')
        ), lossy AS (
            SELECT entity_kind || ' ' || entity AS name, entity_kind, entity, arg_max(told, minute) AS told,
                arg_max(caused_by, minute) AS caused_by, arg_max(cluster, minute) AS cluster,
                bool_or(state = 'failing') AS fails
            FROM minutes WHERE len(told) > 0 GROUP BY entity_kind, entity HAVING count(*) >= {MIN_MINUTES}
        ), suffering AS (
            SELECT caused_by AS name, list(lossy.name ORDER BY lossy.name) AS symptoms
            FROM lossy WHERE caused_by IS NOT NULL GROUP BY caused_by
        )
        SELECT name AS entity, CASE WHEN fails THEN 'error' ELSE 'warning' END AS severity,
            list_sort(list_distinct({clusters_of("split_part(entity, ' -> ', 1)", "split_part(entity, ' -> ', 2)")}
                || CASE WHEN cluster IS NULL THEN [] ELSE [cluster] END)) AS clusters,
            array_to_string(told, '; ') AS summary, symptoms, entity_kind, entity AS entity_name
        FROM lossy LEFT JOIN suffering USING (name)
        WHERE caused_by IS NULL OR caused_by NOT IN (SELECT name FROM lossy)"""


_MINUTES: Final = """FROM v_health_1m WHERE entity_kind = $entity_kind AND entity = $entity_name
    AND minute >= $since AND minute < $until ORDER BY minute"""

WIRE: Final = (
    Kind(
        "retransmitting",
        f"an edge, gateway or link on which TCP sends too many packets again, for {MIN_MINUTES} minutes",
        _lossy("sent again"),
        _MINUTES,
        "Packets are lost on the way, or answers to them: look at errors and drops of the interfaces in between, at their load, and at the MTU of tunnels, which lose large packets alone.",
        only_if="FROM health_1m WHERE retransmit_share > 0 AND state IN ('degraded', 'failing')",
    ),
    Kind(
        "dropping",
        f"an edge, gateway or link of whose packets an exporter drops too many, for {MIN_MINUTES} minutes",
        _lossy("dropped"),
        _MINUTES,
        "The exporter itself drops them: see its access lists, policers and queues, and which interface is full.",
        only_if="FROM health_1m WHERE drop_share > 0 AND state IN ('degraded', 'failing')",
    ),
)
