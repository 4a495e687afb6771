"""All steps, of inventories that change: against a model that goes through every row."""

import ipaddress
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import polars as pl
import pytest

from pipeline import schema
from pipeline.enrich import Identities, enrich_flows, overlay
from pipeline.inventory import file as inventory

CODES = {"net-a": 0, "net-b": 1, "net-c": 2, "internet": 3}
_PRIVATE = ("10.0.0.1", "10.0.0.2", "10.0.1.1", "fd00::1")
_PUBLIC = ("203.0.113.1", "2001:db8::1")
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_RANKS = {"interface": 0, "external": 0, "node": 1}  # and 2 for all others
_RANGE_RANKS = {"external": 0, "vpc": 1, "subnet": 2}  # and 3 for all others


class Held(NamedTuple):
    """When a row holds, in microseconds after `_EPOCH`; None: open."""

    start: int | None
    end: int | None

    def at(self, time):
        """[start, end)."""
        return (self.start is None or self.start <= time) and (self.end is None or time < self.end)


class Endpoint(NamedTuple):
    """Who had an address; observed only during ``seen``."""

    network: str
    ip: str
    kind: str
    workload: str
    held: Held
    seen: Held

    def rank(self, time):
        """The highest contends."""
        return _RANKS.get(self.kind, 2), self.seen.at(time)


class Range(NamedTuple):
    """A declared range."""

    network: str
    cidr: str
    kind: str
    name: str
    held: Held


class Peering(NamedTuple):
    """One way."""

    network: str
    peer: str
    held: Held


class Gateway(NamedTuple):
    """An address that leads elsewhere."""

    network: str
    ip: str
    held: Held


class World(NamedTuple):
    """Everything that is declared."""

    endpoints: list[Endpoint]
    ranges: list[Range]
    peerings: list[Peering]
    gateways: list[Gateway]


# --- the model ---------------------------------------------------------------


def _owners(world, network, ip, time):
    """Rows of the highest rank that hold."""
    rows = [
        one
        for one in world.endpoints
        if (one.network, one.ip) == (network, ip) and one.held.at(time)
    ]
    highest = max((one.rank(time) for one in rows), default=None)
    return [one for one in rows if one.rank(time) == highest]


def _who(world, network, ip, start, end):
    """Owners, as (network, kind, workload), at the first microsecond and all that follow."""
    first = _owners(world, network, ip, start)
    if not first:
        return set()
    rank = first[0].rank(start)[0]
    return {
        (network, one.kind, one.workload)
        for time in range(start, end + 1)
        for one in _owners(world, network, ip, time)
        if one.rank(time)[0] >= rank
    }


def _range(world, network, ip, time):
    """Rows of the longest range that hold then, of the highest rank."""
    rows = [
        one
        for one in world.ranges
        if one.network == network and one.held.at(time) and _inside(ip, one.cidr)
    ]
    longest = max((_length(one) for one in rows), default=0)
    rows = [one for one in rows if _length(one) == longest]
    rank = max((_RANGE_RANKS.get(one.kind, 3) for one in rows), default=0)
    return {(one.kind, one.name, network) for one in rows if _RANGE_RANKS.get(one.kind, 3) == rank}


def _length(one):
    return ipaddress.ip_network(one.cidr).prefixlen


def _inside(ip, cidr):
    address, network = ipaddress.ip_address(ip), ipaddress.ip_network(cidr)
    return address.version == network.version and address in network


def _method(world, who, own, ip, time):
    if len(who) != 1:
        return "exact"
    ((network, kind, _),) = who
    if kind == "service":
        return "service"
    is_gateway = any(
        one.network in {own, network} and one.ip == ip and one.held.at(time)
        for one in world.gateways
    )
    return "gateway" if kind == "gateway" or is_gateway else "exact"


def _answer(world, own, ip, start, end):
    """Give resolution, method, owners and range: the steps of sides.py, one after the other."""
    if own is None or ip is None:
        return "unknown", "none", set(), None
    peers = sorted(
        {one.peer for one in world.peerings if one.network == own and one.held.at(start)}
    )
    mine = _range(world, own, ip, start)
    who = _who(world, own, ip, start, end)
    where, method = own, who and _method(world, who, own, ip, start)
    declared = any(kind != "external" for kind, _, _ in mine)
    if not who and not declared:
        found = {peer: _who(world, peer, ip, start, end) for peer in peers}
        found = {peer: owners for peer, owners in found.items() if owners}
        who, method = set().union(*found.values()), "peering"
        where = next(iter(found)) if len(found) == 1 else None
        if not who:
            who, where = _who(world, "internet", ip, start, end), "internet"
            method = who and _method(world, who, own, ip, start)
    if who:
        longest = _range(world, where, ip, start)
        one = longest if len(longest) == 1 else {None}
        return ("resolved" if len(who) == 1 else "ambiguous"), method, who, *one
    longest = mine if len(mine) == 1 else set()
    if not longest and not declared:
        of_peers = [_range(world, peer, ip, start) for peer in peers]
        of_peers = [one for one in of_peers if len(one) == 1]
        if len(of_peers) == 1:
            (longest,) = of_peers
        elif not of_peers:
            longest = _range(world, "internet", ip, start)
    if len(longest) != 1:
        return "unknown", "none", set(), None
    ((kind, _, _),) = longest
    external = kind == "external"
    return (
        ("resolved", "external", set(), *longest)
        if external
        else ("unknown", "prefix", set(), *longest)
    )


# --- what is tested ----------------------------------------------------------


def _time(microseconds):
    return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)


def _valid(held):
    return {"valid_from": _time(held.start), "valid_to": _time(held.end)}


def _halves(ip, name):
    address = ipaddress.ip_address(ip)
    number = int(address) + (0xFFFF_0000_0000 if address.version == 4 else 0)
    return {f"{name}_ip_hi": number >> 64, f"{name}_ip_lo": number % 2**64}


def _rows(table, rows):
    frame = pl.DataFrame(rows, schema=table.schema) if rows else table.schema.to_frame()
    return frame.select(table.schema.names())


def _endpoints(endpoints):
    return _rows(
        schema.ENDPOINTS,
        [
            {
                "endpoint_id": number,
                "network": one.network,
                "kind": one.kind,
                "workload": one.workload,
                "seen_from": _time(one.seen.start),
                "seen_to": _time(one.seen.end),
                **_valid(one.held),
                **_halves(one.ip, "endpoint"),
            }
            for number, one in endpoints.items()
        ],
    )


def _tables(world):
    prefixes = []
    for number, one in enumerate(world.ranges):
        cidr = ipaddress.ip_network(one.cidr)
        prefixes.append(
            {
                "prefix_id": number,
                "network": one.network,
                "prefix_length": cidr.prefixlen + (96 if cidr.version == 4 else 0),
                "kind": one.kind,
                "name": one.name,
                **_valid(one.held),
                **_halves(str(cidr.network_address), "prefix"),
            }
        )
    return {
        "prefixes": _rows(schema.PREFIXES, prefixes),
        "gateways": _rows(
            schema.GATEWAYS,
            [
                {"network": one.network, **_valid(one.held), **_halves(one.ip, "gateway")}
                for one in world.gateways
            ],
        ),
        "peerings": _rows(
            schema.PEERINGS,
            [
                {"network": one.network, "peer_network": one.peer, **_valid(one.held)}
                for one in world.peerings
            ],
        ),
    }


def _flows(traffic):
    rows = []
    for network, ip, start, end in traffic:
        halves = _halves(ip, "src") if ip else {}
        same = {f"post_nat_dst{name.removeprefix('src')}": half for name, half in halves.items()}
        rows.append(
            {
                "network_code": CODES.get(network),
                "start_time": _time(start),
                "end_time": _time(end),
                **halves,
                **same,
            }
        )
    names = [
        f"{side}_ip_{half}"
        for side in ("src", "dst", "post_nat_src", "post_nat_dst")
        for half in ("hi", "lo")
    ]
    return pl.DataFrame(
        rows,
        schema={
            "network_code": pl.Int32,
            **dict.fromkeys(names, pl.UInt64),
            **dict.fromkeys(["start_time", "end_time"], schema.TIME),
        },
    )


def _told(found, side, endpoints, ranges):
    """Answers as `_answer` gives them."""
    told = []
    for row in found.iter_rows(named=True):
        one, several = row[f"{side}_endpoint_id"], row[f"{side}_candidate_ids"]
        ids = several or ([] if one is None else [one])
        assert ids == sorted(ids)
        who = {
            (endpoints[id_].network, endpoints[id_].kind, endpoints[id_].workload) for id_ in ids
        }
        assert len(who) == len(ids)
        prefix = row[f"{side}_prefix_id"]
        longest = prefix if prefix is None else ranges[prefix]
        told.append(
            (
                row[f"{side}_resolution"],
                row[f"{side}_method"],
                who,
                longest and (longest.kind, longest.name, longest.network),
            )
        )
    return told


_NETWORKS = ("net-a", "net-b", "net-c")
_ALWAYS = Held(None, None)


class Made:
    """Worlds and traffic of one seed."""

    def __init__(self, seed) -> None:
        self._random = random.Random(seed)
        self.chance = self._random.random

    def one(self, *choices: object):
        """Any of these."""
        return self._random.choice(choices)

    def held(self):
        """From one time to another, which may be open."""
        start, end = sorted((self._random.randrange(7), self._random.randrange(7)))
        return Held(self.one(start, start, None), self.one(end + 1, end + 1, None))

    def endpoint(self):
        """A row of a private address in any network, or of a public one in the internet."""
        who = self.one("web", "cart")
        if self.chance() < 0.2:
            kind = self.one("load_balancer", "gateway", "external")
            return Endpoint("internet", self.one(*_PUBLIC), kind, who, self.held(), _ALWAYS)
        kind = self.one("pod", "pod", "node", "interface", "service", "gateway")
        seen = self.one(_ALWAYS, self.held())
        return Endpoint(self.one(*_NETWORKS), self.one(*_PRIVATE), kind, who, self.held(), seen)

    def range(self):
        """A range of a network or of the internet."""
        who = self.one("one", "other")
        if self.chance() < 0.2:
            cidr = self.one("203.0.113.0/24", "203.0.0.0/16", "2001:db8::/32")
            return Range("internet", cidr, "external", who, self.held())
        cidr = self.one("10.0.0.0/8", "10.0.0.0/24", "10.0.0.0/31", "fd00::/64", "203.0.113.0/24")
        kind = self.one("pod", "subnet", "vpc", "external", "external")
        return Range(self.one(*_NETWORKS), cidr, kind, who, self.held())

    def world(self):
        """Up to as many rows of everything as leave something unknown."""
        many = self._random.randrange
        pairs = [self._random.sample(_NETWORKS, 2) for _ in range(many(6))]
        return World(
            list(dict.fromkeys(self.endpoint() for _ in range(many(20)))),
            [self.range() for _ in range(many(8))],
            [Peering(*pair, self.held()) for pair in pairs],
            [
                Gateway(self.one(*CODES), self.one(*_PRIVATE, *_PUBLIC), self.held())
                for _ in range(many(4))
            ],
        )

    def traffic(self):
        """Records of all addresses, of no address, and of no network."""
        return [
            (network, ip, *sorted((self._random.randrange(8), self._random.randrange(8))))
            for network in (*_NETWORKS, None)
            for ip in (*_PRIVATE, *_PUBLIC, "192.0.2.1", None)
        ]


def _numbers(worlds):
    """Distinct rows of the worlds, by number."""
    rows = dict.fromkeys(one for world in worlds for one in world.endpoints)
    return dict(enumerate(rows))


def _built(world, endpoints):
    names = {"name": ["net-a", "net-b", "net-c"], "model": ["flat"] * 3}
    known = inventory.build({"networks": pl.DataFrame(names)})
    held = {number: one for number, one in endpoints.items() if one in world.endpoints}
    return Identities.of(replace(known, endpoints=_endpoints(held), **_tables(world)))


def _touched(rows):
    names = ("network", "endpoint_ip_hi", "endpoint_ip_lo")
    return pl.DataFrame(
        [{"network": network, **_halves(ip, "endpoint")} for network, ip in rows],
        schema={name: schema.ENDPOINTS.schema[name] for name in names},
    )


@pytest.mark.parametrize("seeds", [range(at, at + 50) for at in range(0, 200, 50)], ids=str)
def test_no_address_is_ever_another_networks(seeds):
    """Overlapping networks, peers, internet, ranges and gateways with lives: as the model says."""
    for seed in seeds:
        made = Made(seed)
        _compare(made.world(), made.traffic())


def _compare(world, traffic):
    endpoints = _numbers([world])
    found = enrich_flows(_flows(traffic), _built(world, endpoints))
    expected = [_answer(world, *row) for row in traffic]
    assert _told(found, "src", endpoints, world.ranges) == expected
    has = [row[1] is not None for row in traffic]
    translated = found.filter(pl.Series(has))
    told = _told(translated, "post_nat_dst", endpoints, world.ranges)
    assert told == [one for one, it_has in zip(expected, has, strict=True) if it_has]
    without = found.filter(~pl.Series(has)).select(pl.col("^post_nat_dst_.*$"))
    assert without.null_count().row(0) == (without.height,) * without.width


@pytest.mark.parametrize("bound", [0, 1_000])  # a new base at every change, or never
def test_an_inventory_that_changed_answers_as_one_built_from_scratch(bound, monkeypatch):
    """Whatever came, went or changed, and whenever the new base is ready."""
    monkeypatch.setattr(overlay, "OVERLAY_ROWS", bound)
    for seed in range(25):
        made = Made(seed)
        _change([made.world() for _ in range(4)], made)


def _change(worlds, made):
    endpoints = _numbers(worlds)
    known = worlds[0]
    identities = _built(known, endpoints)
    for world in worlds[1:]:
        stays = {ip for ip in _PRIVATE + _PUBLIC if made.chance() < 0.5}
        rows = [one for one in known.endpoints if one.ip in stays]
        came = [one for one in world.endpoints if one.ip not in stays]
        gone = [one for one in known.endpoints if one.ip not in stays]
        touched = {(one.network, one.ip) for one in (*came, *gone)}
        known = world._replace(endpoints=rows + came)
        at = {number: one for number, one in endpoints.items() if one in came}
        identities = identities.changed(_touched(touched), _endpoints(at), **_tables(world))
        rebuild = identities.known.endpoints.rebuild
        if rebuild and made.chance() < 0.5:
            rebuild.base.result()
    traffic = made.traffic()
    found = enrich_flows(_flows(traffic), identities)
    assert _told(found, "src", endpoints, known.ranges) == [_answer(known, *row) for row in traffic]
