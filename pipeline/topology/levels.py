"""
Levels: what each calls an endpoint, and what it calls one of which only the cluster is known.

A name outside every cluster stays itself at each level: a named range or a
published service is as far as anybody knows. An address nobody is known to have
had is ``unknown in <network>``.

Before: views/facts.py (``v_endpoints``). After: calls.py.
"""

from typing import Final, NamedTuple


class Level(NamedTuple):
    """
    One level.

    Attributes
    ----------
    name
        SQL over ``e``, a row of `v_endpoints`, and ``gateway``, a gateway's name.
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
        f"CASE WHEN gateway IS NOT NULL THEN 'gateway:' || gateway ELSE {_CLUSTER} END",
        "CASE WHEN gateway IS NOT NULL THEN 'gateway' ELSE 'cluster' END",
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
            CASE WHEN e.kind = 'external' THEN 'external' ELSE {level.kind} END AS node_kind, gateway
        FROM {lake}.v_endpoints e LEFT JOIN (
            SELECT ip AS gateway_ip, cluster AS gateway_cluster, min(name) AS gateway
            FROM {lake}.v_gateways GROUP BY ALL
        ) ON gateway_ip = e.ip AND gateway_cluster = e.cluster"""
