"""
Could two clusters live in one flat address space, and what stands in the way?

A cluster's ranges are those that name it, and those of its network that name
no cluster (the ground it shares: VPCs, subnets). In one flat network an address
means one thing, so any two ranges of two networks that intersect are in the
way, ranges of services too: a record knows a service by its address alone. Of
ranges of a cluster that lie in one another, the outermost stands for them.

Before: ranges.py. After: pipeline/ipspace.py (what to renumber).
"""

from typing import Final

from pipeline.schema import View
from pipeline.views.ranges import (
    CONTEND,
    NOW,
    cidr,
    declared,
    inside,
    number,
    outermost,
    pairs,
    size,
    valid,
)

_RANGE: Final = {
    "cluster": "cluster that has the range, by itself or as ground of its network",
    "network": "its network",
    "prefix_id": "`prefixes` row",
    "range": "range, text",
    "kind": "pod, service, node, subnet, vpc",
    "name": "what people call it",
    "in_use": "addresses of live endpoints in it",
}


def conflicts(at: str = NOW) -> str:
    """Rows of `CONFLICTS` at a time."""
    sides = ", ".join(
        f"""{one}.owner AS cluster_{side}, {one}.network AS network_{side},
        {one}.prefix_id AS prefix_id_{side}, {cidr(f"{one}.first", f"{one}.length")} AS range_{side},
        {one}.kind AS kind_{side}, {one}.name AS name_{side},
        coalesce(used_{side}.addresses, 0) AS in_use_{side}, {size(f"{one}.length")} AS addresses_{side}"""
        for side, one in (("a", "a"), ("b", "b"))
    )
    return f"""WITH ranges AS ({declared(at)}), members AS (
        SELECT clusters.cluster AS owner, ranges.* FROM clusters JOIN ranges
            ON ranges.cluster = clusters.cluster
            OR (ranges.cluster IS NULL AND ranges.network = clusters.network)
        WHERE {valid(at, "clusters")}
    ), owned AS ({outermost("members", "owner, network, kind, vpc")}
    ), whole AS ({outermost("members", "owner, network")}
    ), found AS ({pairs("owned", f"{_OTHERS} AND o.network = i.network AND {CONTEND}")}
        UNION ALL {pairs("whole", f"{_OTHERS} AND o.network <> i.network")}
    ), ordered AS (
        SELECT CASE WHEN o.owner < i.owner THEN o ELSE i END AS a,
            CASE WHEN o.owner < i.owner THEN i ELSE o END AS b, {size("i.length")} AS addresses
        FROM found
    ), live AS (
        SELECT DISTINCT network, {number("endpoint")} AS ip FROM endpoints
        WHERE kind <> 'external' AND {valid(at)}
    ), chosen AS (
        SELECT DISTINCT one.prefix_id AS prefix_id, one.network AS network, one.first AS first,
            one.length AS length FROM (SELECT a AS one FROM ordered UNION ALL SELECT b FROM ordered)
    ), used AS (
        SELECT o.prefix_id, count(*) AS addresses FROM {inside("live", "chosen", "ip")}
        WHERE o.network = i.network GROUP BY o.prefix_id
    )
    SELECT {sides}, ordered.addresses FROM ordered
    LEFT JOIN used used_a ON used_a.prefix_id = a.prefix_id
    LEFT JOIN used used_b ON used_b.prefix_id = b.prefix_id"""


_OTHERS: Final = """o.owner <> i.owner AND o.prefix_id <> i.prefix_id
        AND (o.network <> i.network OR coalesce(o.cluster, i.cluster) IS NOT NULL)"""
"""Of two clusters; where ground of one network contradicts itself, it is no matter of theirs."""

CONFLICTS: Final = View(
    "v_flat_conflicts",
    "Which two ranges keep two clusters from one flat address space?",
    {
        **{
            f"{name}_{side}": f"{meaning}; of the {which}"
            for side, which in (("a", "first"), ("b", "second, by name of its cluster"))
            for name, meaning in (_RANGE | {"addresses": "addresses in the range"}).items()
        },
        "addresses": "addresses that are in both",
    },
    conflicts(),
)


def readiness(at: str = NOW, conflicts: str = "v_flat_conflicts") -> str:
    """Rows of `READINESS` at a time, from a table of the rows of `CONFLICTS`."""
    return f"""WITH here AS (
        SELECT cluster, min(network) AS network, bool_or(pods.cluster IS NOT NULL) AS is_known
        FROM clusters LEFT JOIN (SELECT DISTINCT cluster FROM prefixes
            WHERE kind = 'pod' AND {valid(at)}) pods USING (cluster)
        WHERE {valid(at, "clusters")} GROUP BY cluster
    ), blocked AS (
        SELECT cluster_a, cluster_b, count(*) AS conflicts, sum(addresses) AS addresses,
            list_sort(list(DISTINCT concat_ws(' ', kind_a, range_a, '~', kind_b, range_b))) AS blocking
        FROM {conflicts} GROUP BY cluster_a, cluster_b
    )
    SELECT a.cluster AS cluster_a, b.cluster AS cluster_b, a.network AS network_a,
        b.network AS network_b, coalesce(conflicts, 0) AS conflicts, coalesce(addresses, 0) AS addresses,
        coalesce(blocking, []) AS blocking,
        CASE WHEN a.network = b.network THEN CASE WHEN conflicts > 0 THEN 'conflicting' ELSE 'flat' END
            WHEN conflicts > 0 THEN 'blocked'
            WHEN a.is_known AND b.is_known THEN 'ready' ELSE 'unknown' END AS state
    FROM here a JOIN here b ON a.cluster < b.cluster
    LEFT JOIN blocked ON blocked.cluster_a = a.cluster AND blocked.cluster_b = b.cluster"""


READINESS: Final = View(
    "v_flat_readiness",
    "Which pairs of clusters are in one flat address space, or could be, and what blocks the rest?",
    {
        "cluster_a": "first of the pair, by name",
        "cluster_b": "second of the pair",
        "network_a": "network of the first",
        "network_b": "network of the second",
        "state": "flat: one network already, and nothing contends; conflicting: one network, and ranges contend; ready: two networks, and no ranges intersect; blocked: two networks, and some do; unknown: nothing declared intersects, but of one of them no range of pods is declared",
        "conflicts": "pairs of ranges in the way: rows of `v_flat_conflicts`",
        "addresses": "addresses in both of a pair, all pairs together",
        "blocking": "those pairs: kind range ~ kind range",
    },
    readiness(),
)
