"""Records of proxies by hand: east calls west through west's gateway, or within east."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from pipeline import schema
from pipeline.stitch import Span, Stitched, stitch
from pipeline.stitch.pairs import ALL
from pipeline.stitch.records import NEEDED

START = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
SAME = {
    "protocol": "HTTP/1.1",
    "method": "GET",
    "authority": "reviews:8080",
    "path": "/r",
    "status": 200,
    "service": "reviews",
    "service_port": 8080,
}
TCP = {"protocol": "TCP", "method": None, "authority": None, "path": None, "status": None}
FRONTEND, REVIEWS, NODE = 1, 2, 3
ENDPOINTS = pl.DataFrame(
    {
        "endpoint_id": pl.Series([FRONTEND, REVIEWS, NODE], dtype=pl.UInt64),
        "kind": ["pod", "pod", "node"],
        "cluster": ["east", "west", "east"],
        "identity": ["spiffe://m/frontend", "spiffe://m/reviews", None],
    }
)
_MAPPED = 0xFFFF << 32
_TYPES = {name: schema.REQUESTS.schema[name] for name in NEEDED} | {
    "network": pl.String(),
    "cluster": pl.String(),
}
_SECONDS = {"start", "ms"}


def ip(text: str) -> int:
    """Low half of an IPv4 address."""
    a, b, c, d = map(int, text.split("."))
    return _MAPPED | a << 24 | b << 16 | c << 8 | d


def sockets(**ends: str) -> dict[str, Any]:
    """Columns of ends, each as address:port."""
    columns: dict[str, Any] = {}
    for name, text in ends.items():
        address, port = text.split(":")
        columns |= {f"{name}_ip_hi": 0, f"{name}_ip_lo": ip(address), f"{name}_port": int(port)}
    return columns


def client(
    vantage: int, at: float = 0, ms: float = 20, port: int = 40_000, **other: Any
) -> dict[str, Any]:
    """A record of frontend's proxy in east, of a call through west's gateway."""
    ends = sockets(upstream_local=f"10.0.0.5:{port}", upstream_remote="203.0.113.20:15443")
    row = {
        "vantage_id": vantage,
        "reporter": "source",
        "network": "n-east",
        "cluster": "east",
        "start_time": START + timedelta(seconds=at),
        "duration_ms": ms,
        "bytes_received": 10,
        "bytes_sent": 500,
        "attempts": 1,
        "src_endpoint_id": FRONTEND,
        "dst_method": "gateway",
    }
    return {**row, **SAME, **ends, **other}


def gate(
    vantage: int, at: float = 0, ms: float = 1_000, sender: str = "198.18.0.1:40000", **other: Any
) -> dict[str, Any]:
    """A record of west's gateway: a connection from east, passed on to reviews."""
    port = other.pop("gate_port", 50_000)
    ends = sockets(
        downstream_remote=sender,
        downstream_local="10.0.0.2:15443",
        upstream_local=f"10.0.0.2:{port}",
        upstream_remote="10.0.0.5:8080",
    )
    row = {
        "vantage_id": vantage,
        "reporter": "gateway",
        "network": "n-west",
        "cluster": "west",
        "start_time": START + timedelta(seconds=at),
        "duration_ms": ms,
        "bytes_received": 2_000,
        "bytes_sent": 9_000,
        "dst_endpoint_id": REVIEWS,
    }
    return {**row, **SAME, **TCP, **ends, **other}


def server(
    vantage: int, at: float = 0.002, ms: float = 12, port: int = 50_000, **other: Any
) -> dict[str, Any]:
    """A record of reviews' proxy in west, of a call that its gateway passed on."""
    ends = sockets(downstream_remote=f"10.0.0.2:{port}", downstream_local="10.0.0.5:8080")
    row = {
        "vantage_id": vantage,
        "reporter": "destination",
        "network": "n-west",
        "cluster": "west",
        "start_time": START + timedelta(seconds=at),
        "duration_ms": ms,
        "bytes_received": 10,
        "bytes_sent": 490,
        "src_method": "gateway",
        "dst_endpoint_id": REVIEWS,
    }
    return {**row, **SAME, **ends, **other}


def gateways() -> pl.DataFrame:
    """West's gateway, as east sees it."""
    row = {"network": "n-east", "gateway_ip_hi": 0, "gateway_ip_lo": ip("203.0.113.20")}
    row |= {"port": 15_443, "cluster": "west", "to_network": "n-west"}
    types = {name: schema.GATEWAYS.schema[name] for name in row}
    return schema.complete(pl.DataFrame([row], types), schema.GATEWAYS.schema)


def translation(before: str, after: str, at: float = 0) -> pl.DataFrame:
    """A flow record of a NAT in east, towards west's gateway."""
    ends = sockets(src=before, dst="203.0.113.20:15443", post_nat_src=after)
    types = {name: schema.FLOWS.schema[name] for name in ends}
    return pl.DataFrame([ends], types).with_columns(
        network=pl.lit("n-east"),
        start_time=pl.lit(START + timedelta(seconds=at)).cast(schema.TIME),
        end_time=pl.lit(START + timedelta(seconds=at + 1)).cast(schema.TIME),
    )


NO_FLOWS = translation("10.0.0.5:1", "198.18.0.1:1").clear()


def joined(*rows: dict[str, Any], flows: pl.DataFrame = NO_FLOWS, span: Span = ALL) -> Stitched:
    """What becomes of these records, in whatever order."""
    received = {"received_time": START}
    full = pl.DataFrame([{**received, **row} for row in reversed(rows)], infer_schema_length=None)
    requests = schema.complete(full, pl.Schema(_TYPES))
    made = stitch(requests, gateways(), flows, ENDPOINTS, span)
    assert made.edges.schema == schema.EDGES.schema
    assert made.legs.schema == schema.LEGS.schema
    return made


def paths(made: Stitched) -> list[list[int]]:
    """Vantages of each conversation's records, in their order."""
    legs = made.legs.filter(pl.col("edge_id").is_not_null())
    of_edges = legs.group_by("edge_id", maintain_order=True).agg("vantage_id")["vantage_id"]
    return sorted(of_edges.to_list())


def why(made: Stitched) -> dict[int, str]:
    """Vantages of records that have no other end, and the reason."""
    rows = made.legs.drop_nulls("unmatched").select("vantage_id", "unmatched")
    return dict(rows.sort("vantage_id").iter_rows())
