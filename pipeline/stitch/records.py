"""
Records of proxies as numbers: who, when, and keys by which they join.

What nothing joins by stays in the rows that were read, and is looked up for those records
that are asked about.

Before: keys.py, direct.py. After: chain.py, pairs.py.
"""

from collections.abc import Collection
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.stitch.keys import (
    GOLDEN,
    INTERNET_NO,
    UInt64s,
    hashed,
    mix,
    nullable,
    number,
    places,
    socket,
)

CLIENT: Final = 0
GATEWAY: Final = 1
SERVER: Final = 2
"""Codes of `schema.ROLE`."""

ROLES: Final = {"source": CLIENT, "gateway": GATEWAY, "waypoint": GATEWAY, "destination": SERVER}
_ROLE: Final = pl.col("reporter").replace_strict(ROLES, default=None, return_dtype=pl.UInt8)
IS_OVER: Final = (
    pl.col("log_type").is_null() | (pl.col("log_type").cast(pl.String) == "end")
) & pl.col("is_health_check").ne_missing(other=True)
"""A record is of a call, and the last that its proxy told of it."""
_ENDS: Final = ("downstream_remote", "downstream_local", "upstream_local", "upstream_remote")
_ORDER: Final = ("start_time", "vantage_id", "received_time")
_SOCKETS: Final = tuple(f"{end}_{part}" for end in _ENDS for part in ("ip_hi", "ip_lo", "port"))
_SAME: Final = (
    *("network", "cluster", "role", "start_ms", "whole_ms", "status", "request_id"),
    *("method", "authority", "path", *_SOCKETS),
)
"""What rows of one record have in common, by any channel; a file has whole milliseconds."""

NEEDED: Final = (
    *("received_time", "start_time", "vantage_id", "reporter", "log_type", "is_health_check"),
    *("protocol", "method", "authority", "path", "status", "grpc_status", "response_flags"),
    *("request_id", "trace_id", "duration_ms", "bytes_received", "bytes_sent", "attempts"),
    *("service", "service_port", "service_subset", *_SOCKETS),
    *("downstream_peer_identity", "upstream_peer_identity", "upstream_local_identity"),
    *("downstream_tls", "upstream_tls"),
    *(
        f"{side}_{name}"
        for side in ("src", "dst")
        for name in ("endpoint_id", "method", "candidate_ids")
    ),
)
"""Columns of `schema.REQUESTS` that stitching reads."""
_NAMING: Final = ("network", "start_time", *_SOCKETS)
_KEYED: Final = (
    *(*_NAMING, "cluster", "vantage_id", "received_time", "reporter", "status", "attempts"),
    *("duration_ms", "method", "authority", "path", "service", "service_port", "service_subset"),
    *("request_id", "trace_id", "dst_endpoint_id"),
)
"""Of these, those that make an edge's number, and all that something joins by."""

_LONGEST_MS: Final = 1e10
"""Some months: a duration above it, or below 0, is no time that anything is compared with."""
LASTED_MS: Final = pl.col("duration_ms").fill_nan(0).fill_null(0).clip(0, _LONGEST_MS)
_OF_ENDS: Final = {
    f"{side}_{name}": (f"{side}_no", name)
    for side in ("src", "dst")
    for name in ("kind", "cluster", "identity")
}
"""What is known of who is at an end: the column with its number, and that of `endpoints`."""


def translated(flows: pl.DataFrame) -> pl.DataFrame:
    """
    What flow records tell of translations.

    Parameters
    ----------
    flows
        Columns of `schema.FLOWS`, at least addresses, ports, and those ``post_nat_src``, and
        ``network`` of the vantage.

    Returns
    -------
    DataFrame
        ``out_key`` (as `prepared` has it), ``in_from``: source after translation;
        ``flow_start``, ``flow_end``: Int64, microseconds.
    """
    flows = flows.filter(pl.col("post_nat_src_ip_lo").is_not_null())
    flows = flows.with_columns(
        post_nat_src_port=pl.coalesce("post_nat_src_port", "src_port"),
    )
    network = number(flows["network"])
    (source, has_source), (target, has_target), (after, has_after) = (
        socket(flows, network, end) for end in ("src", "dst", "post_nat_src")
    )
    return flows.select(
        nullable("out_key", mix(source, target), has_source & has_target),
        nullable("in_from", after, has_after),
        pl.col("start_time").to_physical().alias("flow_start"),
        pl.col("end_time").to_physical().alias("flow_end"),
    ).drop_nulls(["out_key", "in_from"])


class Records(NamedTuple):
    """
    Records, once each.

    Attributes
    ----------
    rows
        All, each at its number: those that something is joined to by start, then both ends of
        calls that are certain. role: UInt8. start: Int64, microseconds. edge_no: UInt64, the same
        in every run. row, src_no, dst_no: UInt32, its place in ``requests``, and those of its ends
        in ``endpoints``, null where not known.
    keys
        By what the first of them are joined, null where not known.

        record: UInt32, its number. role, start, edge_no, row: as in ``rows``. end: Int64,
        microseconds. is_tcp. in_from, in_key, out_from, out_key: UInt64, source alone, and source
        and target, of the connection in and of the one out. call: UInt64, null for TCP; target:
        the service asked for; request_no, trace_no: its ids. here: the cluster and network it is
        in; via: those a gateway leads to, if it went to one. network_no: its network, 0 if not
        known; goes_to: that its connection out leads into, where that is known. status, attempts:
        as it told.
    sure
        ``record``, ``other``: both ends of calls that nothing else need be asked about.
    requests, endpoints
        As `prepared` got them.
    """

    rows: pl.DataFrame
    keys: pl.DataFrame
    sure: pl.DataFrame
    requests: pl.DataFrame
    endpoints: pl.DataFrame

    def of(self, record: pl.Series, names: Collection[str]) -> pl.DataFrame:
        """
        What these records told, by their numbers; null where there is none.

        Parameters
        ----------
        names
            Columns of ``requests``, and of both ends: src_kind, src_cluster, src_identity...
        """
        at = self.rows.select(pl.col("row", "src_no", "dst_no").gather(record))
        told = [name for name in names if name not in _OF_ENDS]
        ends = [
            self.endpoints[of_end].gather(at[number]).alias(name)
            for name, (number, of_end) in _OF_ENDS.items()
            if name in names
        ]
        return self.requests.select(pl.col(told).gather(at["row"]), *ends)


def prepared(
    requests: pl.DataFrame, gateways: pl.DataFrame, endpoints: pl.DataFrame, calls: pl.DataFrame
) -> Records:
    """
    Records that are over, no health checks, each once.

    Parameters
    ----------
    requests
        Columns `NEEDED`, and ``network`` and ``cluster`` of the vantage.
    gateways
        Rows of `schema.GATEWAYS` that held.
    endpoints
        ``endpoint_id``, ``kind``, ``cluster``, ``identity``.
    calls
        What is certain, as `direct.direct` tells.
    """
    is_open = np.ones(requests.height, np.bool_)
    is_open[calls["client"]] = is_open[calls["server"]] = False
    asked = calls.filter("is_asked")
    keys = _once(_keyed(requests, is_open, gateways, endpoints), requests)
    keys = keys.with_row_index("record")
    known = endpoints["endpoint_id"]
    rows = pl.concat(
        [keys.select("row", "role", "start", "edge_no"), *_of_certain(requests, asked)]
    )
    rows = _numbered(rows, requests).with_columns(
        places(requests[f"{side}_endpoint_id"].gather(rows["row"]), known).alias(f"{side}_no")
        for side in ("src", "dst")
    )
    first = keys.height + pl.int_range(pl.len(), dtype=pl.UInt32)
    sure = asked.select(record=first, other=first + asked.height)
    return Records(rows, keys, sure, requests, endpoints)


def _keyed(
    requests: pl.DataFrame,
    is_open: NDArray[np.bool_],
    gateways: pl.DataFrame,
    endpoints: pl.DataFrame,
) -> pl.DataFrame:
    """Columns of `Records.keys` of those records that others may belong to."""
    row = requests.select(pl.arg_where(IS_OVER & _ROLE.is_not_null() & pl.lit(pl.Series(is_open))))
    requests = requests.select(pl.col(_KEYED).gather(row.to_series()))
    network = number(requests["network"])
    (remote, has_remote), (local, has_local), (out, has_out), (target, has_target) = (
        socket(requests, network, end) for end in _ENDS
    )
    way_in, way_out = mix(remote, local), mix(out, target)
    start_ms = requests["start_time"].dt.epoch("ms").to_numpy().astype(np.uint64)
    via, via_network = _led(network, np.where(has_target, target, np.uint64(0)), gateways)
    dst = places(requests["dst_endpoint_id"], endpoints["endpoint_id"])
    is_host = endpoints["kind"].is_in(["pod", "vm"]).gather(dst)
    begun = pl.col("start_time").to_physical()
    return requests.select(
        *(*_ORDER, "status", "attempts"),
        nullable("in_from", remote, has_remote),
        nullable("in_key", way_in, has_remote & has_local),
        nullable("out_from", out, has_out),
        nullable("out_key", way_out, has_out & has_target),
        nullable("here", mix(number(requests["cluster"]), network), network != 0),
        nullable("via", via, via != 0),
        row=row.to_series(),
        network_no=pl.Series(network),
        goes_to=pl.when(pl.lit(via != 0)).then(via_network).when(is_host).then(network),
        edge_no=_edge_no(requests, network, remote, local, out, target),
        alike=_repeated(pl.Series(way_in ^ way_out ^ start_ms * GOLDEN)),
        role=_ROLE,
        start=begun,
        end=begun + (LASTED_MS * 1_000).cast(pl.Int64),
        is_tcp=pl.col("method").is_null(),
        call=_hashed("method", "authority", "path"),
        target=_hashed("service", "service_port", "service_subset"),
        request_no=_hashed("request_id"),
        trace_no=_hashed("trace_id"),
    )


def _of_certain(requests: pl.DataFrame, calls: pl.DataFrame) -> list[pl.DataFrame]:
    """``row``, ``role``, ``start``, ``edge_no`` of clients, which name their calls; of servers."""
    named = requests.select(pl.col(_NAMING).gather(calls["client"]))
    network = number(named["network"])
    sockets = (socket(named, network, end)[0] for end in _ENDS)
    numbers = _edge_no(named, network, *sockets)
    return [
        requests.select(
            calls[end].alias("row"),
            pl.lit(role, pl.UInt8).alias("role"),
            pl.col("start_time").gather(calls[end]).to_physical().alias("start"),
            edge_no.alias("edge_no"),
        )
        for end, role, edge_no in (
            ("client", CLIENT, numbers),
            ("server", SERVER, pl.lit(None, pl.UInt64)),
        )
    ]


def _edge_no(requests: pl.DataFrame, network: UInt64s, *sockets: UInt64s) -> pl.Series:
    start = requests["start_time"].to_physical().to_numpy().astype(np.uint64)
    return pl.Series(mix(network, start, *sockets))


def _repeated(numbers: pl.Series) -> pl.Series:
    """Whether others are the same: few are, and to sort is the quickest way to know."""
    ordered = np.sort(numbers.drop_nulls().to_numpy())
    again = pl.Series(ordered[1:][ordered[1:] == ordered[:-1]])
    return numbers.is_in(again.unique().implode()).fill_null(value=False)


def _hashed(first: str, *others: str) -> pl.Expr:
    """One number of columns; null where the first is."""
    return pl.when(pl.col(first).is_not_null()).then(hashed(first, *others))


def _once(told: pl.DataFrame, requests: pl.DataFrame) -> pl.DataFrame:
    """In order; of rows that tell a record twice the first, which are among those alike."""
    told = told[told.select(pl.arg_sort_by(_ORDER)).to_series()]
    alike = told.select(pl.arg_where(pl.col("alike"))).to_series()
    of_requests = [name for name in _SAME if name in requests.columns]
    columns = [*of_requests, "start_time", "duration_ms"]
    same = requests.select(pl.col(columns).gather(told["row"].gather(alike))).select(
        pl.struct(
            *of_requests,
            told["role"].gather(alike),
            (pl.col("start_time").to_physical() // 1_000).alias("start_ms"),
            pl.col("duration_ms").floor().alias("whole_ms"),
        ).hash()
    )
    is_first = np.ones(told.height, np.bool_)
    is_first[alike.filter(~same.to_series().is_first_distinct())] = False
    return told.drop(*_ORDER, "alike").filter(is_first)


def _numbered(rows: pl.DataFrame, requests: pl.DataFrame) -> pl.DataFrame:
    """Make ``edge_no`` different where several records have it: by their order."""
    numbers = rows["edge_no"].fill_null(0).to_numpy().copy()
    at = _repeated(rows["edge_no"]).arg_true()
    row = rows["row"].gather(at)
    alike = requests.select(pl.col(_ORDER).gather(row), at=at, row=row, no=numbers[at])
    nth = pl.col("no").cum_count().over("no").cast(pl.UInt64) - 1
    alike = alike.sort(*_ORDER, "row").select("at", nth=nth)
    numbers[alike["at"]] ^= alike["nth"].to_numpy() * GOLDEN
    return rows.with_columns(edge_no=pl.Series(numbers))


def _led(network: UInt64s, target: UInt64s, gateways: pl.DataFrame) -> tuple[UInt64s, UInt64s]:
    """``via`` and its network, where the target is a gateway of which one place is told."""
    led = gateways.filter(pl.col("to_network").is_not_null() & pl.col("cluster").is_not_null())
    to_network = number(led["to_network"])
    key = ["network", "gateway_ip_hi", "gateway_ip_lo", "gateway_port"]
    led = led.rename({"port": "gateway_port"}).select(
        *key[1:],
        network=number(led["network"]),
        via=mix(number(led["cluster"]), to_network),
        via_network=to_network,
    )
    led = led.unique()
    seen = pl.DataFrame({"network": network}).unique()
    own = led.join(seen, on="network")
    everywhere = led.filter(network=INTERNET_NO).drop("network").join(seen, how="cross")
    everywhere = everywhere.join(own, on=key, how="anti")
    known = pl.concat([own, everywhere.select(own.columns)]).filter(pl.len().over(key) == 1)
    declared, is_known = socket(known, known["network"].to_numpy(), "gateway")
    known = known.with_columns(target=declared).filter(is_known)
    asked = pl.Series(target).is_in(known["target"].implode()).arg_true()
    records = pl.DataFrame({"at": asked, "network": network[asked], "target": target[asked]})
    found = records.join(known, on=["network", "target"])
    via, via_network = np.zeros((2, len(target)), np.uint64)
    via[found["at"]], via_network[found["at"]] = found["via"], found["via_network"]
    return via, via_network
