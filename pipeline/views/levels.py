"""
Levels: what each calls an endpoint, and what it calls one of which only the cluster is known.

A name outside every cluster stays itself at each level: a named range or a
published service is as far as anybody knows. An address nobody is known to have
had is ``unknown in <network>``.

Before: facts.py (``v_endpoints``). After: graph.py, topology/.
"""

import re
from typing import Final, NamedTuple


class Level(NamedTuple):
    """
    One level.

    Attributes
    ----------
    name
        SQL over ``e``, a row of `v_endpoints` with ``gateway``, the name of the gateway it is.
    kind
        SQL over the same: what kind of node that is.
    cluster
        SQL over ``at``, a row of `clusters`: the name where only the cluster is known.
    called
        SQL over ``call``: the server, by the name it was called by.
    elsewhere
        What services are called that nobody knows the place of; null: by their own name.
    """

    name: str
    kind: str
    cluster: str = "NULL"
    called: str = "NULL"
    elsewhere: str | None = None


_ELSEWHERE: Final = "services of unknown place"
_CLUSTER: Final = "coalesce(e.cluster, 'outside clusters in ' || e.network)"

LEVELS: Final = {
    "provider": Level(
        "coalesce(e.provider, 'unknown provider')",
        "'provider'",
        "at.provider",
        elsewhere=_ELSEWHERE,
    ),
    "region": Level(
        "coalesce(nullif(concat_ws('/', e.provider, e.region), ''), 'unknown region')",
        "'region'",
        "nullif(concat_ws('/', at.provider, at.region), '')",
        elsewhere=_ELSEWHERE,
    ),
    "cluster": Level(_CLUSTER, "'cluster'", "at.cluster", elsewhere=_ELSEWHERE),
    "network": Level("e.network", "'network'", "at.network", elsewhere=_ELSEWHERE),
    "namespace": Level(
        "concat_ws('/', coalesce(e.cluster, e.network), coalesce(e.namespace, e.kind))",
        "'namespace'",
    ),
    "service": Level(
        "CASE WHEN e.service IS NULL THEN e.entity ELSE concat_ws('/', e.cluster, e.service) END",
        "CASE WHEN e.service IS NULL THEN e.kind ELSE 'service' END",
        called="CASE WHEN call.service IS NOT NULL"
        " THEN concat_ws('/', server_cluster, call.service) END",
    ),
    "workload": Level("e.entity", "e.kind"),
    "gateway": Level(
        f"CASE WHEN e.gateway IS NOT NULL THEN 'gateway:' || e.gateway ELSE {_CLUSTER} END",
        "CASE WHEN e.gateway IS NOT NULL THEN 'gateway' ELSE 'cluster' END",
        "at.cluster",
        elsewhere=_ELSEWHERE,
    ),
    "node": Level(
        """CASE WHEN e.node IS NOT NULL THEN concat_ws('/', e.cluster, 'node', e.node)
            WHEN e.kind = 'pod' THEN concat_ws('/', coalesce(e.cluster, e.network), 'unknown node')
            ELSE e.entity END""",
        "CASE WHEN e.node IS NOT NULL OR e.kind = 'pod' THEN 'node' ELSE e.kind END",
    ),
}
"""Level to how it names: from the widest to the narrowest, then along hops and machines."""


def endpoints(level: Level, lake: str) -> str:
    """
    SQL of `v_endpoints` with ``entity`` as a level calls it, its node's kind, and its gateway.

    A query of `pipeline.views` that reads `v_endpoints` speaks of the level where this
    stands before it under that name.
    """
    return f"""SELECT e.* REPLACE (CASE WHEN e.kind = 'external' THEN e.entity ELSE {level.name} END AS entity),
            CASE WHEN e.kind = 'external' THEN 'external' ELSE {level.kind} END AS node_kind
        FROM (SELECT every.*, gateway FROM {lake}.v_endpoints every LEFT JOIN (
            SELECT ip AS gateway_ip, cluster AS gateway_cluster, min(name) AS gateway
            FROM {lake}.v_gateways GROUP BY ALL
        ) ON gateway_ip = every.ip AND gateway_cluster = every.cluster) e"""


def node(level: str, end: str, stranger: str) -> str:
    """
    SQL of what a level calls one end of a row that has an end's columns.

    Parameters
    ----------
    level
        SQL of a level's name; where that is a literal, only what it says of that level is left.
    end
        What the columns begin with. ``{end}_at`` is the row of `clusters` of its cluster.
    stranger
        SQL of what an end is called of which not even the cluster is known.
    """
    return f"""coalesce(CASE WHEN {end}_kind = 'external' THEN {end}_entity
            WHEN {end}_kind IS NOT NULL THEN {_each(level, end, "name")} END,
        {_each(level, end, "cluster")}, {stranger}, 'unknown')"""


def kind(level: str, end: str) -> str:
    """SQL of what kind of node that is; null where it is not known."""
    return f"""CASE WHEN {end}_kind = 'external' THEN 'external'
        WHEN {end}_kind IS NOT NULL THEN {_each(level, end, "kind")} END"""


def elsewhere(level: str) -> str:
    """SQL of what a level calls a server nobody knows the place of."""
    named = ", ".join(f"'{name}'" for name, one in LEVELS.items() if one.elsewhere)
    return f"CASE WHEN {level} IN ({named}) THEN '{_ELSEWHERE}' ELSE server_entity END"


def _each(level: str, end: str, what: str) -> str:
    """SQL of that attribute of whichever level it is."""
    says = " ".join(f"WHEN '{name}' THEN {getattr(one, what)}" for name, one in LEVELS.items())
    return re.sub(r"\bat\.", f"{end}_at.", re.sub(r"\be\.", f"{end}_", f"CASE {level} {says} END"))
