"""
Records of proxies as numbers: who, when, and 64-bit keys by which they join.

An address means something in its network, so a key holds network, address and
port. A public address is the same in every network: its network is the internet.

Before: __init__.py. After: chain.py, pairs.py.
"""

from typing import Final

import numpy as np
import polars as pl
import xxhash
from numpy.typing import NDArray

from pipeline.inventory.file import INTERNET
from pipeline.inventory.numbers import PRIVATE

UInt64s = NDArray[np.uint64]

CLIENT: Final = 0
GATEWAY: Final = 1
SERVER: Final = 2
"""Codes of `schema.ROLE`."""

_ROLES: Final = {"source": CLIENT, "gateway": GATEWAY, "waypoint": GATEWAY, "destination": SERVER}
_ENDS: Final = ("downstream_remote", "downstream_local", "upstream_local", "upstream_remote")
_SAME: Final = (
    *("network", "cluster", "role", "start_ms", "whole_ms", "status", "request_id"),
    *("method", "authority", "path"),
    *(f"{end}_{part}" for end in _ENDS for part in ("ip_hi", "ip_lo", "port")),
)
"""What rows of one record have in common, by any channel; a file has whole milliseconds."""

NEEDED: Final = (
    *("received_time", "start_time", "vantage_id", "reporter", "log_type", "is_health_check"),
    *("protocol", "method", "authority", "path", "status", "grpc_status", "response_flags"),
    *("request_id", "trace_id", "duration_ms", "bytes_received", "bytes_sent", "attempts"),
    *("service", "service_port", "service_subset"),
    *(f"{end}_{part}" for end in _ENDS for part in ("ip_hi", "ip_lo", "port")),
    *("downstream_peer_identity", "upstream_peer_identity", "upstream_local_identity"),
    *("downstream_tls", "upstream_tls"),
    *(
        f"{side}_{name}"
        for side in ("src", "dst")
        for name in ("endpoint_id", "method", "candidate_ids")
    ),
)
"""Columns of `schema.REQUESTS` that stitching reads."""

_PRIVATE_V4: Final = tuple(  # first address, bits
    (int(network.network_address), network.prefixlen)
    for network in PRIVATE
    if network.version == 4  # noqa: PLR2004 as in IPv4
)
_MAPPED: Final = 0xFFFF
_LONGEST_MS: Final = 1e10
"""Some months: a duration above it, or below 0, is no time that anything is compared with."""


def mix(*parts: UInt64s) -> UInt64s:
    """
    One number of several, the same in every version: splitmix64, part by part.

    >>> int(mix(np.array([1], np.uint64), np.array([2], np.uint64))[0])
    13608149317741381227
    """
    mixed = np.zeros(len(parts[0]), np.uint64)
    for part in parts:
        mixed = mixed + part + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
    return mixed


def number(values: pl.Series) -> UInt64s:
    """Numbers of names of which there are few, the same in every version; 0 for null."""
    names = values.unique().drop_nulls().to_list()
    known = {name: xxhash.xxh3_64_intdigest(name.encode()) for name in names}
    return values.replace_strict(known, default=0, return_dtype=pl.UInt64).to_numpy()


def is_public(high: UInt64s, low: UInt64s) -> NDArray[np.bool_]:
    """Whether addresses mean the same in every network."""
    v4 = (high == 0) & (low >> np.uint64(32) == _MAPPED)
    v4_private = np.zeros(len(low), np.bool_)
    for first, bits in _PRIVATE_V4:
        shift = np.uint64(32 - bits)
        v4_private |= (low & np.uint64(0xFFFFFFFF)) >> shift == np.uint64(first) >> shift
    unique_local = high >> np.uint64(57) == 0xFC >> 1
    link_local = high >> np.uint64(54) == 0xFE80 >> 6
    v6_private = unique_local | link_local | ((high == 0) & (low <= np.uint64(1)))
    return np.where(v4, ~v4_private, ~v6_private)


def socket(rows: pl.DataFrame, network: UInt64s, end: str) -> tuple[UInt64s, NDArray[np.bool_]]:
    """Key of network, address and port of one end, and whether there is one."""
    names = [f"{end}_ip_hi", f"{end}_ip_lo", f"{end}_port"]
    high, low, port = (rows[name].cast(pl.UInt64).fill_null(0).to_numpy() for name in names)
    internet = np.uint64(xxhash.xxh3_64_intdigest(INTERNET.encode()))
    there = np.where(is_public(high, low), internet, network)
    known = rows.select(pl.all_horizontal(pl.col(names).is_not_null())).to_series().to_numpy()
    return mix(there, high, low, port), known & (network != 0)


def nullable(name: str, values: UInt64s, known: NDArray[np.bool_]) -> pl.Series:
    """A column that is null where nothing is known."""
    frame = pl.DataFrame({name: values, "known": known})
    return frame.select(pl.when("known").then(name)).to_series()


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


def prepared(
    requests: pl.DataFrame, gateways: pl.DataFrame, endpoints: pl.DataFrame
) -> pl.DataFrame:
    """
    Records, once each, with what they join by.

    Parameters
    ----------
    requests
        Columns `NEEDED`, and ``network`` and ``cluster`` of the vantage.
    gateways
        Rows of `schema.GATEWAYS` that held.
    endpoints
        ``endpoint_id``, ``kind``, ``cluster``, ``identity``.

    Returns
    -------
    DataFrame
        One row per record, by start, with the columns of ``requests`` and:

        record: UInt32, its number. role: UInt8. start, end: Int64, microseconds. is_tcp.
        edge_no: UInt64, the same in every run.
        in_from, in_key, out_from, out_key: UInt64, source alone, and source and target, of the
        connection in and of the one out. call: UInt64, null for TCP; target: the service asked
        for. here: the cluster and network it is in; via: those a gateway leads to, if it went to
        one. network_no: its network; goes_to: that its connection out leads into. All null where
        not known.
        src_kind, src_cluster, src_identity, dst_kind, dst_cluster, dst_identity: of its ends.
    """
    rows = _named(_led(_once(requests), gateways), endpoints)
    network = number(rows["network"])
    (remote, has_remote), (local, has_local), (out, has_out), (target, has_target) = (
        socket(rows, network, end) for end in _ENDS
    )
    start = rows["start"].to_numpy().astype(np.uint64)
    return rows.with_columns(
        nullable("in_from", remote, has_remote),
        nullable("in_key", mix(remote, local), has_remote & has_local),
        nullable("out_from", out, has_out),
        nullable("out_key", mix(out, target), has_out & has_target),
        nullable("here", mix(number(rows["cluster"]), network), network != 0),
        pl.Series("network_no", network),
        pl.Series("first_no", mix(network, start, remote, local, out, target)),
        call=pl.when(~pl.col("is_tcp")).then(pl.struct("authority", "method", "path").hash()),
        target=pl.when(pl.col("service").is_not_null()).then(
            pl.struct("service", "service_port", "service_subset").hash()
        ),
    ).with_columns(edge_no=_numbered(), goes_to=_GOES_TO)


_GOES_TO: Final = (
    pl.when(pl.col("via").is_not_null())
    .then("via_network")
    .when(pl.col("dst_kind").is_in(["pod", "vm"]))
    .then("network_no")
)
"""Network a record's connection out leads into, where that is known: a number."""


def _once(requests: pl.DataFrame) -> pl.DataFrame:
    """Records that are over, no health checks, each once; numbered."""
    ended = pl.col("log_type").is_null() | (pl.col("log_type").cast(pl.String) == "end")
    role = pl.col("reporter").cast(pl.String)
    start = pl.col("start_time").to_physical()
    lasted = pl.col("duration_ms").fill_nan(0).fill_null(0).clip(0, _LONGEST_MS)
    told = requests.filter(ended & pl.col("is_health_check").ne_missing(other=True)).with_columns(
        role=role.replace_strict(_ROLES, default=None, return_dtype=pl.UInt8)
    )
    told = told.filter(pl.col("role").is_not_null())
    key = told.with_columns(start_ms=start // 1_000, whole_ms=pl.col("duration_ms").floor()).select(
        "start_time", "vantage_id", "received_time", same=pl.struct(_SAME).hash()
    )
    order = key.with_row_index("row").sort("start_time", "vantage_id", "received_time")
    first = order.unique("same", keep="first", maintain_order=True)["row"]
    return (
        told[first]
        .with_columns(
            start=start,
            end=start + (lasted * 1_000).cast(pl.Int64),
            is_tcp=pl.col("method").is_null(),
        )
        .with_row_index("record")
    )


def _led(rows: pl.DataFrame, gateways: pl.DataFrame) -> pl.DataFrame:
    """Add ``via``, of records that went to a declared gateway of which one place is told."""
    address = ["gateway_ip_hi", "gateway_ip_lo", "port"]
    led = gateways.filter(pl.col("to_network").is_not_null() & pl.col("cluster").is_not_null())
    to_network = number(led["to_network"])
    place = mix(number(led["cluster"]), to_network)
    led = led.select(
        "network", *address, pl.Series("via", place), pl.Series("via_network", to_network)
    ).unique()
    seen = rows["network"].unique().to_frame()
    own = led.join(seen, on="network")
    everywhere = led.filter(network=INTERNET).drop("network").join(seen, how="cross")
    key = ["network", *address]
    everywhere = everywhere.join(own, on=key, how="anti")
    known = pl.concat([own, everywhere.select(own.columns)])
    known = known.filter(pl.len().over(key) == 1)
    target = ["upstream_remote_ip_hi", "upstream_remote_ip_lo", "upstream_remote_port"]
    return rows.join(
        known, left_on=["network", *target], right_on=key, how="left", maintain_order="left"
    )


def _named(rows: pl.DataFrame, endpoints: pl.DataFrame) -> pl.DataFrame:
    """Add kind, cluster and identity of both ends."""
    for side in ("src", "dst"):
        known = endpoints.select(pl.all().name.prefix(f"{side}_"))
        rows = rows.join(known, on=f"{side}_endpoint_id", how="left", maintain_order="left")
    return rows


def _numbered() -> pl.Expr:
    """``first_no``, made different where several records have it: by their order."""
    nth = pl.col("first_no").cum_count().over("first_no").cast(pl.UInt64) - 1
    return pl.col("first_no") ^ (nth * 0x9E3779B97F4A7C15)
