"""A small fleet, quiet, and each trouble that can be added to it, row by row."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

NOON: Final = datetime(2026, 11, 26, 12, tzinfo=UTC)
Row = dict[str, Any]


class Adds(Protocol):
    """What takes rows of a table."""

    def add(self, table: str, *rows: Row) -> None:
        """Insert rows."""


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def endpoint(number: int, cluster: str, workload: str, ip: str, **more: object) -> Row:
    return {
        "endpoint_id": number,
        "network": f"net-{cluster}",
        "cluster": cluster,
        "namespace": "shop",
        "workload": workload,
        "pod": f"{workload}-0",
        "kind": "pod",
        "endpoint_ip": ip,
        "valid_from": at(-86_400),
    } | more


WEB, CART, PAY, BATCH = 11, 12, 21, 22
FLEET: Final = (
    endpoint(WEB, "east", "web", "10.1.0.1"),
    endpoint(CART, "east", "cart", "10.1.0.2"),
    endpoint(PAY, "west", "pay", "10.2.0.1"),
    endpoint(BATCH, "west", "batch", "10.2.0.2"),
)
EAST, WEST, ROUTER, ISTIOD = 1, 2, 3, 4


def fleet(lake: Adds) -> None:
    """Two clusters, four pods, who watches them, and five good calls of each pair."""
    for cluster in ("east", "west"):
        lake.add("networks", {"network": f"net-{cluster}", "model": "gateway"})
        lake.add("clusters", {"cluster": cluster, "network": f"net-{cluster}", "provider": "aws"})
    lake.add("endpoints", *FLEET)
    for number, cluster, exporter, form in (
        (EAST, "east", "web-0", "envoy_json"),
        (WEST, "west", "pay-0", "envoy_json"),
        (ROUTER, "east", "10.1.0.254", "ipfix"),
        (ISTIOD, "east", "istiod-1", "istiod"),
    ):
        one = {"vantage_id": number, "cluster": cluster, "network": f"net-{cluster}"}
        lake.add("vantages", one | {"agent": "node-1", "exporter": exporter, "format": form})
    for vantage in (EAST, WEST, ROUTER):
        lake.add(
            "accounting",
            {
                "vantage_id": vantage,
                "minute": NOON,
                "received_payloads": 100,
                "decoded_payloads": 100,
                "sequence_units_expected": 1_000,
                "sequence_units_received": 999,
            },
        )
    lake.add("requests", *calls(10, WEB, CART), *calls(10, WEB, PAY), *calls(10, BATCH, PAY))


def calls(count: int, client: int, server: int, **more: object) -> list[Row]:
    """Calls of half a minute, as the client's proxy logs them; good ones, unless ``more`` says."""
    one = {
        "vantage_id": EAST if client < PAY else WEST,
        "reporter": "source",
        "src_endpoint_id": client,
        "src_resolution": "resolved",
        "dst_endpoint_id": server,
        "dst_resolution": "resolved",
        "protocol": "HTTP/1.1",
        "method": "GET",
        "path": "/",
        "authority": "a",
        "status": 200,
        "response_flags": [],
        "duration_ms": 2.0,
        "upstream_tls": "TLSv1.3",
    }
    every = 30 / count
    return [
        one
        | {"start_time": at(number * every), "received_time": at(number * every)}
        | {"request_id": f"{client} {server} {sorted(more)} {number}"}
        | more
        for number in range(count)
    ]


class Trouble(NamedTuple):
    """
    Rows that make one finding, and rows that come near it and make none.

    Attributes
    ----------
    table
        Of both.
    finding
        Severity, entity, clusters and summary.
    evidence
        How many rows the evidence query gives.
    """

    kind: str
    table: str
    rows: Callable[[], Sequence[Row]]
    less: Callable[[], Sequence[Row]]
    finding: tuple[str, str, list[str], str]
    evidence: int


def packet(number: int, reason: str, **more: object) -> Row:
    return {
        "vantage_id": ROUTER,
        "event_time": at(number),
        "received_time": at(number),
        "verdict": "DROPPED",
        "drop_reason": reason,
        "event_type": "drop",
        "traffic_direction": "EGRESS",
        "is_reply": False,
        "src_endpoint_id": WEB,
        "src_resolution": "resolved",
        "dst_endpoint_id": PAY,
        "dst_resolution": "resolved",
        "dst_port": 5432,
        "protocol": 6,
        "denied_by": [],
        "src_labels": [],
        "dst_labels": [],
        "src_names": [],
        "dst_names": [],
    } | more


UPSTREAM: Final = "outbound|80||pay.shop"


def scrape(seconds: float, **figures: float) -> list[Row]:
    """One scrape of web's proxy; figures of its one upstream."""
    base = {"vantage_id": EAST, "received_time": at(seconds)}
    of_upstream = [
        base
        | {"metric": name, "value": float(value), "upstream_cluster": UPSTREAM}
        | {"direction": "outbound"}
        for name, value in figures.items()
    ]
    return [base | {"metric": "scrape_samples", "value": 9.0}, *of_upstream]


def certificate(days_left: float) -> list[Row]:
    base = {"vantage_id": EAST, "received_time": at(0)}
    end_s = at(days_left * 86_400).timestamp()
    one = {"metric": "certificate_expiry_time", "name": "gateway-cert", "value": end_s}
    return [base | {"metric": "scrape_samples", "value": 9.0}, base | one]


def prefix(number: int, network: str, cluster: str, ip: str, length: int) -> Row:
    return {
        "prefix_id": number,
        "network": network,
        "cluster": cluster,
        "kind": "pod",
        "prefix_ip": ip,
        "prefix_length": 96 + length,
        "valid_from": at(-86_400),
    }


def source(heard: datetime) -> Row:
    return {
        "source_id": 1,
        "kind": "aws",
        "cluster": "east",
        "scope": "1/eu-west-1",
        "resource": "ec2.subnets",
        "heard_time": heard,
        "objects": 3,
    }


def told(**more: object) -> Row:
    return {"vantage_id": ISTIOD, "received_time": at(0)} | more


TROUBLES: Final = (
    Trouble(
        "unhealthy_service",
        "requests",
        lambda: calls(10, WEB, CART, status=503) + calls(10, BATCH, CART, status=503),
        lambda: calls(2, WEB, CART, status=503),
        ("error", "east/shop/cart", ["east"], "failing: 66.7% errors; blame: unknown (30 calls)"),
        30,
    ),
    Trouble(
        "unhealthy_edge",
        "requests",
        lambda: calls(90, BATCH, PAY) + calls(5, WEB, PAY, status=503),
        lambda: calls(90, BATCH, PAY) + calls(2, WEB, PAY, status=503),
        (
            "error",
            "east/shop/web -> west/shop/pay",
            ["east", "west"],
            "failing: 33.3% errors; blame: unknown (15 calls)",
        ),
        15,
    ),
    Trouble(
        "plaintext_edge",
        "requests",
        lambda: calls(3, WEB, PAY, upstream_tls=None),
        lambda: (
            calls(3, WEB, CART, upstream_tls=None)
            + calls(1, WEB, PAY, upstream_tls=None, status=503)
        ),
        (
            "warning",
            "east/shop/web -> west/shop/pay",
            ["east", "west"],
            "3 of 13 calls from east to west were not encrypted",
        ),
        3,
    ),
    Trouble(
        "policy_denials",
        "verdicts",
        lambda: [packet(number, "POLICY_DENIED") for number in range(12)],
        lambda: [packet(0, "POLICY_DENIED", verdict="FORWARDED")],
        (
            "warning",
            "east/shop/web -> west/shop/pay:5432",
            ["east", "west"],
            "12 packets refused: POLICY_DENIED",
        ),
        1,
    ),
    Trouble(
        "packets_dropped",
        "verdicts",
        lambda: [packet(number, "CT_MAP_INSERTION_FAILED", dst_port=80) for number in range(3)],
        lambda: [packet(0, "POLICY_DENIED")],
        (
            "info",
            "east/shop/web -> west/shop/pay:80",
            ["east", "west"],
            "3 packets refused: CT_MAP_INSERTION_FAILED",
        ),
        1,
    ),
    Trouble(
        "certificate_expiring",
        "proxy_samples",
        lambda: certificate(6),
        lambda: certificate(8),
        ("warning", "east/web-0: gateway-cert", ["east"], "expires in 6.0 days"),
        1,
    ),
    Trouble(
        "ip_conflict",
        "endpoints",
        lambda: [endpoint(31, "east", "rogue", "10.1.0.1")],
        lambda: [
            endpoint(31, "east", "rogue", "10.1.0.1", valid_from=at(-90_000), valid_to=at(-86_400))
        ],
        (
            "error",
            "net-east 10.1.0.1/32",
            ["east"],
            "pod east/shop/web-0 and pod east/shop/rogue-0 have this address at one time",
        ),
        2,
    ),
    Trouble(
        "address_overlap",
        "prefixes",
        lambda: [
            prefix(1, "net-east", "east", "10.64.0.0", 16),
            prefix(2, "net-east", "west", "10.64.1.0", 24),
        ],
        lambda: [
            prefix(1, "net-east", "east", "10.64.0.0", 16),
            prefix(2, "net-west", "west", "10.64.1.0", 24),
        ],
        (
            "error",
            "net-east 10.64.0.0/16 pod ~ net-east 10.64.1.0/24 pod",
            ["east", "west"],
            "pod east/10.64.0.0/16 and pod west/10.64.1.0/24 contend in one network: 256 addresses",
        ),
        1,
    ),
    Trouble(
        "range_exhaustion",
        "prefixes",
        lambda: [
            prefix(3, "net-west", "west", "10.2.0.0", 31),
            prefix(4, "net-west", "west", "10.2.0.2", 32),
        ],
        lambda: [prefix(3, "net-west", "west", "10.2.0.0", 24)],
        (
            "error",
            "net-west 10.2.0.2/32 address",
            ["west"],
            "full, pod, 1 of 1 addresses in use",
        ),
        1,
    ),
    Trouble(
        "inventory_silent",
        "inventory_sources",
        lambda: [source(at(-5_400))],
        lambda: [source(at(-5_300))],
        (
            "warning",
            "aws/east/1/eu-west-1/ec2.subnets",
            ["east"],
            "nothing heard for 91 minutes; 3 objects may be out of date",
        ),
        1,
    ),
    Trouble(
        "telemetry_loss",
        "accounting",
        lambda: [
            {"vantage_id": ROUTER, "minute": NOON}
            | {"sequence_units_expected": 1_000, "sequence_units_received": 901}
        ],
        lambda: [
            {"vantage_id": ROUTER, "minute": NOON}
            | {"sequence_units_expected": 100, "sequence_units_received": 93}
        ],
        ("error", "east/10.1.0.254 ipfix", ["east"], "100 of 2000 units lost (5.00%)"),
        2,
    ),
    Trouble(
        "agent_loss",
        "agent_drops",
        lambda: [
            {"minute": NOON, "cluster": "east", "agent": "node-1", "reason": reason, "payloads": n}
            for reason, n in (("kernel", 5), ("spool_full", 7), ("kernel", 4), ("duplicate", 50))
        ],
        lambda: [
            {"minute": NOON, "cluster": "east", "agent": "node-1", "reason": "duplicate"}
            | {"payloads": 50}
        ],
        ("error", "east/node-1", ["east"], "9 kernel, 7 spool_full"),
        4,
    ),
    Trouble(
        "rejects_high",
        "rejects",
        lambda: [
            {"received_time": at(n), "vantage_id": WEST, "reason": "json_malformed"}
            for n in range(10)
        ],
        lambda: [
            {"received_time": at(n), "vantage_id": WEST, "reason": "json_malformed"}
            for n in range(9)
        ],
        (
            "warning",
            "west/pay-0 envoy_json",
            ["west"],
            "10 rejects in 100 payloads: json_malformed",
        ),
        10,
    ),
    Trouble(
        "upstream_ejected",
        "proxy_samples",
        lambda: scrape(0, upstream_members=3, upstream_members_healthy=2, ejections_active=1),
        lambda: scrape(0, upstream_members=3, upstream_members_healthy=2, ejections_active=0),
        (
            "warning",
            f"east: {UPSTREAM}",
            ["east"],
            "members ejected at 1 of its proxies: 1 ejected; 2 of 3 members healthy",
        ),
        1,
    ),
    Trouble(
        "upstream_failing",
        "proxy_samples",
        lambda: scrape(0, upstream_members=2, upstream_members_healthy=0),
        lambda: scrape(0, upstream_members=2, upstream_members_healthy=1),
        (
            "error",
            f"east: {UPSTREAM}",
            ["east"],
            "failing at 1 of its proxies: 0 of 2 members healthy",
        ),
        1,
    ),
    Trouble(
        "control_plane_behind",
        "control_plane",
        lambda: [
            told(
                subject="proxy", proxy="cart-0.shop", proxy_cluster="west", control_plane="istiod-1"
            )
            | {"state": "stale", "resource_type": "cds", "staleness_ms": 61_000.0}
        ],
        lambda: [
            told(
                subject="proxy", proxy="cart-0.shop", proxy_cluster="west", control_plane="istiod-1"
            )
            | {"state": "stale", "resource_type": "cds", "staleness_ms": 59_000.0}
        ],
        ("warning", "cart-0.shop", ["east", "west"], "stale cds"),
        1,
    ),
    Trouble(
        "cluster_not_read",
        "control_plane",
        lambda: [
            told(subject="cluster", control_plane="istiod-1", remote_cluster="west")
            | {"cluster_state": "timeout"}
        ],
        lambda: [
            told(subject="cluster", control_plane="istiod-1", remote_cluster="west")
            | {"cluster_state": "synced"}
        ],
        ("error", "istiod-1 -> west", ["east", "west"], "timeout"),
        1,
    ),
)
