"""The lab comes up, carries its script, and leaves nothing."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from . import admin, mesh, netns, traffic
from .places import DEMO, LAB
from .telemetry import KEYS, Telemetry

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.root

LINES = {
    "frontend-0": 7 + 5,
    "cart-0": 3 + 1 + 1 + 1 + 2,
    "reviews-0": 2 + 2 + 1 + 3 + 2,
    "ratings-0": 2 + 1,
    "recommendations-0": 3,
    "inventory-0": 2,
    "billing-0": 2 + 1 + 1 + 1,
    "telemetry-0": 3 + 1,
    "ledger": 4 + 2,
    "nodeproxy-west-node-3": 3 + 3,
}
"""Requests each proxy sees when every call of the script is made once, by hand."""
GATEWAYS = {"east-eastwest", "west-eastwest", "flat-eastwest"}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run the script with one request per call, while nobody takes the log streams."""
    directory = tmp_path_factory.mktemp("lab")
    nobody = {cluster.name: directory / "nobody.sock" for cluster in LAB.clusters}
    silent = Telemetry(text=True, als=nobody, otlp={"billing-0": directory / "nobody.sock"})
    with mesh.up(directory, LAB, silent) as lab:
        proxies = set(lab.proxies())
        nodes = {
            proxy: json.loads(admin.ask(lab.admin(cluster, proxy), "/server_info"))["node"]
            for cluster, proxy in lab.proxies().values()
        }
        rows = traffic.run(LAB, traffic.scaled(traffic.LAB_SCRIPT, 1_000), seconds=1.0)
        lab.stop(*lab.sidecars())
        connections = {name: _closed_connections(lab, name) for name in lab.gateways()}
        lab.stop(*lab.gateways())
        lines = {
            path.name.removesuffix(".access.jsonl"): _lines(path)
            for path in sorted((directory / "logs").glob("*/*.jsonl"))
        }
        texts = {
            path.name.removesuffix(".access.log"): path.read_text().splitlines()
            for path in sorted((directory / "logs").glob("*/*.access.log"))
        }
    return {
        "rows": rows,
        "lines": lines,
        "texts": texts,
        "proxies": proxies,
        "nodes": nodes,
        "connections": connections,
    }


def test_every_call_gets_its_scripted_status(recorded: dict[str, Any]) -> None:
    """Success, 403 by policy, 404 and 500 by the application, 503 without one."""
    assert [row.status for row in recorded["rows"]] == [
        *(200, 201, 500, 200, 200, 200, 503, 200, 404, 200, 200, 200, 200, 403, 200, 200),
        *(200, 200, 200, 200, 200, 403, 200, 200, 200, 200, 403, 200, 200, 200),
    ]
    assert [call.status for call in traffic.LAB_SCRIPT] == [row.status for row in recorded["rows"]]


def test_every_proxy_logs_what_crossed_it(recorded: dict[str, Any]) -> None:
    """One line per request and direction, at sidecars, the machine's proxy and the host proxy."""
    counts = {name: len(_traffic(lines)) for name, lines in recorded["lines"].items()}
    assert counts.keys() - GATEWAYS == LINES.keys()
    assert {name: counts[name] for name in LINES} == LINES


def test_what_clients_saw_is_what_proxies_logged(recorded: dict[str, Any]) -> None:
    """By reporter, proxy, service, request and status, retries and denials included."""
    logged: Counter[traffic.Seen] = Counter()
    for name, lines in recorded["lines"].items():
        for line in _traffic(lines):
            if line["traffic_direction"] != "gateway":
                side = {"outbound": "source", "inbound": "destination"}[line["traffic_direction"]]
                host = line["authority"].removesuffix(":8080")
                path = line["path"].partition("?")[0]
                what = (host, line["method"], path, line["response_code"])
                logged[traffic.Seen(side, _home(name), name, *what)] += 1
    assert logged == traffic.seen_by_proxies(LAB, traffic.LAB_SCRIPT, recorded["rows"])


def test_health_checks_tell_themselves_apart(recorded: dict[str, Any]) -> None:
    """They are at servers only, and their user agent says what they are."""
    checks = [
        line for lines in recorded["lines"].values() for line in lines if _is_health_check(line)
    ]
    assert {line["traffic_direction"] for line in checks} == {"inbound"}
    assert {(line["path"], line["user_agent"]) for line in checks} == {("/healthz", "Envoy/HC")}
    assert {line["response_code"] for line in checks if not line["response_flags"]} <= {200}


def test_gateways_log_each_connection_that_closed(recorded: dict[str, Any]) -> None:
    """As many lines as the gateway itself counts connections, health checks' included."""
    counts = {name: len(recorded["lines"][name]) for name in GATEWAYS}
    assert counts == {
        name.removeprefix("gateway-"): count for name, count in recorded["connections"].items()
    }
    assert min(counts.values()) >= 1


def test_retries_are_counted_on_the_clients_side(recorded: dict[str, Any]) -> None:
    """A flaky page takes two attempts, an application that is not there three."""
    lines = recorded["lines"]
    by_path = {line["path"]: line for line in lines["frontend-0"]}
    flaky, absent = by_path["/cart/flaky"], by_path["/for-you"]
    assert (flaky["response_code"], flaky["upstream_request_attempt_count"]) == (200, 2)
    assert (absent["response_code"], absent["upstream_request_attempt_count"]) == (503, 3)
    assert absent["response_flags"] == "URX"
    codes = [line["response_code"] for line in lines["cart-0"] if line["path"] == "/cart/flaky"]
    assert sorted(codes) == [200, 503]
    tries = lines["recommendations-0"]
    assert [(line["response_code"], line["response_flags"]) for line in tries] == [(503, "UF")] * 3


def test_a_line_has_every_key_and_numbers_are_numbers(recorded: dict[str, Any]) -> None:
    """All 41 keys are there, null without a value; gRPC has its status."""
    assert len(KEYS) == 41
    for lines in recorded["lines"].values():
        for line in lines:
            assert set(line) == {*KEYS, "traffic_direction"}
            assert isinstance(line["duration"], int)
            assert isinstance(line["bytes_sent"], int)
    grpc = {
        line["path"]: line["grpc_status"]
        for line in recorded["lines"]["reviews-0"]
        if line["grpc_status"] is not None
    }
    assert grpc == {"/shop.Reviews/Get": 0, "/shop.Reviews/Find": 5}


def test_text_files_have_a_line_for_each_object(recorded: dict[str, Any]) -> None:
    """Istio's text format, of the same requests."""
    counts = {name: len(lines) for name, lines in recorded["lines"].items()}
    assert {name: len(lines) for name, lines in recorded["texts"].items()} == counts


def test_both_sides_of_a_path_log_one_request_id(recorded: dict[str, Any]) -> None:
    """A client's request id is its server's, through TLS passthrough and host proxy alike."""
    sides: dict[str, set[str]] = {}
    for lines in recorded["lines"].values():
        for line in _traffic(lines):
            if line["request_id"]:
                sides.setdefault(line["request_id"], set()).add(line["traffic_direction"])
    assert set(map(frozenset, sides.values())) == {frozenset({"inbound", "outbound"})}


def test_denials_name_their_policies(recorded: dict[str, Any]) -> None:
    """The server's line says which policy denied: at a sidecar, a machine, a host proxy."""
    found = {
        name: [
            line["response_code_details"]
            for line in recorded["lines"][name]
            if line["response_code"] == 403 and line["traffic_direction"] == "inbound"
        ]
        for name in ("billing-0", "ledger", "nodeproxy-west-node-3")
    }
    assert found == {
        name: [f"rbac_access_denied_matched_policy[ns[{space}]-policy[{policy}]-rule[0]]"]
        for name, space, policy in (
            ("billing-0", "shop", "billing-read-only"),
            ("ledger", "shop", "ledger-read-only"),
            ("nodeproxy-west-node-3", "jobs", "reports-read-only"),
        )
    }


def test_a_host_proxy_speaks_with_its_pods_certificates(recorded: dict[str, Any]) -> None:
    """Each pod of the node has its own SPIFFE ID, out and in."""
    lines = _traffic(recorded["lines"]["nodeproxy-west-node-3"])
    out = {
        line["path"]: line["upstream_local_uri_san"]
        for line in lines
        if line["upstream_local_uri_san"]
    }
    assert out == {
        "/ledger": "spiffe://cluster.local/ns/jobs/sa/reports",
        "/reviews/1": "spiffe://cluster.local/ns/jobs/sa/exports",
        "/cart": "spiffe://cluster.local/ns/jobs/sa/exports",
    }
    served = {line["downstream_local_uri_san"] for line in lines if line["path"] == "/reports"}
    assert served == {"spiffe://cluster.local/ns/jobs/sa/reports"}
    peers = {line["downstream_peer_uri_san"] for line in lines if line["path"] == "/reports"}
    assert peers == {
        "spiffe://cluster.local/ns/shop/sa/frontend",
        "spiffe://cluster.local/ns/shop/sa/reviews",
    }


def test_nodes_say_who_they_are(recorded: dict[str, Any]) -> None:
    """Node ids begin with the model; metadata tells apart what has one id in two clusters."""
    nodes = recorded["nodes"]
    assert nodes["frontend-0"]["id"] == ("sidecar~10.0.0.11~frontend-0.shop~shop.svc.cluster.local")
    assert nodes["ledger"]["id"] == "sidecar~10.40.0.2~ledger.shop~shop.svc.cluster.local"
    assert nodes["nodeproxy-west-node-3"]["id"] == (
        "host~10.0.0.3~nodeproxy-west-node-3.kube-system~kube-system.svc.cluster.local"
    )
    assert nodes["west-eastwest"]["id"].startswith("router~10.0.0.2~")
    assert nodes["ledger"]["metadata"] == {
        "CLUSTER_ID": "cluster-onprem",
        "NETWORK": "net-flat",
        "MESH_ID": "mesh1",
        "NAMESPACE": "shop",
        "WORKLOAD_NAME": "ledger",
    }


def test_nothing_is_left(recorded: dict[str, Any]) -> None:
    """After the context no namespace of the lab exists."""
    assert len(recorded["proxies"]) == 13
    assert netns.namespaces() == []


@pytest.mark.parametrize("topology", [DEMO, LAB], ids=["demo", "lab"])
def test_clusters_that_overlap_are_in_different_networks(topology: Any) -> None:
    """The same pod prefix twice is only sound behind gateways."""
    seen = Counter((cluster.network, cluster.pod_cidr) for cluster in topology.clusters)
    assert set(seen.values()) == {1}
    assert topology.clusters[0].pod_cidr == topology.clusters[1].pod_cidr


def _closed_connections(lab: mesh.Mesh, name: str) -> int:
    """Wait until a gateway has no connection any more; return how many it had."""
    cluster, proxy = lab.proxies()[name]
    prefix = "listener.0.0.0.0_15443.downstream_cx_"
    limit = time.monotonic() + 10
    while True:
        answer = admin.ask(lab.admin(cluster, proxy), f"/stats?filter=^{prefix}(total|active)$")
        counts = dict(line.split(": ") for line in answer.splitlines())
        if counts[prefix + "active"] == "0":
            return int(counts[prefix + "total"])
        assert time.monotonic() < limit, counts


def _home(proxy: str) -> str:
    """Return the cluster of a proxy that serves workloads."""
    return next(
        cluster.name
        for cluster in LAB.clusters
        for pod in cluster.pods
        if pod.proxy != "none" and LAB.proxy_of(pod.workload) == proxy
    )


def _traffic(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if not _is_health_check(line)]


def _is_health_check(line: dict[str, Any]) -> bool:
    return bool(line["user_agent"] == "Envoy/HC")


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
