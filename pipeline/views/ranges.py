"""
Address ranges as numbers: the SQL that the views of the address space share.

An address is one 128-bit number, ``hi << 64 | lo``. Two CIDR ranges are apart
or one is inside the other, so a range lies in every range that has as many
first bits as that one is long: all pairs are one hash join on (length, first
bits), whatever the number of ranges, and never a comparison of each with each.

Before: facts.py. After: exhaustion.py, ipspace.py, flat.py, blind_spots.py.
"""

from typing import Final

from pipeline.inventory.file import INTERNET

NOW: Final = "now()"
"""Time at which the inventory is looked at, unless a reader says another."""
CLOCK: Final = "(SELECT coalesce(max(minute) + INTERVAL 1 MINUTE, now()) FROM accounting)"
"""End of the newest minute in which anything was received: traffic is looked at before it."""
_ONES: Final = "340282366920938463463374607431768211455::UHUGEINT"


def valid(at: str, rows: str = "") -> str:
    """Whether a row with validity holds at a time."""
    prefix = f"{rows}." if rows else ""
    return f"""(({prefix}valid_from IS NULL OR {prefix}valid_from <= {at})
        AND ({prefix}valid_to IS NULL OR {prefix}valid_to > {at}))"""


def number(name: str) -> str:
    """Number of the address in columns ``{name}_ip_hi`` and ``_lo``."""
    return f"(({name}_ip_hi::UHUGEINT << 64) | {name}_ip_lo)"


def last(first: str, length: str) -> str:
    """Last address of a range."""
    return f"({first} | ({_ONES} >> {length}::UHUGEINT))"


def bits(address: str, length: str) -> str:
    """First so many bits of an address: what all addresses of a range have in common."""
    return f"({address} >> (128 - {length})::UHUGEINT)"


def cidr(first: str, length: str) -> str:
    """Text of a range, whatever address of it is given."""
    low = f"({bits(first, length)} << (128 - {length})::UHUGEINT)"
    return f"cidr_text(({low} >> 64)::UBIGINT, ({low} & 18446744073709551615)::UBIGINT, {length})"


def size(length: str) -> str:
    """How many addresses a range has."""
    return f"pow(2.0, 128 - {length})"


def declared(at: str) -> str:
    """
    Ranges that are somebody's at a time.

    Named ranges outside are labels, and containers of NetBox are plans: not among them.
    """
    return f"""SELECT prefix_id, network, kind, cluster, vpc, subnet, name, provider, valid_from,
        {number("prefix")} AS first, prefix_length AS length
    FROM prefixes WHERE kind <> 'external' AND network <> '{INTERNET}' AND {valid(at)}
        AND NOT (kind = 'vpc' AND source IS NOT DISTINCT FROM 'netbox')"""


def outermost(rows: str, owner: str) -> str:
    """Of ranges with these columns alike, those that are in no other."""
    return f"""SELECT * FROM {rows} QUALIFY coalesce(max({last("first", "length")}) OVER (
            PARTITION BY {owner} ORDER BY first, length, prefix_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) < first, true)"""


def inside(things: str, ranges: str, address: str, *, length: str = "128") -> str:
    """
    FROM clause: each of ``things`` (alias i) with each of ``ranges`` (alias o) it lies in.

    Parameters
    ----------
    things
        Table with the number ``address``, and ``length`` where it is a range.
    ranges
        Table with ``first`` and ``length``.
    """
    return f"""(SELECT things.*, lengths.length AS outer_length,
            {bits(f"things.{address}", "lengths.length")} AS outer_bits
        FROM {things} things JOIN (SELECT DISTINCT length FROM {ranges}) lengths
            ON lengths.length <= {length}) i
        JOIN {ranges} o ON o.length = i.outer_length AND {bits("o.first", "o.length")} = i.outer_bits"""


def pairs(rows: str, condition: str) -> str:
    """Ranges that intersect: structs ``o`` (the outer) and ``i``, each pair once."""
    return f"""SELECT o, i FROM {inside(rows, rows, "first", length="things.length")}
        WHERE (o.length < i.length OR (o.network, coalesce(o.cluster, ''), o.prefix_id)
                < (i.network, coalesce(i.cluster, ''), i.prefix_id))
            AND NOT {_ONE} AND {condition}"""


_ONE: Final = """(o.length = i.length AND o.kind = i.kind AND o.cluster IS NULL AND i.cluster IS NULL
        AND o.vpc IS NOT DISTINCT FROM i.vpc AND coalesce(o.name = i.name, o.vpc IS NOT NULL))"""
"""Ground that several sources or networks declare under one name is one range, not two."""


_BOTH_DIFFER: Final = "(o.{0} IS NOT NULL AND i.{0} IS NOT NULL AND o.{0} <> i.{0})"
_OTHERS: Final = f"""(CASE
        WHEN o.kind = 'subnet' AND i.kind = 'subnet' AND {_BOTH_DIFFER.format("subnet")} THEN true
        WHEN o.vpc = i.vpc AND (o.kind IN ('vpc', 'subnet') OR i.kind IN ('vpc', 'subnet')) THEN false
        ELSE {_BOTH_DIFFER.format("cluster")} OR {_BOTH_DIFFER.format("vpc")} END)"""

CONTEND: Final = f"""(CASE
        WHEN o.kind = i.kind OR (o.kind NOT IN ('pod', 'service') AND i.kind NOT IN ('pod', 'service'))
            THEN {_OTHERS}
        WHEN o.kind IN ('pod', 'service') AND i.kind IN ('pod', 'service') THEN true
        WHEN 'node' IN (o.kind, i.kind) AND 'service' IN (o.kind, i.kind) THEN true
        WHEN o.kind IN ('pod', 'service') AND o.length < i.length THEN true
        ELSE {_OTHERS} END)"""
"""
Whether two ranges of one network, ``i`` inside ``o``, are a conflict.

Space of the ground (vpc, subnet, node) may hold other ground, and pods and
services, unless it is known to be another's: both name a cluster, or both name
a cloud network, and not the same one. One cloud network may serve many
clusters. Pods and services never share; what is on the ground is never inside
a range of pods or services; and a service has no address of nodes.
"""

SIDES: Final = {
    "flows": {side: number(side) for side in ("src", "dst")},
    "requests": {
        "src": f"""CASE WHEN reporter = 'source' AND proxy_model IS DISTINCT FROM 'host'
            AND NOT (upstream_local_ip_hi = 0 AND (upstream_local_ip_lo = 1 OR upstream_local_ip_lo >> 24 = {0xFFFF7F}))
            THEN {number("upstream_local")} ELSE {number("downstream_remote")} END""",
        "dst": f"""CASE WHEN reporter = 'destination' OR (reporter = 'unknown' AND upstream_remote_ip_lo IS NULL)
            THEN {number("downstream_local")} ELSE {number("upstream_remote")} END""",
    },
}
"""Address of each side of a record, as `enrich.enrich_requests` chose it; ffff7f is 127.0.0.0/8."""
