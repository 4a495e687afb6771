"""
Three clusters, by hand: east and edge share a network; west has its own, behind a gateway.

frontend (east) and reviews (west) have one address; so only networks tell them apart.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from small_lake import SmallLake, number

INVENTORY = """
networks = [{ name = "net-a", model = "flat" }, { name = "net-b", model = "gateway" }]
clusters = [
    { name = "east", provider = "aws", region = "us-east-1", network = "net-a" },
    { name = "edge", provider = "azure", region = "westeurope", network = "net-a" },
    { name = "west", provider = "gcp", region = "us-west1", network = "net-b" },
]
prefixes = [{ network = "internet", cidr = "198.51.100.0/24", kind = "external", name = "payments" }]
gateways = [{ network = "net-a", ip = "203.0.113.20", port = 15443, cluster = "west", to_network = "net-b", name = "west-gw" }]
endpoints = [
    { network = "net-a", ip = "10.0.0.11", kind = "pod", cluster = "east", namespace = "shop", workload = "frontend", service = "frontend.shop", node = "n1" },
    { network = "net-a", ip = "10.0.0.12", kind = "pod", cluster = "east", namespace = "data", workload = "cart", service = "cart.data", node = "n2" },
    { network = "net-a", ip = "10.0.1.5", kind = "pod", cluster = "edge", namespace = "shop", workload = "telemetry", node = "e1" },
    { network = "net-b", ip = "10.0.0.11", kind = "pod", cluster = "west", namespace = "shop", workload = "reviews", service = "reviews.shop", node = "w1" },
    { network = "internet", ip = "203.0.113.20", kind = "load_balancer", cluster = "west", workload = "eastwest" },
]
"""
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
EAST, EDGE, WEST, ROUTER, NODE = 1, 2, 3, 4, 5
GATEWAY = "203.0.113.20"


class ThreeClusters:
    """The lake, and short ways to put records into it."""

    def __init__(self, lake: SmallLake, folder: Path) -> None:
        self.lake = lake
        lake.inventory(folder, INVENTORY)
        names = ("vantage_id", "cluster", "network", "agent", "exporter", "format")
        vantages = (
            (EAST, "east", "net-a", "a", "proxy-e", "envoy_json"),
            (EDGE, "edge", "net-a", "b", "proxy-d", "envoy_json"),
            (WEST, "west", "net-b", "c", "proxy-w", "envoy_json"),
            (ROUTER, "east", "net-a", "a", "10.9.9.1", "ipfix"),
            (NODE, "east", "net-a", "a", "10.9.9.2", "ipfix"),
        )
        lake.add("vantages", *(dict(zip(names, row, strict=True)) for row in vantages))
        self.ids = dict(lake.read("SELECT coalesce(workload, service), endpoint_id FROM endpoints"))
        self._number = 0

    def calls(
        self,
        client: str,
        server: str,
        count: int = 1,
        *,
        at_s: float = 0,
        via: str | None = None,
        server_ms: float | None = None,
        vantage: int = EAST,
        **columns: Any,
    ) -> None:
        """Calls as the client's proxy logs them; with ``server_ms``, as the server's does too."""
        rows = []
        for n in range(count):
            self._number += 1
            row = {
                "start_time": NOON + timedelta(seconds=at_s, milliseconds=n),
                "received_time": NOON + timedelta(seconds=at_s + 1),
                "request_id": f"r{self._number}",
                "protocol": "HTTP/2",
                "method": "GET",
                "authority": server,
                "path": "/",
                "status": 200,
                "response_flags": [],
                "bytes_received": 10,
                "bytes_sent": 100,
                "duration_ms": 4.0,
                "upstream_tls": "TLSv1.3",
                "src_resolution": "resolved",
                "dst_resolution": "resolved",
            } | columns
            ours = row | {
                "vantage_id": vantage,
                "reporter": "source",
                "src_endpoint_id": self.ids.get(client),
                "dst_endpoint_id": None if via else self.ids.get(server),
                "upstream_local_ip": "10.0.0.99",
                "upstream_remote_ip": via or "10.0.0.98",
                "upstream_remote_port": 15443 if via else 80,
            }
            rows.append(ours)
            if server_ms is not None:
                theirs = {
                    "vantage_id": WEST,
                    "reporter": "destination",
                    "dst_endpoint_id": self.ids[server],
                    "duration_ms": server_ms,
                }
                rows.append(row | theirs)
        if rows:
            self.lake.add("requests", *rows)

    def flow(
        self,
        src: str,
        dst: str,
        octets: int | None,
        *,
        at_s: float = 0,
        vantage: int = ROUTER,
        **columns: Any,
    ) -> None:
        """One flow record; an end is a workload, or an address nobody has."""
        row: dict[str, Any] = {
            "vantage_id": vantage,
            "start_time": NOON + timedelta(seconds=at_s),
            "end_time": NOON + timedelta(seconds=at_s + 1),
            "received_time": NOON + timedelta(seconds=at_s + 2),
            "protocol": 6,
            "bytes": octets,
            "packets": 2,
            "sampling_factor": 1.0,
        }
        for side, name in (("src", src), ("dst", dst)):
            known = name in self.ids
            row |= {f"{side}_resolution": "resolved" if known else "unknown"}
            row |= {f"{side}_method": "exact" if known else "none"}
            if known:
                row[f"{side}_endpoint_id"] = self.ids[name]
            row[f"{side}_ip_hi"], row[f"{side}_ip_lo"] = number(
                name if name.count(".") == 3 else "10.0.0.11"
            )
        self.lake.add("flows", row | columns)
