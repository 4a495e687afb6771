"""
What the inventory knows and no vantage sees: expected against observed.

    expected    every live node, every gateway, every cluster; subnets and VPCs in
                which something live has an address; every source of inventory
    observed    node      a vantage of its cluster that is on it, or that saw traffic of
                          what is on it
                gateway   a vantage that is on it, or one of the network it is seen from
                          that saw its address
                subnet,   any vantage that saw an address in it
                vpc
                cluster   any vantage of the cluster reported
                source    it was heard

A vantage is on a node if its agent or exporter is named as the node, or its
exporter is an address of it, or of a pod on it, or the proxy of such a pod (an
Envoy node id, the path of its log). Whether a vantage reports is known for all
time; whether it saw somebody's traffic, for the last day of traffic.

What only vantages of other clusters see is *others_only*: a blind spot, for
what it says to its own neighbours nobody sees. *silent*: it was observed, and
not in the last hour of what was received. *never_seen*: no vantage on it ever
reported, and in a day of traffic nobody saw it.

Before: ranges.py. After: pane.py.
"""

from typing import Final

from pipeline.schema import View
from pipeline.views.ranges import CLOCK, NOW, SIDES, cidr, declared, inside, number, valid

SILENT_MINUTES: Final = 60

_FACTS: Final = ("flows", "requests", "verdicts")
_LOW: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "flows": {"src": ("src_ip_lo",), "dst": ("dst_ip_lo",)},
    "requests": {
        "src": ("upstream_local_ip_lo", "downstream_remote_ip_lo"),
        "dst": ("downstream_local_ip_lo", "upstream_remote_ip_lo"),
    },
}
"""
Columns of the addresses of `SIDES`, low halves: whose is no gateway's is not looked at further,
which is ten times as fast as making a 128-bit number of each.
"""


def _day(clock: str) -> str:
    return f"received_time > {clock} - INTERVAL 1 DAY AND received_time <= {clock}"


def observed(at: str = NOW, clock: str = CLOCK) -> str:
    """
    SQL of all that is expected, and when it was last observed.

    Parameters
    ----------
    at
        SQL: when the inventory is looked at.
    clock
        SQL: end of what was received.
    """
    sides = " UNION ALL ".join(
        f"""SELECT vantage_id, {side}_endpoint_id AS endpoint_id, {side}_prefix_id AS prefix_id,
            max(received_time) AS time FROM {table} WHERE {_day(clock)} GROUP BY ALL"""
        for table in _FACTS
        for side in ("src", "dst")
    )
    addresses = " UNION ALL ".join(
        f"SELECT vantage_id, {address} AS ip, received_time AS time FROM {table} WHERE {_day(clock)} AND ("
        + " OR ".join(f"{low} IN (SELECT gateway_ip_lo FROM gateways)" for low in _LOW[table][side])
        + ")"
        for table, found in SIDES.items()
        for side, address in found.items()
    )
    return f"""WITH live AS (
        SELECT network, cluster, kind, namespace, pod, node, {number("endpoint")} AS ip,
            ip_text(endpoint_ip_hi, endpoint_ip_lo) AS ip_text
        FROM endpoints WHERE kind <> 'external' AND {valid(at)}
    ), reports AS (
        SELECT vantages.cluster AS cluster, agent, exporter, max(minute) + INTERVAL 1 MINUTE AS time
        FROM accounting JOIN vantages USING (vantage_id)
        WHERE received_payloads > 0 AND minute < {clock} GROUP BY ALL
    ), parts AS (
        SELECT cluster, time, unnest([agent, exporter] || string_split_regex(exporter, '[~/]')) AS part
        FROM reports
    ), words AS (
        SELECT cluster, word, max(time) AS time FROM (
            SELECT cluster, time, unnest([part, regexp_extract(part, '^([0-9.]+):[0-9]+$', 1),
                regexp_extract(part, '^([^_]+_[^_]+)_[^_]+$', 1)]) AS word FROM parts)
        WHERE word <> '' GROUP BY ALL
    ), names AS (
        SELECT DISTINCT cluster, node, ip, unnest([ip_text, CASE WHEN kind = 'node' THEN node END,
            pod || '.' || namespace, namespace || '_' || pod]) AS word
        FROM live
    ), on_it AS (
        SELECT names.cluster AS cluster, node, ip, max(time) AS time
        FROM names JOIN words USING (cluster, word) GROUP BY ALL
    ), sides AS ({sides}
    ), seen AS (
        SELECT sides.* EXCLUDE (vantage_id), vantages.cluster AS observer
        FROM sides JOIN vantages USING (vantage_id)
    ), seen_endpoints AS (
        SELECT endpoints.cluster AS cluster, node,
            max(time) FILTER (observer = endpoints.cluster) AS own_time,
            max(time) FILTER (observer <> endpoints.cluster) AS other_time,
            list_sort(list(DISTINCT observer)) AS observers
        FROM seen JOIN endpoints USING (endpoint_id) WHERE endpoints.cluster IS NOT NULL
        GROUP BY endpoints.cluster, node
    ), nodes AS (
        SELECT cluster, node, count(DISTINCT concat_ws('/', namespace, pod)) FILTER (kind = 'pod') AS pods,
            min(network) FILTER (kind = 'node') AS network
        FROM live WHERE node IS NOT NULL GROUP BY cluster, node HAVING bool_or(kind = 'node')
    ), reporting AS (SELECT cluster, node, max(time) AS time FROM on_it GROUP BY cluster, node
    ), clusters_seen AS (
        SELECT cluster, max(other_time) AS other_time,
            list_sort(list_distinct(flatten(list(observers)))) AS observers
        FROM seen_endpoints GROUP BY cluster
    ), here AS (
        SELECT cluster, min(network) AS network FROM clusters WHERE {valid(at)} GROUP BY cluster
    ), ways AS (
        SELECT DISTINCT network, cluster, name, to_network, {number("gateway")} AS ip,
            ip_text(gateway_ip_hi, gateway_ip_lo) AS ip_text
        FROM gateways WHERE {valid(at)}
    ), ways_seen AS (
        SELECT ways.network, ways.ip, max(time) AS time,
            list_sort(list(DISTINCT vantages.cluster)) AS observers
        FROM ({addresses}) facts JOIN ways ON ways.ip = facts.ip
        JOIN vantages ON vantages.vantage_id = facts.vantage_id AND vantages.network = ways.network
        GROUP BY ways.network, ways.ip
    ), ground AS (SELECT * FROM ({declared(at)}) WHERE kind IN ('subnet', 'vpc')
    ), used AS (
        SELECT o.prefix_id, count(DISTINCT i.ip) AS live FROM {inside("live", "ground", "ip")}
        WHERE o.network = i.network GROUP BY o.prefix_id
    ), seen_ranges AS (
        SELECT prefixes.network AS network, {number("prefix")} AS first, prefix_length AS length,
            max(time) AS time, list(DISTINCT observer) AS observers
        FROM seen JOIN prefixes USING (prefix_id) GROUP BY ALL
    ), ground_seen AS (
        SELECT o.prefix_id, max(time) AS time,
            list_sort(list_distinct(flatten(list(observers)))) AS observers
        FROM {inside("seen_ranges", "ground", "first", length="things.length")}
        WHERE o.network = i.network GROUP BY o.prefix_id
    ), expected AS (
        SELECT 'node' AS kind, cluster || '/' || node AS entity, cluster, network,
            CASE pods WHEN 0 THEN 'a node of the cluster' ELSE format('runs {{}} pods', pods) END AS expected,
            greatest(reporting.time, own_time) AS own_time, other_time, observers
        FROM nodes LEFT JOIN reporting USING (cluster, node)
        LEFT JOIN seen_endpoints USING (cluster, node)
        UNION ALL BY NAME
        SELECT 'gateway' AS kind, coalesce(name, ip_text) AS entity, cluster, network,
            'leads into ' || string_agg(DISTINCT to_network, ', ' ORDER BY to_network) AS expected,
            greatest(max(ways_seen.time), max(on_it.time)) AS own_time, any_value(observers) AS observers
        FROM ways LEFT JOIN ways_seen USING (network, ip) LEFT JOIN on_it USING (cluster, ip)
        GROUP BY ALL
        UNION ALL BY NAME
        SELECT kind, concat_ws(' ', {cidr("first", "length")}, coalesce(name, subnet, vpc)) AS entity,
            cluster, network, format('{{}} live addresses', live) AS expected, time AS own_time, observers
        FROM ground JOIN used USING (prefix_id) LEFT JOIN ground_seen USING (prefix_id)
        UNION ALL BY NAME
        SELECT 'cluster' AS kind, cluster AS entity, cluster, network, 'a cluster of the inventory' AS expected,
            own_time, other_time, observers
        FROM here LEFT JOIN (SELECT cluster, max(time) AS own_time FROM reports GROUP BY cluster) USING (cluster)
        LEFT JOIN clusters_seen USING (cluster)
        UNION ALL BY NAME
        SELECT 'source' AS kind, concat_ws('/', kind, cluster, scope, resource) AS entity, cluster,
            'it was asked before' AS expected, heard_time AS own_time
        FROM inventory_sources
    ), dated AS (
        SELECT *, greatest({clock}, (SELECT max(heard_time) FROM inventory_sources))
            - INTERVAL {SILENT_MINUTES} MINUTE AS recent FROM expected
    )
    SELECT *, greatest(own_time, other_time) AS last_time, coalesce(observers, []) AS seen_by,
        CASE WHEN own_time >= recent THEN 'observed' WHEN other_time >= recent THEN 'others_only'
            WHEN own_time IS NOT NULL OR other_time IS NOT NULL THEN 'silent' ELSE 'never_seen' END AS state
    FROM dated"""


BLIND_SPOTS: Final = View(
    "v_blind_spots",
    "What does the inventory know that no vantage sees?",
    {
        "kind": "node, gateway, subnet, vpc, cluster, source (of inventory)",
        "entity": "cluster/node; the gateway's name or address; range and name; cluster; kind/cluster/scope/resource of a source",
        "cluster": "its cluster; null if none",
        "network": "its network",
        "expected": "why it should be seen",
        "state": "never_seen; silent: it was observed, not in the last hour; others_only: only vantages of other clusters see it",
        "last_time": "when anybody last saw it; of traffic, in the last day",
        "seen_by": "clusters whose vantages saw its traffic in the last day",
    },
    f"SELECT * FROM ({observed()}) WHERE state <> 'observed'",
)

COVERAGE: Final = View(
    "v_coverage",
    "Of what should be seen, how much is?",
    {
        "cluster": "cluster; null for what belongs to none",
        "kind": "as in `v_blind_spots`",
        "expected": "how many the inventory knows",
        "observed": "of those, observed in the last hour",
        "others_only": "seen only by vantages of other clusters",
        "silent": "observed before",
        "never_seen": "never observed",
        "observed_share": "observed, of expected",
    },
    f"""SELECT cluster, kind, count(*) AS expected, count(*) FILTER (state = 'observed') AS observed,
        count(*) FILTER (state = 'others_only') AS others_only, count(*) FILTER (state = 'silent') AS silent,
        count(*) FILTER (state = 'never_seen') AS never_seen,
        count(*) FILTER (state = 'observed') / count(*) AS observed_share
    FROM ({observed()}) GROUP BY cluster, kind""",
)
