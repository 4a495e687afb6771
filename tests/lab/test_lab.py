"""The lab comes up, carries one request per scripted call, and leaves nothing."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from . import mesh, netns, traffic
from .access_log import KEYS
from .topology import CLUSTERS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.root

STATUSES = [200, 201, 500, 200, 200, 200, 503, 200, 404, 200, 200, 200, 200, 403, 200, 200]
LINES = {
    "frontend-0": 7,
    "cart-0": 3 + 1 + 1,
    "reviews-0": 2 + 3,
    "ratings-0": 2,
    "recommendations-0": 1,
    "inventory-0": 2,
    "billing-0": 2 + 1,
    "telemetry-0": 3,
}
GATEWAYS = {"east-eastwest", "west-eastwest", "flat-eastwest"}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run the script with one request per call; statuses and log lines."""
    directory = tmp_path_factory.mktemp("lab")
    with mesh.up(directory) as lab:
        rows = traffic.run(traffic.once(), seconds=1.0)
        lab.stop(*lab.sidecars())
        time.sleep(0.5)
        lab.stop(*lab.gateways())
        lines = {
            path.name.removesuffix(".access.jsonl"): _lines(path)
            for path in sorted((directory / "logs").glob("*/*.jsonl"))
        }
    return {"rows": rows, "lines": lines}


def test_every_call_gets_its_scripted_status(recorded: dict[str, Any]) -> None:
    """Success, 403 by policy, 404 and 500 by the application, 503 without one."""
    assert [row.status for row in recorded["rows"]] == STATUSES
    assert [call.status for call in traffic.SCRIPT] == STATUSES


def test_every_proxy_logs_what_crossed_it(recorded: dict[str, Any]) -> None:
    """One line per request and direction at sidecars, one per connection at gateways."""
    counts = {name: len(lines) for name, lines in recorded["lines"].items()}
    connections = {name: counts.pop(name) for name in GATEWAYS}
    assert counts == LINES
    assert min(connections.values()) >= 1


def test_a_line_has_every_key_and_numbers_are_numbers(recorded: dict[str, Any]) -> None:
    """All 31 keys are there, null without a value."""
    for lines in recorded["lines"].values():
        for line in lines:
            assert set(line) == {*KEYS, "traffic_direction"}
            assert isinstance(line["duration"], int)
            assert isinstance(line["bytes_sent"], int)


def test_both_sides_of_a_gateway_log_one_request_id(recorded: dict[str, Any]) -> None:
    """A client's request id is its server's, also through TLS passthrough."""
    sides: Counter[str] = Counter()
    for lines in recorded["lines"].values():
        sides.update(line["request_id"] for line in lines if line["request_id"])
    assert set(sides.values()) == {2}


def test_a_denial_names_its_policy(recorded: dict[str, Any]) -> None:
    """The server's line says which policy denied the request."""
    details = [line["response_code_details"] for line in recorded["lines"]["billing-0"]]
    assert (
        "rbac_access_denied_matched_policy[ns[shop]-policy[billing-read-only]-rule[0]]" in details
    )


def test_nothing_is_left(recorded: dict[str, Any]) -> None:
    """After the context no namespace of the lab exists."""
    assert recorded["lines"]
    assert netns.namespaces() == []


def test_clusters_that_overlap_are_in_different_networks() -> None:
    """The same pod prefix twice is only sound behind gateways."""
    seen = Counter((cluster.network, cluster.pod_cidr) for cluster in CLUSTERS)
    assert set(seen.values()) == {1}
    assert CLUSTERS[0].pod_cidr == CLUSTERS[1].pod_cidr


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
