"""Random inventories and traffic against a model so plain that it can be read."""

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import schema
from pipeline.enrich import Identities, enrich_flows
from pipeline.inventory import file as inventory

_NETWORKS = ("net-a", "net-b")
_ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.1.0.1", "::1", "fd00::1", "fd00:0:0:1::1")
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Had(NamedTuple):
    """One row of the inventory, times in microseconds after `_EPOCH`."""

    network: str
    ip: str
    workload: str
    start: int | None
    end: int | None


def _at(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)


def _inventory(rows=(), prefixes=()):
    networks = pl.DataFrame({"name": _NETWORKS, "model": ["gateway"] * 2})
    endpoint_columns = ["network", "ip", "workload", "valid_from", "valid_to"]
    endpoints = pl.DataFrame(
        [(row.network, row.ip, row.workload, _at(row.start), _at(row.end)) for row in rows],
        schema=dict.fromkeys(endpoint_columns[:3], pl.String)
        | dict.fromkeys(endpoint_columns[3:], schema.TIME),
        orient="row",
    ).with_columns(
        pl.lit("pod").alias("kind"),
        *(
            pl.lit(None, pl.String).alias(name)
            for name in ("cluster", "namespace", "service", "pod", "node", "zone", "identity")
        ),
    )
    ranges = pl.DataFrame(
        [(*row, "pod", None) for row in prefixes],
        schema=dict.fromkeys(["network", "cidr", "name", "kind", "cluster"], pl.String),
        orient="row",
    )
    return inventory.build({"networks": networks, "endpoints": endpoints, "prefixes": ranges})


def _flows(traffic):
    """(network or None, ip or None, start, end) to rows; the destination is always 10.0.0.1."""
    numbers = [None if ip is None else _number(ip) for _, ip, _, _ in traffic]
    codes = {name: code for code, name in enumerate(_NETWORKS)}
    return pl.DataFrame(
        {
            "network_code": [codes.get(network) for network, _, _, _ in traffic],
            "src_ip_hi": [None if number is None else number >> 64 for number in numbers],
            "src_ip_lo": [None if number is None else number % 2**64 for number in numbers],
            "dst_ip_hi": [0] * len(traffic),
            "dst_ip_lo": [0xFFFF_0A00_0001] * len(traffic),
            "start_time": [_at(start) for _, _, start, _ in traffic],
            "end_time": [_at(end) for _, _, _, end in traffic],
        },
        schema={
            "network_code": pl.Int32,
            **dict.fromkeys(["src_ip_hi", "src_ip_lo", "dst_ip_hi", "dst_ip_lo"], pl.UInt64),
            **dict.fromkeys(["start_time", "end_time"], schema.TIME),
        },
    ).with_columns(
        pl.lit(None, pl.UInt64).alias(f"post_nat_{side}_ip_{half}")
        for side in ("src", "dst")
        for half in ("hi", "lo")
    )


def _number(ip):
    address = ipaddress.ip_address(ip)
    return int(address) + (0xFFFF_0000_0000 if address.version == 4 else 0)


def _owners(rows, network, ip, time):
    """Workloads that had the address then, by going through all rows."""
    return {
        row.workload
        for row in rows
        if (row.network, row.ip) == (network, ip)
        and (row.start is None or row.start <= time)
        and (row.end is None or time < row.end)
    }


def _expected(rows, network, ip, start, end):
    """Owners at the first microsecond, and if there are any, those of all that follow."""
    owners = _owners(rows, network, ip, start)
    if owners:
        for time in range(start, end + 1):
            owners |= _owners(rows, network, ip, time)
    return owners


_instant = st.integers(0, 12)
_span = st.tuples(_instant, _instant).map(sorted)
_had = st.builds(
    lambda network, ip, workload, span, open_start, open_end: Had(
        network,
        ip,
        workload,
        None if open_start else span[0],
        None if open_end else span[1] + 1,
    ),
    st.sampled_from(_NETWORKS),
    st.sampled_from(_ADDRESSES),
    st.sampled_from(("web", "cart", "mail")),
    _span,
    st.booleans(),
    st.booleans(),
)
_traffic = st.lists(
    st.tuples(
        st.sampled_from((*_NETWORKS, None)),
        st.sampled_from((*_ADDRESSES, "192.0.2.1", None)),
        _span,
    ).map(lambda row: (row[0], row[1], *row[2])),
    min_size=1,
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(_had, max_size=25), _traffic)
def test_no_row_is_ever_given_to_another_than_its_owner(rows, traffic):
    """Whatever overlaps, ends or recurs elsewhere, the index says what going through all says."""
    known = _inventory(rows)
    workload = dict(known.endpoints.select("endpoint_id", "workload").iter_rows())
    network = dict(known.endpoints.select("endpoint_id", "network").iter_rows())

    found = enrich_flows(_flows(traffic), Identities.of(known))

    for (where, ip, start, end), row in zip(traffic, found.iter_rows(named=True), strict=True):
        owners = _expected(rows, where, ip, start, end)
        word = ("unknown", "resolved")[len(owners)] if len(owners) < 2 else "ambiguous"
        candidates = row["src_candidate_ids"]
        ids = candidates or [row["src_endpoint_id"]]
        assert row["src_resolution"] == word
        assert (row["src_endpoint_id"] is not None) == (word == "resolved")
        assert (candidates is not None) == (word == "ambiguous")
        if owners:
            assert {workload[one] for one in ids} == owners
            assert {network[one] for one in ids} == {where}
            assert ids == sorted(ids)
            assert len(ids) == len(owners)


_cidr = st.one_of(
    st.builds(
        lambda number, bits: str(ipaddress.ip_network((number, bits), strict=False)),
        st.integers(0, 2**32 - 1),
        st.integers(0, 32),
    ),
    st.builds(
        lambda number, bits: str(ipaddress.ip_network((number, bits), strict=False)),
        st.integers(2**32, 2**128 - 1),
        st.integers(0, 128),
    ).filter(lambda cidr: not _mapped(cidr.partition("/")[0])),  # those are IPv4 to us
    st.builds("10.0.0.0/{}".format, st.integers(7, 32)),
    st.builds("fd00::/{}".format, st.integers(8, 128)),
    st.just("255.255.255.255/32"),
    st.just("::/0"),
    st.just("0.0.0.0/0"),
)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(_NETWORKS), _cidr, st.sampled_from("ab")), max_size=25),
    st.data(),
)
def test_the_longest_prefix_is_the_one_ipaddress_finds(prefixes, data):
    """Edges of every range, in every network, against a walk through all ranges."""
    ranges = [(network, ipaddress.ip_network(cidr), name) for network, cidr, name in prefixes]
    edges = {"0.0.0.0", "255.255.255.255", "::", "ffff:" * 7 + "ffff"}
    for _, cidr, _ in ranges:
        first, last, kind = int(cidr[0]), int(cidr[-1]), type(cidr[0])
        near = {first, last, max(first - 1, 0), min(last + 1, 2**cidr.max_prefixlen - 1)}
        edges |= {str(kind(number)) for number in near}
        edges.add(str(kind(data.draw(st.integers(first, last)))))
    addresses = sorted(
        ip for ip in edges if ipaddress.ip_address(ip).version == 4 or not _mapped(ip)
    )
    traffic = [(network, ip, 0, 0) for network in (*_NETWORKS, None) for ip in addresses]
    known = _inventory(prefixes=prefixes)
    names = dict(known.prefixes.select("prefix_id", "name").iter_rows())

    found = enrich_flows(_flows(traffic), Identities.of(known))

    for (network, ip, _, _), prefix_id in zip(traffic, found["src_prefix_id"], strict=True):
        address = ipaddress.ip_address(ip)
        over = [
            (cidr.prefixlen, name)
            for where, cidr, name in ranges
            if where == network and cidr.version == address.version and address in cidr
        ]
        longest = {name for length, name in over if length == max(over)[0]}
        assert names.get(prefix_id) == (longest.pop() if len(longest) == 1 else None)


def _mapped(ip):
    return ipaddress.IPv6Address(ip).ipv4_mapped is not None
