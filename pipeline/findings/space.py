"""
Findings of the address space: conflicts, overlaps, ranges that fill.

Before: calls.py. After: telemetry.py.
"""

from typing import Final

from pipeline.findings.kind import ONE_CLUSTER, SELDOM, Kind


def _side(prefix: str) -> str:
    return f"""concat_ws(' ', {prefix}kind, coalesce({prefix}cluster || '/', '') ||
        coalesce({prefix}name, {prefix}range))"""


_BOTH_CLUSTERS: Final = """list_sort(list_distinct(list_filter([cluster, other_cluster],
        lambda one: one IS NOT NULL)))"""

SPACE: Final = (
    Kind(
        "ip_conflict",
        "one address of one network with two live owners (`v_ipspace`)",
        f"""SELECT network || ' ' || range AS entity, 'error' AS severity, {_BOTH_CLUSTERS} AS clusters,
            {_side("")} || ' and ' || {_side("other_")} || ' have this address at one time' AS summary,
            network, range
        FROM contended WHERE problem = 'observed_conflict'
            AND last_time >= getvariable('until') - INTERVAL 10 MINUTE""",
        """FROM v_endpoints WHERE network = $network AND ip || '/' = left($range, length(ip) + 1)
    AND coalesce(valid_to, 'infinity') >= $since ORDER BY valid_from""",
        "Give one of the two another address; until then, traffic of both cannot be told apart.",
        every=SELDOM,
        by_time=True,
    ),
    Kind(
        "address_overlap",
        "declared ranges that contend, in one network or in networks routed to each other",
        f"""SELECT concat_ws(' ', network, range, kind, name, '~', other_network, other_range, other_kind,
                other_name) AS entity,
            'error' AS severity, {_BOTH_CLUSTERS} AS clusters,
            format('{{}} and {{}} {{}}: {{:.0f}} addresses', {_side("")}, {_side("other_")}, detail, addresses) AS summary,
            network, range, other_network, other_range
        FROM contended WHERE problem = 'declared_overlap' AND severity = 'error'""",
        """FROM v_ipspace WHERE problem = 'declared_overlap' AND network = $network AND range = $range
    AND other_network = $other_network AND other_range = $other_range""",
        "Renumber one of them (`crosspane ipspace` says which is the least), or keep them in networks that are not routed to each other.",
        every=SELDOM,
        by_time=True,
    ),
    Kind(
        "range_exhaustion",
        "a range that is full, nearly full, or will be soon (`v_ip_forecast`)",
        f"""SELECT concat_ws(' ', network, range, unit) AS entity,
            CASE state WHEN 'full' THEN 'error' ELSE 'warning' END AS severity,
            {ONE_CLUSTER.format("cluster")} AS clusters,
            concat_ws(', ', replace(state, '_', ' '), concat_ws(' ', kind, name),
                format('{{:.0f}} of {{:.0f}} {{}} in use', in_use, capacity,
                    CASE unit WHEN 'block' THEN 'blocks' ELSE 'addresses' END),
                CASE WHEN days_left > 0 THEN format('full in {{:.0f}} days', days_left) END) AS summary,
            network, range
        FROM v_ip_forecast WHERE state IN ('full', 'nearly_full', 'filling')""",
        "FROM v_ip_forecast WHERE network = $network AND range = $range",
        "Add a range, or free addresses, before what starts next gets none.",
        every=SELDOM,
    ),
)
