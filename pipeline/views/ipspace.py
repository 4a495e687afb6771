"""
What is wrong with the address space: one row a problem.

    declared_overlap    two ranges of one network that contend (`ranges.CONTEND`), or
                        two of two networks that intersect: nothing is wrong with that
                        until they are to be routed to each other
    observed_conflict   one address of one network, two live owners at one time
    ambiguous_traffic   records between contenders that none of the two explains: most
                        often an address that changed hands within a record
    exhaustion          a range that is full, or will be soon (exhaustion.py)
    unowned             addresses in traffic that the inventory does not know

Ranges inside one another with the same owner are one range here, and between
networks only outermost ranges are compared. Owners contend as they do for records
(`enrich.identity`), while both are observed: an interface yields to who uses it.

Traffic is that of a day. A record counts once a problem, and with every problem
its addresses have.

Before: ranges.py, exhaustion.py. After: pipeline/cli/ipspace.py.
"""

from typing import Final

from pipeline.inventory.file import OWNER
from pipeline.inventory.numbers import PRIVATE, prefix_numbers
from pipeline.schema import View
from pipeline.views.ranges import (
    CLOCK,
    CONTEND,
    NOW,
    SIDES,
    bits,
    cidr,
    declared,
    inside,
    number,
    outermost,
    pairs,
    size,
    valid,
)

_PUBLIC: Final = "NOT ({})".format(
    " OR ".join(
        f"{bits('ip', str(length))} = {(high << 64 | low) >> (128 - length)}::UHUGEINT"
        for high, low, length in (prefix_numbers(str(network)) for network in PRIVATE)
    )
)
"""Means the same in every network: not of RFC 1918, 6598, 3927, 4193, 4291's link-local, loopback."""

_SIDE: Final = {
    "range": "range, or address as a range, text",
    "kind": "pod, service, node, subnet, vpc; of an observed conflict the owner's kind",
    "cluster": "its cluster",
    "vpc": "its cloud network",
    "name": "what people call it; of an observed conflict the owner",
}


def _sides(outer: str, inner: str) -> str:
    return ", ".join(
        f"""{one}.network AS {prefix}network, {cidr(f"{one}.first", f"{one}.length")} AS {prefix}range,
        {one}.kind AS {prefix}kind, {one}.cluster AS {prefix}cluster, {one}.vpc AS {prefix}vpc,
        {one}.name AS {prefix}name"""
        for prefix, one in (("", outer), ("other_", inner))
    )


_COUNTED: Final = {
    "flows": "1 AS flows, bytes * sampling_factor AS flow_bytes, 0 AS requests, 0.0 AS request_bytes",
    "requests": "0, 0.0, 1, coalesce(bytes_received, 0) + coalesce(bytes_sent, 0)",
}


def _traffic(state: str, clock: str, *, key: str) -> str:
    """Sums of a day's records of which a side is in this state, by the columns ``key``."""
    facts = " UNION ALL ".join(
        f"""SELECT vantage_id, {_in_state(table, state)}, {counts}, start_time
        FROM {table} WHERE received_time > {clock} - INTERVAL 1 DAY AND received_time <= {clock}
            AND '{state}' IN (src_resolution, dst_resolution)"""
        for table, counts in _COUNTED.items()
    )
    return f"""SELECT {key}, {_SUMS}, min(start_time) AS first_time, max(start_time) AS last_time
        FROM (SELECT facts.*, vantages.network FROM ({facts}) facts JOIN vantages USING (vantage_id))
        WHERE src IS NOT NULL OR dst IS NOT NULL GROUP BY ALL"""


def _in_state(table: str, state: str) -> str:
    return ", ".join(
        f"""CASE WHEN {side}_resolution = '{state}' AND {side}_method IS DISTINCT FROM 'external'
            THEN {address} END AS {side},
        CASE WHEN {side}_resolution = '{state}' THEN {side}_prefix_id END AS {side}_prefix_id"""
        for side, address in SIDES[table].items()
    )


_COUNTS: Final = ("flows", "flow_bytes", "requests", "request_bytes")
_SUMS: Final = ", ".join(
    f"sum({name})::{'DOUBLE' if name.endswith('bytes') else 'BIGINT'} AS {name}" for name in _COUNTS
)
_SEEN: Final = f"{_SUMS}, min(first_time) AS first_time, max(last_time) AS last_time"


def _contenders(at: str) -> str:
    """SQL of what contends for addresses: ``overlap`` of declared ranges, ``conflicts`` of owners."""
    owner = ", ".join(OWNER)
    return f"""ranges AS ({declared(at)}), owned AS (
        {outermost("ranges", "network, kind, cluster, vpc, CASE WHEN kind = 'subnet' THEN subnet END")}
    ), whole AS ({outermost("ranges", "network")}), peered AS (
        SELECT DISTINCT network, peer_network FROM peerings WHERE {valid(at)}
    ), intersections AS (
        SELECT o, i, false AS is_peered FROM ({pairs("owned", f"o.network = i.network AND {CONTEND}")})
        UNION ALL
        SELECT o, i, exists(FROM peered WHERE network = o.network AND peer_network = i.network)
            OR exists(FROM peered WHERE network = i.network AND peer_network = o.network)
        FROM ({pairs("whole", "o.network <> i.network")})
    ), overlap AS (SELECT 'o' || row_number() OVER () AS problem_id, * FROM intersections
    ), owners AS (
        SELECT endpoint_id, network, {number("endpoint")} AS ip, {owner}, hash({owner}) AS owner_hash,
            coalesce(seen_from, valid_from, '-infinity') AS begin,
            coalesce(seen_to, valid_to, 'infinity') AS until,
            {_RANK} AS rank
        FROM endpoints WHERE (valid_from IS NULL OR valid_from <= {at})
            AND (valid_to IS NULL OR valid_to > {at} - INTERVAL 1 DAY)
    ), suspects AS (
        SELECT network, ip FROM owners GROUP BY network, ip HAVING count(DISTINCT owner_hash) > 1
    ), contenders AS (
        SELECT a, b, greatest(a.begin, b.begin) AS begin, least(a.until, b.until) AS until
        FROM (FROM owners SEMI JOIN suspects USING (network, ip)) a
        JOIN (FROM owners SEMI JOIN suspects USING (network, ip)) b
            ON a.network = b.network AND a.ip = b.ip AND a.rank = b.rank
            AND (a.begin, a.endpoint_id) < (b.begin, b.endpoint_id)
            AND a.owner_hash <> b.owner_hash AND a.until > b.begin
    ), conflicts AS (
        SELECT 'c' || row_number() OVER () AS problem_id, a.network AS network, a.ip AS ip,
            arg_max(a, begin) AS a, arg_max(b, begin) AS b,
            nullif(min(begin), '-infinity') AS first_time,
            least(max(until), {at}) AS last_time
        FROM contenders GROUP BY a.network, a.ip
    )"""


def _contending(of_overlap: str = "", of_conflict: str = "", traffic: str = "") -> str:
    """SQL of a row of each of `_contenders`, with columns and a join of what its traffic is."""
    return f"""SELECT 'declared_overlap' AS problem,
        CASE WHEN o.network = i.network OR is_peered THEN 'error' ELSE 'info' END AS severity,
        {_sides("o", "i")}, {size("i.length")} AS addresses,
        CASE WHEN o.network = i.network THEN 'contend in one network'
            WHEN is_peered THEN 'contend in networks that are routed to each other'
            ELSE 'in the way of routing the networks to each other' END AS detail
        {of_overlap}
    FROM overlap {traffic}
    UNION ALL BY NAME
    SELECT 'observed_conflict' AS problem, 'error' AS severity, network, network AS other_network,
        {cidr("ip", "128")} AS range, {cidr("ip", "128")} AS other_range,
        {_owner("a", "")}, {_owner("b", "other_")}, 1.0 AS addresses,
        'two live owners at one time' AS detail,
        conflicts.first_time, conflicts.last_time {of_conflict}
    FROM conflicts {traffic}"""


def problems(at: str = NOW, clock: str = CLOCK, forecast: str = "v_ip_forecast") -> str:
    """
    Rows of `IPSPACE`.

    Parameters
    ----------
    at
        SQL: when the inventory is looked at.
    clock
        SQL: end of the day of traffic that is looked at.
    forecast
        Table or query of the rows of `exhaustion.EXHAUSTION`.
    """
    contending = _contending(
        ", traffic.* EXCLUDE (problem_id)",
        f", {', '.join(_COUNTS)}",
        "LEFT JOIN traffic USING (problem_id)",
    )
    return f"""WITH {_contenders(at)}, areas AS (
        SELECT problem_id, i.network AS network, i.first AS first, i.length AS length FROM overlap
        WHERE o.network = i.network OR is_peered
        UNION ALL SELECT problem_id, o.network, i.first, i.length FROM overlap WHERE is_peered
        UNION ALL SELECT problem_id, network, ip, 128 FROM conflicts
    ), doubtful AS MATERIALIZED (
        SELECT row_number() OVER () AS pair_id, * FROM ({_traffic("ambiguous", clock, key="network, src, dst")})
    ), doubtful_sides AS (
        SELECT * FROM (SELECT *, unnest(list_distinct([src, dst])) AS ip FROM doubtful) WHERE ip IS NOT NULL
    ), touched AS (
        SELECT DISTINCT o.problem_id, pair_id, {", ".join(_COUNTS)}, first_time, last_time
        FROM {inside("doubtful_sides", "areas", "ip")} WHERE o.network = i.network
    ), traffic AS (SELECT problem_id, {_SEEN} FROM touched GROUP BY problem_id
    ), unexplained AS (
        SELECT network, ip, {_SEEN} FROM doubtful_sides
        WHERE pair_id NOT IN (SELECT pair_id FROM touched) GROUP BY network, ip
    ), nobody AS (
        SELECT network, {_block("ip", "prefix_id")} AS block, ip, {_SEEN}
        FROM (SELECT *, unnest([{{'ip': src, 'prefix_id': src_prefix_id}}, {{'ip': dst, 'prefix_id': dst_prefix_id}}],
                recursive := true)
            FROM ({_traffic("unknown", clock, key="network, src, src_prefix_id, dst, dst_prefix_id")}))
        WHERE ip IS NOT NULL GROUP BY ALL
    )
    {contending}
    UNION ALL BY NAME
    SELECT 'ambiguous_traffic' AS problem, 'warning' AS severity, network, {cidr("ip", "128")} AS range,
        1.0 AS addresses, 'contenders one after another, within a record' AS detail,
        unexplained.* EXCLUDE (network, ip)
    FROM unexplained
    UNION ALL BY NAME
    SELECT 'exhaustion' AS problem, CASE WHEN state = 'full' THEN 'error' ELSE 'warning' END AS severity,
        network, range, kind, cluster, vpc, name, capacity - in_use AS addresses,
        concat_ws(', ', replace(state, '_', ' '), format('{{:.0f}} of {{:.0f}} {{}} in use', in_use, capacity,
            CASE unit WHEN 'block' THEN 'blocks' ELSE 'addresses' END),
            CASE WHEN days_left > 0 THEN format('full in {{:.0f}} days', days_left) END) AS detail
    FROM {forecast} WHERE state IN ('full', 'nearly_full', 'filling')
    UNION ALL BY NAME
    SELECT 'unowned' AS problem, CASE WHEN block.is_public THEN 'info' ELSE 'warning' END AS severity,
        network, {cidr("block.first", "block.length")} AS range, any_value(kind) AS kind, any_value(cluster) AS cluster,
        any_value(vpc) AS vpc, any_value(name) AS name, count(*)::DOUBLE AS addresses,
        CASE WHEN block.is_public THEN 'public addresses no range names'
            WHEN any_value(kind) IS NULL THEN 'in no declared range'
            ELSE 'in a declared range, with no owner known' END AS detail, {_SEEN}
    FROM (SELECT nobody.* REPLACE (CASE WHEN block.prefix_id IS NULL THEN block
            ELSE {{'prefix_id': block.prefix_id, 'is_public': false,
                'first': {number("prefix")}, 'length': prefix_length}} END AS block),
            kind, cluster, vpc, name
        FROM nobody LEFT JOIN prefixes ON prefixes.prefix_id = block.prefix_id)
    GROUP BY network, block"""


_RANK: Final = (
    "CASE WHEN kind IN ('interface', 'external') THEN 0 WHEN kind = 'node' THEN 1 ELSE 2 END"
)
"""As `enrich.identity` has it."""


def _block(ip: str, prefix_id: str) -> str:
    """What unowned addresses are summed by: declared range, else all that is public, else /24 or /64."""
    is_v4 = f"({ip} >> 32) = 65535"
    return f"""CASE WHEN {prefix_id} IS NOT NULL
            THEN {{'prefix_id': {prefix_id}, 'is_public': false, 'first': NULL::UHUGEINT, 'length': NULL::UTINYINT}}
        WHEN {_PUBLIC} THEN {{'prefix_id': NULL, 'is_public': true,
            'first': CASE WHEN {is_v4} THEN 281470681743360 ELSE 0 END::UHUGEINT,
            'length': CASE WHEN {is_v4} THEN 96 ELSE 0 END::UTINYINT}}
        WHEN {is_v4} THEN {{'prefix_id': NULL, 'is_public': false,
            'first': (({ip} >> 8) << 8)::UHUGEINT, 'length': 120::UTINYINT}}
        ELSE {{'prefix_id': NULL, 'is_public': false,
            'first': (({ip} >> 64) << 64)::UHUGEINT, 'length': 64::UTINYINT}} END"""


def _owner(row: str, prefix: str) -> str:
    return f"""{row}.kind AS {prefix}kind, {row}.cluster AS {prefix}cluster,
        concat_ws('/', {row}.namespace, coalesce({row}.pod, {row}.workload, {row}.service, {row}.node))
            AS {prefix}name"""


IPSPACE: Final = View(
    "v_ipspace",
    "What is wrong with the address space, and which traffic cannot be named because of it?",
    {
        "problem": "declared_overlap, observed_conflict, ambiguous_traffic, exhaustion, unowned",
        "severity": "error: an address does not mean one thing, or a range is full; warning; info: nothing is wrong yet",
        "detail": "in words",
        "network": "network of the range",
        **_SIDE,
        "other_network": "network of the other; the same where one network contradicts itself; null if there is no other",
        **{f"other_{name}": f"{meaning}; of the other" for name, meaning in _SIDE.items()},
        "addresses": "addresses in both; of exhaustion what is left, of unowned how many were seen",
        "flows": "flow records of the last day that are ambiguous (unowned: unknown) because of it; null or 0 if none",
        "flow_bytes": "their octets, after sampling",
        "requests": "requests, likewise",
        "request_bytes": "their octets",
        "first_time": "begin of the conflict, else the first of those records",
        "last_time": "end of the conflict (now if it lasts), else the last of those records",
    },
    problems(),
)

CONTENDED: Final = View(
    "contended",
    "What contends for addresses, whatever traffic it has? Not in the lake: findings ask it.",
    {name: meaning for name, meaning in IPSPACE.columns.items() if name not in _COUNTS},
    f"WITH {_contenders(NOW)} {_contending()}",
)
