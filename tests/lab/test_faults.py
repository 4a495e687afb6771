"""Each fault is seen by the proxies as what it is, and is gone when it is mended."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from . import admin, agents, faults, incidents, mesh, probing, traffic
from .expected import ALWAYS, EXPECTED
from .incidents import Diary
from .observing import ask, crosspane_up, is_made, wait_until
from .places import LAB
from .processes import LabError
from .telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.root

PATHS = {"reviews": "/reviews/1", "ratings": "/ratings/1"}
REFUSED = {(503, "URX,UF")}
FIRST: dict[str, tuple[set[tuple[int, str]], set[tuple[int, str]]]] = {
    "upstream_refusing": ({(503, "URX")}, {(503, "UF")}),
    "certificate_expiring": ({(200, "-")}, {(200, "-")}),
    "gateway_down": (REFUSED, set()),
    "upstream_closing": ({(503, "URX")}, {(503, "UC")}),
    "route_unknown": ({(404, "NR")}, set()),
    "upstream_slow": ({(504, "UT")}, {(0, "DI,DC")}),
    "gateway_blackholed": ({(504, "UT")}, set()),
    "upstream_aborting": ({(500, "-")}, {(500, "FI")}),
    "circuit_open": ({(503, "UO")}, set()),
    "certificate_expired": (REFUSED, set()),
    "gateway_unaware": (REFUSED, set()),
    "certificate_of_another": (REFUSED, set()),
}
"""
Status and flags of the first call that meets a fault, at its client and at its server; in
an order that gives what is found of each two minutes to end (`QUIET_AFTER`).
"""
BY_HEALTH_CHECK = {
    "gateway_down",
    "gateway_blackholed",
    "gateway_unaware",
    "upstream_refusing",
    "certificate_expired",
    "certificate_of_another",
}
"""Faults which health checks find too: then nothing is tried any more (UH)."""
QUIET_AFTER = {"route_unknown", "upstream_slow", "circuit_open", "gateway_unaware"}
"""After these nothing is on for a minute, so that what is found of a fault can end before the next alike."""
DETAILS = {
    "gateway_down": "Connection_refused",
    "gateway_unaware": "Connection_reset_by_peer",
    "certificate_expired": "certificate_has_expired",
    "certificate_of_another": "SAN_matcher,_certificate_SANs_are_"
    "[spiffe://cluster.local/ns/shop/sa/impostor]",
}


PROBED = {
    "gateway_down": "refused",
    "gateway_blackholed": "timeout",
    "gateway_unaware": "reset",
    "certificate_expired": "certificate_expired",
    "certificate_of_another": "name_mismatch",
}
"""What a probe of the server finds, through its gateway; of the other faults nothing."""

BLAMED: dict[str, tuple[str | None, str | None]] = {
    "gateway_down": ("network", "west-eastwest"),
    "upstream_refusing": ("server", "cluster-west/shop/ratings"),
    "upstream_closing": ("server", "cluster-west/shop/ratings"),
    "gateway_unaware": ("network", "west-eastwest"),
    "upstream_slow": ("injected", "cluster-west/shop/ratings"),
    "upstream_aborting": ("injected", "cluster-west/shop/ratings"),
    "certificate_expired": ("server", "cluster-west/shop/ratings"),
    "certificate_expiring": (None, None),
    "certificate_of_another": ("server", "cluster-west/shop/ratings"),
    "route_unknown": ("configuration", "cluster-east/shop/frontend"),
    "circuit_open": ("limit", "cluster-east/shop/frontend"),
}
"""
Whom `v_calls` blames for the first call that met a fault.

Not in it: a gateway that loses packets, of which one call tells nothing.
"""


Lines = list[dict[str, Any]]
"""Lines of an access log."""


class Session(NamedTuple):
    """A lab under observation; `met` has the first request that met each fault."""

    mesh: mesh.Mesh
    lake: Path
    met: dict[str, str]
    diary: Diary


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """One lab for all faults, each mended before the next, and crosspane beside it."""
    directory = tmp_path_factory.mktemp("faults")
    telemetry = Telemetry(als=agents.sockets(LAB, directory))
    with (
        crosspane_up(LAB, directory, "als", records_alone=True) as lake,
        mesh.up(directory, LAB, telemetry) as running,
    ):
        wait_until(lambda: is_made(lake))
        diary = Diary()
        for _ in range(3):
            diary.write()
        yield Session(running, lake, {}, diary)


@pytest.fixture
def lab(session: Session) -> mesh.Mesh:
    """The lab itself."""
    return session.mesh


def test_every_fault_is_tested() -> None:
    """Plaintext has a test of its own."""
    assert faults.FAULTS.keys() == FIRST.keys() | {"plaintext_peer"}


def _first_met(
    lab: mesh.Mesh, reader: Reader, name: str, call: traffic.Call
) -> tuple[Lines, Lines]:
    """What client and server log of the first call; where a health check was there first, once more."""
    for _ in range(8):
        faults.apply(lab, name)
        traffic.statuses(LAB, call)
        client, server = reader.read(call)
        if name not in BY_HEALTH_CHECK or _codes(client) != {(503, "UH")}:
            break
        faults.undo(lab, name)
    return client, server


@pytest.mark.parametrize("name", FIRST)
def test_a_fault_shows_its_flags_and_is_mended(session: Session, name: str) -> None:
    """Status and flags on both sides while it is on, and what a probe finds; 200 when it is off."""
    lab = session.mesh
    fault = faults.FAULTS[name]
    call = traffic.Call(fault.client, fault.service, "GET", PATHS[fault.service], 200, 1)
    reader = Reader(lab)
    try:
        client, server = _first_met(lab, reader, name, call)
        assert faults.active(lab) == [name]
        session.met[name] = client[0]["request_id"]
        assert (_codes(client), _codes(server)) == FIRST[name]
        reason = client[0]["upstream_transport_failure_reason"] or ""
        assert DETAILS.get(name, "") in reason
        assert probing.through_gateway(lab, "frontend", fault.service).outcome == PROBED.get(
            name, "ok"
        )
        if name in BY_HEALTH_CHECK:
            wait_until(lambda: not _healthy(lab, fault))
            traffic.statuses(LAB, call)  # the thread that takes it may not know yet
            reader.read(call)
            assert traffic.statuses(LAB, call) == [503]
            client, server = reader.read(call)
            assert (_codes(client), server) == ({(503, "UH")}, [])
        session.diary.write(name)
    finally:
        faults.undo(lab, name)
    if name in QUIET_AFTER:
        session.diary.write()
    assert faults.active(lab) == []
    reader = Reader(lab)
    assert traffic.statuses(LAB, call) == [200]
    client, server = reader.read(call)
    assert (_codes(client), _codes(server)) == ({(200, "-")}, {(200, "-")})


def test_plaintext_is_let_through_or_refused(session: Session) -> None:
    """A permissive sidecar passes it without TLS or identity; a strict one has no chain for it."""
    lab = session.mesh
    reader = Reader(lab)
    faults.apply(lab, "plaintext_peer")
    try:
        wait_until(
            lambda: (
                reader.peek("cluster-onprem", "inventory-0", "InboundPassthroughCluster")
                and reader.peek("cluster-onprem", "billing-0", "filter_chain_not_found")
            )
        )
        session.diary.write("plaintext_peer")
    finally:
        faults.undo(lab, "plaintext_peer")
    session.diary.write()
    session.diary.write()
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


def test_a_gateway_that_does_not_know_a_name_says_so(lab: mesh.Mesh) -> None:
    """NC, with the server name that was asked for."""
    reader = Reader(lab)
    faults.apply(lab, "gateway_unaware")
    try:
        traffic.statuses(LAB, traffic.Call("frontend", "reviews", "GET", "/reviews/1", 503, 1))
        wait_until(lambda: reader.peek("cluster-west", "west-eastwest", '"NC"'))
        lines = reader.fresh("cluster-west", "west-eastwest")
    finally:
        faults.undo(lab, "gateway_unaware")
    assert {
        (line["response_flags"], line["requested_server_name"])
        for line in lines
        if line["response_flags"] == "NC"
    } == {("NC", "outbound_.8080_._.reviews.shop.svc.cluster.local")}


def test_failures_in_a_row_eject(session: Session) -> None:
    """After five, the client leaves the server alone for 3 s, and crosspane knows it."""
    lab = session.mesh
    call = traffic.Call("reviews", "ratings", "GET", "/ratings/1", 503, 1)
    fault = faults.FAULTS["upstream_closing"]
    faults.apply(lab, "upstream_closing")
    try:
        assert traffic.statuses(LAB, call, 2) == [503, 503]
        assert not _healthy(lab, fault)
        text = admin.ask(_client_admin(lab, fault), "/stats?filter=ratings.*ejections_active")
        assert [line.rpartition(": ")[2] for line in text.splitlines()] == ["1"]
        wait_until(lambda: _ejections(session) >= 1)
    finally:
        faults.undo(lab, "upstream_closing")
    assert traffic.statuses(LAB, call) == [200]


def test_a_certificate_that_ends_soon_is_predicted(session: Session) -> None:
    """One day is left while the fault is on, ten years before and after."""
    lab = session.mesh
    place = lab.proxies()["sidecar-ratings"]
    assert admin.state(lab.admin(*place)).certificate_days == 3_649
    faults.apply(lab, "certificate_expiring")
    try:
        assert admin.state(lab.admin(*place)).certificate_days == 0
        wait_until(lambda: _certificates(session) == {"expiring"})
    finally:
        faults.undo(lab, "certificate_expiring")
    assert admin.state(lab.admin(*place)).certificate_days == 3_649


def test_a_server_that_fails_its_checks_is_told_by_its_clients(session: Session) -> None:
    """No healthy member, health checks that failed, while it is so; then healthy again."""
    upstream = ("cluster-west", LAB.home_of("reviews")[1].node_id, "ratings.shop.svc.cluster.local")
    query = """SELECT state, members, members_healthy FROM v_upstreams
        WHERE (observer_cluster, exporter, service) = (?, ?, ?) AND direction = 'outbound'"""
    faults.apply(session.mesh, "upstream_refusing")
    try:
        wait_until(lambda: ask(session.lake, query, *upstream) == [("failing", 1, 0)])
    finally:
        faults.undo(session.mesh, "upstream_refusing")
    wait_until(lambda: [row[2] for row in ask(session.lake, query, *upstream)] == [1])


def test_rows_show_each_fault(session: Session) -> None:
    """In the lake as in the log: status and flags of the first call, at client and server."""
    query = """SELECT request_id, reporter, coalesce(status, 0), list_sort(response_flags)
        FROM requests WHERE list_contains(?, request_id)"""
    met = list(session.met.values())
    wait_until(lambda: {row[0] for row in ask(session.lake, query, met)} == set(met))
    rows = ask(session.lake, query, met)
    for name, (client, server) in FIRST.items():
        for reporter, expected in (("source", client), ("destination", server)):
            seen = {
                (status, ",".join(flags) or "-")
                for request, side, status, flags in rows
                if (request, side) == (session.met[name], reporter)
            }
            # Streams and files tell flags in an order of their own. What was sent
            # into the black hole arrives when it is mended.
            alike = {(status, ",".join(sorted(flags.split(",")))) for status, flags in expected}
            if (name, reporter) != ("gateway_blackholed", "destination"):
                assert seen == alike, (name, reporter)


def test_calls_blame_the_right_side(session: Session) -> None:
    """By what both proxies said of it, and by name where there is one to blame."""
    query = (
        "SELECT request_id, blame, blamed_entity FROM v_calls WHERE list_contains(?, request_id)"
    )
    rows = ask(session.lake, query, list(session.met.values()))
    blamed = {request: (blame, entity) for request, blame, entity in rows}
    assert {name: blamed[session.met[name]] for name in BLAMED} == BLAMED


@pytest.fixture(scope="module")
def minutes(session: Session, tmp_path_factory: pytest.TempPathFactory) -> list[incidents.Minute]:
    """What health and findings say in a minute for each slice of the session's diary."""
    slices = session.diary.slices
    last, calls = slices[-1].began, sum(call.count for call in incidents.CALLS)
    query = """SELECT count_if(reporter = 'source'), count_if(reporter = 'destination')
        FROM requests WHERE start_time >= ? AND is_health_check IS NOT TRUE"""
    wait_until(lambda: min(ask(session.lake, query, last)[0]) >= calls)
    return incidents.told(session.lake, slices, tmp_path_factory.mktemp("minutes") / "lake")


@pytest.mark.timeout(600)  # over twenty minutes are worked out first
def test_each_fault_is_told_in_its_minute_and_not_after(minutes: list[incidents.Minute]) -> None:
    """What is unwell is what is to blame, or suffers from it; nothing is once it is mended."""
    assert [minute.wrong_states() for minute in minutes] == [[]] * len(minutes)
    assert {fault for minute in minutes for fault in minute.faults} == set(EXPECTED)
    assert sum(not minute.faults for minute in minutes) == 3 + len(QUIET_AFTER) + 2


def test_each_fault_is_found_and_its_finding_closed(minutes: list[incidents.Minute]) -> None:
    """One finding of whom is to blame, in the fault's minute; closed at the end of the second after."""
    assert [minute.wrong_findings() for minute in minutes] == [[]] * len(minutes)
    for minute, after in zip(minutes, minutes[2:], strict=False):
        for fault in minute.faults:
            assert not after.has_open(EXPECTED[fault].finding), fault
    assert minutes[-1].open_findings() == [ALWAYS]


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

    def read(self, call: traffic.Call) -> tuple[Lines, Lines]:
        """Return new lines of a call's path, of its client's proxy, and of its server's for them."""
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
        client, server = found
        requests = {line["request_id"] for line in client}
        return client, [line for line in server if line["request_id"] in requests]

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


def _codes(lines: Lines) -> set[tuple[int, str]]:
    return {(line["response_code"], line["response_flags"]) for line in lines}


def _client_admin(lab: mesh.Mesh, fault: faults.Fault) -> Any:
    cluster, pod = LAB.home_of(fault.client)
    return lab.admin(cluster, pod.name)


def _healthy(lab: mesh.Mesh, fault: faults.Fault) -> bool:
    state = admin.state(_client_admin(lab, fault))
    return state.healthy == state.endpoints


def _ejections(session: Session) -> int:
    query = "SELECT max(value) FROM proxy_samples WHERE metric = 'ejections' AND service = ?"
    return int(ask(session.lake, query, LAB.home_of("ratings")[1].host_name)[0][0] or 0)


def _certificates(session: Session) -> set[str]:
    """States of the certificates that the server's proxy shows."""
    query = """SELECT state FROM v_certificates WHERE exporter = ? AND observer_cluster = ?
        AND certificate NOT LIKE '%ca_cert%'"""
    _, pod = LAB.home_of("ratings")
    return {state for (state,) in ask(session.lake, query, pod.node_id, "cluster-west")}
