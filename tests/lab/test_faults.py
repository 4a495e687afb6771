"""Each fault is seen by the proxies as what it is, and is gone when it is mended."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from . import admin, faults, mesh, traffic
from .places import LAB
from .processes import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.root

PATHS = {"reviews": "/reviews/1", "ratings": "/ratings/1"}
REFUSED = {(503, "URX,UF")}
FIRST: dict[str, tuple[set[tuple[int, str]], set[tuple[int, str]]]] = {
    "gateway_down": (REFUSED, set()),
    "gateway_blackholed": ({(504, "UT")}, set()),
    "gateway_unaware": (REFUSED, set()),
    "upstream_refusing": ({(503, "URX")}, {(503, "UF")}),
    "upstream_closing": ({(503, "URX")}, {(503, "UC")}),
    "upstream_slow": ({(504, "UT")}, {(0, "DI,DC")}),
    "upstream_aborting": ({(500, "-")}, {(500, "FI")}),
    "certificate_expired": (REFUSED, set()),
    "certificate_expiring": ({(200, "-")}, {(200, "-")}),
    "certificate_of_another": (REFUSED, set()),
    "route_unknown": ({(404, "NR")}, set()),
    "circuit_open": ({(503, "UO")}, set()),
}
"""Status and flags of the first call that meets a fault, at its client and at its server."""
BY_HEALTH_CHECK = {
    "gateway_down",
    "gateway_blackholed",
    "gateway_unaware",
    "upstream_refusing",
    "certificate_expired",
    "certificate_of_another",
}
"""Faults which health checks find too: then nothing is tried any more (UH)."""
DETAILS = {
    "gateway_down": "Connection_refused",
    "gateway_unaware": "Connection_reset_by_peer",
    "certificate_expired": "certificate_has_expired",
    "certificate_of_another": "SAN_matcher,_certificate_SANs_are_"
    "[spiffe://cluster.local/ns/shop/sa/impostor]",
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mesh.Mesh]:
    """One lab for all faults, each mended before the next."""
    with mesh.up(tmp_path_factory.mktemp("faults")) as running:
        yield running


def test_every_fault_is_tested() -> None:
    """Plaintext has a test of its own."""
    assert faults.FAULTS.keys() == FIRST.keys() | {"plaintext_peer"}


@pytest.mark.parametrize("name", FIRST)
def test_a_fault_shows_its_flags_and_is_mended(lab: mesh.Mesh, name: str) -> None:
    """Status and flags on both sides while it is on; 200 on both when it is off."""
    fault = faults.FAULTS[name]
    call = traffic.Call(fault.client, fault.service, "GET", PATHS[fault.service], 200, 1)
    reader = Reader(lab)
    faults.apply(lab, name)
    try:
        assert faults.active(lab) == [name]
        traffic.statuses(LAB, call)
        client, server = reader.read(call)
        assert (_codes(client), _codes(server)) == FIRST[name]
        reason = client[0]["upstream_transport_failure_reason"] or ""
        assert DETAILS.get(name, "") in reason
        if name in BY_HEALTH_CHECK:
            _await(lambda: not _healthy(lab, fault))
            assert traffic.statuses(LAB, call) == [503]
            client, server = reader.read(call)
            assert (_codes(client), server) == ({(503, "UH")}, [])
    finally:
        faults.undo(lab, name)
    assert faults.active(lab) == []
    assert traffic.statuses(LAB, call) == [200]
    client, server = reader.read(call)
    assert (_codes(client), _codes(server)) == ({(200, "-")}, {(200, "-")})


def test_a_gateway_that_does_not_know_a_name_says_so(lab: mesh.Mesh) -> None:
    """NC, with the server name that was asked for."""
    reader = Reader(lab)
    faults.apply(lab, "gateway_unaware")
    try:
        traffic.statuses(LAB, traffic.Call("frontend", "reviews", "GET", "/reviews/1", 503, 1))
        lines = reader.fresh("cluster-west", "west-eastwest")
    finally:
        faults.undo(lab, "gateway_unaware")
    assert {
        (line["response_flags"], line["requested_server_name"])
        for line in lines
        if line["response_flags"] == "NC"
    } == {("NC", "outbound_.8080_._.reviews.shop.svc.cluster.local")}


def test_failures_in_a_row_eject(lab: mesh.Mesh) -> None:
    """After five, the client leaves the server alone for 3 s, then tries it again."""
    call = traffic.Call("reviews", "ratings", "GET", "/ratings/1", 503, 1)
    fault = faults.FAULTS["upstream_closing"]
    faults.apply(lab, "upstream_closing")
    try:
        assert traffic.statuses(LAB, call, 2) == [503, 503]
        assert not _healthy(lab, fault)
        text = admin.ask(_client_admin(lab, fault), "/stats?filter=ratings.*ejections_active")
        assert [line.rpartition(": ")[2] for line in text.splitlines()] == ["1"]
    finally:
        faults.undo(lab, "upstream_closing")
    assert traffic.statuses(LAB, call) == [200]


def test_plaintext_is_let_through_or_refused(lab: mesh.Mesh) -> None:
    """A permissive sidecar passes it without TLS or identity; a strict one has no chain for it."""
    reader = Reader(lab)
    faults.apply(lab, "plaintext_peer")
    try:
        _await(
            lambda: (
                reader.peek("cluster-onprem", "inventory-0", "InboundPassthroughCluster")
                and reader.peek("cluster-onprem", "billing-0", "filter_chain_not_found")
            )
        )
    finally:
        faults.undo(lab, "plaintext_peer")
    permitted = [
        line
        for line in reader.fresh("cluster-onprem", "inventory-0")
        if line["upstream_cluster"] == "InboundPassthroughCluster"
    ]
    assert {
        (line["path"], line["response_code"], line["downstream_tls_version"]) for line in permitted
    } == {("/stock", 200, None)}
    assert {line["downstream_peer_uri_san"] for line in permitted} == {None}
    refused = [
        line
        for line in reader.fresh("cluster-onprem", "billing-0")
        if line["response_flags"] == "NR"
    ]
    assert {
        (line["response_code"], line["response_code_details"], line["path"]) for line in refused
    } == {(0, "filter_chain_not_found", None)}
    assert {line["downstream_remote_address"].partition(":")[0] for line in refused} == {
        "10.20.0.50"
    }


def test_a_certificate_that_ends_soon_is_seen_by_its_proxy(lab: mesh.Mesh) -> None:
    """One day is left while the fault is on, ten years before and after."""
    place = lab.proxies()["sidecar-ratings"]
    assert admin.state(lab.admin(*place)).certificate_days == 3_649
    faults.apply(lab, "certificate_expiring")
    try:
        assert admin.state(lab.admin(*place)).certificate_days == 0
    finally:
        faults.undo(lab, "certificate_expiring")
    assert admin.state(lab.admin(*place)).certificate_days == 3_649


def test_a_fault_is_on_once_and_known(lab: mesh.Mesh) -> None:
    """Twice is an error, so is mending what works, or a name that is none."""
    with pytest.raises(LabError, match="no fault is named 'rain'; there are gateway_down, "):
        faults.apply(lab, "rain")
    with pytest.raises(LabError, match="gateway_down is not on"):
        faults.undo(lab, "gateway_down")


class Reader:
    """The log lines that come from now on."""

    def __init__(self, lab: mesh.Mesh) -> None:
        self._lab = lab
        self._read = {path: len(path.read_bytes()) for path in self._files()}

    def read(self, call: traffic.Call) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return new lines of a call's path, of its client's and its server's proxy."""
        time.sleep(0.4)  # proxies write every 0.2 s
        found = []
        for workload, direction in ((call.client, "outbound"), (call.service, "inbound")):
            cluster, _ = LAB.home_of(workload)
            lines = self.fresh(cluster.name, LAB.proxy_of(workload))
            found.append(
                [
                    line
                    for line in lines
                    if (line["path"], line["traffic_direction"]) == (call.path, direction)
                ]
            )
        return found[0], found[1]

    def fresh(self, cluster: str, proxy: str) -> list[dict[str, Any]]:
        """Return a proxy's new lines."""
        path = self._path(cluster, proxy)
        data = path.read_bytes()[self._read[path] :]
        whole = data[: data.rfind(b"\n") + 1]
        self._read[path] += len(whole)
        return [json.loads(line) for line in whole.splitlines()]

    def peek(self, cluster: str, proxy: str, text: str) -> bool:
        """Look whether a text is in a proxy's new lines."""
        path = self._path(cluster, proxy)
        return text.encode() in path.read_bytes()[self._read[path] :]

    def _path(self, cluster: str, proxy: str) -> Any:
        return self._lab.directory / "logs" / cluster / f"{proxy}.access.jsonl"

    def _files(self) -> list[Any]:
        return sorted((self._lab.directory / "logs").glob("*/*.jsonl"))


def _codes(lines: list[dict[str, Any]]) -> set[tuple[int, str]]:
    return {(line["response_code"], line["response_flags"]) for line in lines}


def _client_admin(lab: mesh.Mesh, fault: faults.Fault) -> Any:
    cluster, pod = LAB.home_of(fault.client)
    return lab.admin(cluster, pod.name)


def _healthy(lab: mesh.Mesh, fault: faults.Fault) -> bool:
    state = admin.state(_client_admin(lab, fault))
    return state.healthy == state.endpoints


def _await(done: Any) -> None:
    limit = time.monotonic() + 10
    while not done():
        assert time.monotonic() < limit
        time.sleep(0.05)
