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
        here = {"cluster": cluster, "network": f"net-{cluster}", "provider": "aws"}
        lake.add("clusters", here | {"trust_domain": "shop.test"})
    lake.add("endpoints", *FLEET)
    for number, cluster, exporter, form in (
        (EAST, "east", "web-0", "envoy_json"),
        (WEST, "west", "pay-0", "envoy_json"),
        (ROUTER, "east", "10.1.0.254", "ipfix"),
        (ISTIOD, "east", "istiod-1", "istiod"),
        (WEB_TARGET, "east", "web-0", "prometheus"),
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
    for pair in ((WEB, CART), (WEB, PAY), (BATCH, PAY)):
        lake.add("requests", *calls(10, *pair))
        lake.add("edges_1m", rolled(10, *pair))
        lake.add("security_1m", secured(10, *pair))
    lake.add("health_1m", judged("workload", "west/shop/batch"), judged("cluster", "east"))


NAMES: Final = {
    number: f"{'east' if number < PAY else 'west'}/shop/{name}"
    for number, name in ((WEB, "web"), (CART, "cart"), (PAY, "pay"), (BATCH, "batch"))
}


def _ends(client: int, server: int) -> Row:
    return {
        f"{side}_{name}": value
        for side, number in (("client", client), ("server", server))
        for name, value in (
            ("entity", NAMES[number]),
            ("cluster", NAMES[number].partition("/")[0]),
        )
    }


def rolled(count: int, client: int, server: int, errors: int = 0, **more: object) -> Row:
    """Calls of the first minute as the rollup has them, of two milliseconds each."""
    return {
        "bucket_start": NOON,
        **_ends(client, server),
        "service": "a",
        "requests": count,
        "errors": errors,
        "unserved_errors": 0,
        "denied": 0,
        "both_timed": 0,
        "durations": [{"bucket": 12, "calls": count}],
        "first_time": at(0),
        "last_time": at(30),
    } | more


def secured(count: int, client: int, server: int, **more: object) -> Row:
    """The same calls, as they were encrypted and identified."""
    return {
        "minute": NOON,
        **_ends(client, server),
        "conversations": count,
        "encrypted": count,
        "identified": count,
        "open_legs": [],
        "client_trust_domains": ["shop.test"],
        "server_trust_domains": ["shop.test"],
    } | more


NOBODY: Row = {"client_entity": "unknown", "client_cluster": None, "encrypted": 0}
"""Columns of `secured`: calls without TLS, of a client nobody knows."""


def judged(entity_kind: str, entity: str, seconds: float = 0, **more: object) -> Row:
    """How something was in the minute from then on: well, unless ``more`` says."""
    return {
        "minute": at(seconds),
        "entity_kind": entity_kind,
        "entity": entity,
        "cluster": entity.partition("/")[0],
        "state": "healthy",
        "reasons": [],
        "regressed": [],
        "flags": [],
        "requests": 20,
        "errors": 0,
    } | more


def worse(what: str, reason: str, *entities: tuple[str, str], **more: object) -> list[Row]:
    """Entities that are worse than usual, in the first minute and the one before."""
    told = {"state": "degraded", "regressed": [what], "reasons": [reason], **more}
    return [judged(*entity, seconds, **told) for entity in entities for seconds in (-60, 0)]


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


WEB_TARGET: Final = 5


def answers(vantage: int, *seconds: float) -> list[Row]:
    """Answers of a target of scrapes."""
    return [
        {
            "vantage_id": vantage,
            "metric": "scrape_samples",
            "value": 9.0,
            "received_time": at(second),
        }
        for second in seconds
    ]


def tries(
    vantage: int, count: int, outcome: str = "ok", error: str | None = None, **more: object
) -> list[Row]:
    """Tries of an agent to reach pay, by TLS, two seconds apart."""
    return [
        {
            "vantage_id": vantage,
            "start_time": at(2 * number),
            "target": "pay",
            "kind": "tls",
            "address": "pay.shop:443",
            "outcome": outcome,
            "error": error,
            "peer_ip": "10.2.0.1",
            "peer_port": 443,
            "certificate_sha256": f"{outcome}",
            "certificate_subject": "CN=pay",
            "certificate_not_before": at(-60 * 86_400),
            "certificate_not_after": at(60 * 86_400),
        }
        | more
        for number in range(count)
    ]


TROUBLES: Final = (
    Trouble(
        "retransmitting",
        "health_1m",
        lambda: worse(
            "retransmits",
            "4.0% of packets sent again, usually 0.1% (6 hours before)",
            ("gateway", "way-west"),
            cluster="west",
            retransmit_share=0.04,
        ),
        lambda: [
            judged("gateway", "way-west", state="degraded", reasons=["4.0% of packets sent again"])
        ],
        (
            "warning",
            "gateway way-west",
            ["west"],
            "4.0% of packets sent again, usually 0.1% (6 hours before)",
        ),
        2,
    ),
    Trouble(
        "dropping",
        "health_1m",
        lambda: worse(
            "",
            "12.0% of packets dropped",
            ("edge", "east/shop/web -> west/shop/pay"),
            state="failing",
            drop_share=0.12,
        ),
        lambda: worse("", "4.0% of packets sent again", ("edge", "east/shop/web -> west/shop/pay")),
        (
            "error",
            "edge east/shop/web -> west/shop/pay",
            ["east", "west"],
            "12.0% of packets dropped",
        ),
        2,
    ),
    Trouble(
        "unhealthy_service",
        "health_1m",
        lambda: [judged("service", "east/shop/cart", 0, errors=10, requests=30, state="failing")],
        lambda: [judged("service", "east/shop/cart", 0, errors=2, requests=3, state="unknown")],
        ("error", "east/shop/cart", ["east"], "failing: 33.3% errors (30 calls)"),
        10,
    ),
    Trouble(
        "unhealthy_edge",
        "health_1m",
        lambda: [
            judged("service", "west/shop/pay", 0, errors=5, requests=105, state="degraded"),
            judged(
                *("edge", "east/shop/web -> west/shop/pay", 0),
                errors=5,
                requests=15,
                state="failing",
            ),
        ],
        lambda: [
            judged("service", "west/shop/pay", 0, errors=15, requests=25, state="failing"),
            judged(
                *("edge", "east/shop/web -> west/shop/pay", 0),
                errors=15,
                requests=15,
                state="failing",
            ),
        ],
        (
            "error",
            "east/shop/web -> west/shop/pay",
            ["east", "west"],
            "failing: 33.3% errors (15 calls)",
        ),
        10,
    ),
    Trouble(
        "unhealthy_client",
        "health_1m",
        lambda: [
            judged(
                *("workload", "east/shop/web", 0),
                errors=5,
                state="failing",
                flags=["NR"],
                blamed="configuration east/shop/web",
            ),
            *(
                judged(*what, 0, errors=5, state="failing", caused_by="workload east/shop/web")
                for what in (
                    ("service", "west/shop/pay"),
                    ("edge", "east/shop/web -> west/shop/pay"),
                )
            ),
        ],
        lambda: [
            judged(
                *("workload", "east/shop/web", 0),
                errors=5,
                state="failing",
                blamed="server west/shop/pay",
                caused_by="service west/shop/pay",
            )
        ],
        (
            "error",
            "east/shop/web",
            ["east"],
            (
                "failing: 25.0% errors; flags NR; blame: configuration east/shop/web (20 calls);"
                " 2 others suffer from it"
            ),
        ),
        20,
    ),
    Trouble(
        "latency_regressed",
        "health_1m",
        lambda: worse(
            "latency",
            "median 60 ms, usually 2.0 ms (same hour of 5 days)",
            ("service", "west/shop/pay"),
            ("edge", "east/shop/web -> west/shop/pay"),
            ("edge", "west/shop/batch -> west/shop/pay"),
        ),
        lambda: worse("latency", "p95 9 ms, usually 2.0 ms (3 hours before)", ("cluster", "west")),
        (
            "warning",
            "service west/shop/pay",
            ["west"],
            "median 60 ms, usually 2.0 ms (same hour of 5 days)",
        ),
        2,
    ),
    Trouble(
        "errors_regressed",
        "health_1m",
        lambda: worse(
            "errors",
            "0.6% errors, usually 0.1% (4 hours before)",
            ("edge", "east/shop/web -> west/shop/pay"),
            requests=1_000,
            errors=6,
        ),
        lambda: worse(  # enough for the kinds that go by thresholds
            "errors", "1.0% errors, usually 0.1% (4 hours before)", ("service", "a"), errors=10
        ),
        (
            "warning",
            "edge east/shop/web -> west/shop/pay",
            ["east", "west"],
            "0.6% errors, usually 0.1% (4 hours before)",
        ),
        2,
    ),
    Trouble(
        "traffic_vanished",
        "health_1m",
        lambda: worse(
            "traffic",
            "traffic vanished: 0 calls, usually 120 a minute (same hour of 5 days)",
            ("workload", "east/shop/web"),
            ("edge", "east/shop/web -> west/shop/pay"),
            ("service", "west/shop/pay"),
            requests=0,
        ),
        lambda: [judged("service", "west/shop/batch", regressed=["traffic"], state="degraded")],
        (
            "warning",
            "workload east/shop/web",
            ["east"],
            "traffic vanished: 0 calls, usually 120 a minute (same hour of 5 days)",
        ),
        2,
    ),
    Trouble(
        "gateway_tax_regressed",
        "health_1m",
        lambda: worse(
            "latency",
            "mean on the way 31 ms, usually 2.0 ms (6 hours before)",
            ("gateway", "way-west"),
            cluster="west",
        ),
        lambda: [judged("gateway", "way-west", regressed=["latency"], state="degraded")],
        (
            "warning",
            "gateway way-west",
            ["west"],
            "mean on the way 31 ms, usually 2.0 ms (6 hours before)",
        ),
        2,
    ),
    Trouble(
        "plaintext_edge",
        "security_1m",
        lambda: [secured(3, WEB, PAY, encrypted=0, open_legs=["client east -> server west"])],
        lambda: [secured(3, WEB, CART, encrypted=0, open_legs=["client east -> server east"])],
        (
            "warning",
            "east/shop/web -> west/shop/pay",
            ["east", "west"],
            "3 of 13 calls from east to west were not encrypted: client east -> server west",
        ),
        1,
    ),
    Trouble(
        "plaintext_edge",
        "security_1m",
        lambda: [
            secured(3, WEB, CART),
            secured(2, WEB, CART, **NOBODY, open_legs=["client -> server east"]),
        ],
        lambda: [
            secured(3, WEB, CART),
            secured(2, WEB, CART, **NOBODY, open_legs=["client -> gateway east"]),
        ],
        (
            "warning",
            "unknown -> east/shop/cart",
            ["east"],
            "2 of 2 calls from an unknown place to east were not encrypted: client -> server east",
        ),
        1,
    ),
    Trouble(
        "trust_domain_unexpected",
        "security_1m",
        lambda: [secured(1, WEB, PAY, client_trust_domains=["other.test"])],
        lambda: [secured(1, WEB, PAY, client_trust_domains=[])],
        (
            "warning",
            "east east/shop/web other.test",
            ["east", "west"],
            "client of east shows trust domain other.test, not shop.test",
        ),
        1,
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
        "scrapes_failing",
        "agent_drops",
        lambda: [
            {"minute": NOON, "cluster": "east", "agent": "node-1", "reason": reason, "payloads": n}
            for reason, n in (("scrape_refused", 8), ("scrape_status", 2))
        ],
        lambda: [
            {"minute": NOON, "cluster": "east", "agent": "node-1", "reason": "scrape_refused"}
            | {"payloads": 9}
        ],
        ("warning", "east/node-1", ["east"], "8 scrape_refused, 2 scrape_status"),
        2,
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
    Trouble(
        "target_silent",
        "proxy_samples",
        lambda: answers(WEB_TARGET, -80, -70, -60, -50) + answers(EAST, 0),
        lambda: answers(WEB_TARGET, -60, -50, -40, -30) + answers(EAST, 0),
        (
            "warning",
            "east/web-0",
            ["east"],
            "silent for 50 s; it answered every 10 s",
        ),
        1,
    ),
    Trouble(
        "probe_failing",
        "probes",
        lambda: tries(EAST, 5, "timeout", "connect") + tries(WEST, 5),
        lambda: tries(EAST, 4, "timeout", "connect") + tries(WEST, 5),
        (
            "warning",
            "pay pay.shop:443",
            ["east", "west"],
            "failing from 1 of 2 agents: 5 of 5 tries lost: timeout, connect",
        ),
        2,
    ),
    Trouble(
        "probe_lossy",
        "probes",
        lambda: tries(EAST, 3, "reset", "cut") + tries(EAST, 17),
        lambda: tries(EAST, 2, "reset", "cut") + tries(EAST, 18),
        (
            "warning",
            "pay pay.shop:443",
            ["east"],
            "lossy from 1 of 1 agents: 3 of 20 tries lost: reset, cut",
        ),
        1,
    ),
    Trouble(
        "probe_certificate",
        "probes",
        lambda: tries(EAST, 1, certificate_not_after=at(5 * 86_400)),
        lambda: tries(EAST, 1, certificate_not_after=at(8 * 86_400)),
        (
            "warning",
            "pay 10.2.0.1:443",
            ["east"],
            "expires in 5.0 days: CN=pay",
        ),
        1,
    ),
)
