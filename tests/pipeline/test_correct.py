"""Rows that came before their inventory are named when it comes, and it shows."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from ipfix import datagram
from shipping import ship_payloads

from collectors.change import Change, encode
from collectors.log.local import LocalReader, LocalWriter
from pipeline.config import Config, JobConfig, LakeConfig
from pipeline.inventory import file
from pipeline.known import Known
from pipeline.lake import Lake, connect
from pipeline.run import run

RECEIVED_S = 1_764_000_001  # a second after what the datagrams say


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(
        lake=LakeConfig(directory=str(tmp_path / "lake")),
        job=JobConfig(
            commit_ms=10, discover_s=0.05, poll_wait_ms=10, correct_window_s=60, work_out=()
        ),
    )


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LocalWriter]:
    with LocalWriter(tmp_path / "log", fsync="never") as writer:
        yield writer


def ship(log: LocalWriter, kind: str, payloads: list[bytes], first: int, second: int) -> None:
    """One message of cluster-east, received so many seconds after `RECEIVED_S`."""
    received_ns = (RECEIVED_S + second) * 10**9
    ship_payloads(log, kind, payloads, first=first, received_ns=received_ns, exporter="who")


def pod(name: str, ip: str, version: int, start: str = "2025-11-24T15:00:00Z") -> bytes:
    """A pod that an API server tells of; it says that it started before the flows."""
    told = {
        "metadata": {"name": name, "namespace": "shop", "uid": name},
        "spec": {"nodeName": "node-1"},
        "status": {"phase": "Running", "podIPs": [{"ip": ip}], "startTime": start},
    }
    raw = msgspec.Raw(json.dumps(told).encode())
    return encode(Change("put", "pods", uid=name, version=version, object=raw))


def drain(tmp_path: Path, config: Config) -> None:
    with Lake(tmp_path / "lake") as lake, LocalReader(tmp_path / "log") as reader:
        known = Known(file.empty(), lake)
        run(reader, lake, known, config, stop=threading.Event(), until_idle=True)


def ask(tmp_path: Path, query: str) -> list[tuple]:
    with connect(tmp_path / "lake") as reader:
        return reader.execute(query).pl().rows()


SIDES = """SELECT src_resolution, src_method, dst_resolution, count(*)::INT, sum(bytes)::INT
    FROM flows GROUP BY ALL ORDER BY ALL"""
TOLD = "SELECT table_name, side, from_resolution, to_resolution, rows FROM corrections ORDER BY ALL"


def test_flows_that_came_first_are_named_when_their_pod_is_told(
    tmp_path: Path, log: LocalWriter, config: Config
):
    """Not a row more, not an octet less; how many changed, and from what to what, is a row."""
    ship(log, "netflow", [datagram(number) for number in range(3)], 0, 0)
    drain(tmp_path, config)
    assert ask(tmp_path, SIDES) == [("unknown", "none", "unknown", 30, 465)]
    ship(log, "kubernetes", [pod("web", "10.0.0.11", 1)], 0, 5)
    drain(tmp_path, config)
    assert ask(tmp_path, SIDES) == [("resolved", "exact", "unknown", 30, 465)]
    assert ask(tmp_path, TOLD) == [("flows", "src", "unknown", "resolved", 30)]
    assert ask(tmp_path, "SELECT DISTINCT src_entity, dst_entity FROM v_flows") == [
        ("cluster-east/shop/web", "net-east/10.0.0.12")
    ]


def test_a_name_can_be_taken_back(tmp_path: Path, log: LocalWriter, config: Config):
    """It is told late that two were seen with the address: rows are ambiguous, not the first one's."""
    ship(log, "kubernetes", [pod("web", "10.0.0.11", 1)], 0, -9)
    ship(log, "netflow", [datagram(0)], 0, 0)
    drain(tmp_path, config)
    assert ask(tmp_path, SIDES) == [("resolved", "exact", "unknown", 10, 55)]
    ship(log, "kubernetes", [pod("api", "10.0.0.11", 2)], 1, -5)
    drain(tmp_path, config)
    assert ask(tmp_path, SIDES) == [("ambiguous", "exact", "unknown", 10, 55)]
    assert ask(tmp_path, TOLD) == [("flows", "src", "resolved", "ambiguous", 10)]


def test_rows_older_than_the_window_stay_as_they_were(
    tmp_path: Path, log: LocalWriter, config: Config
):
    """The work is bounded: 60 s behind the newest row, here."""
    ship(log, "netflow", [datagram(0)], 0, 0)
    ship(log, "netflow", [datagram(1)], 1, 61)
    drain(tmp_path, config)
    ship(log, "kubernetes", [pod("web", "10.0.0.11", 1)], 0, 62)
    drain(tmp_path, config)
    assert ask(tmp_path, SIDES) == [
        ("resolved", "exact", "unknown", 10, 155),
        ("unknown", "none", "unknown", 10, 55),
    ]


def test_inventory_and_flows_of_one_poll_meet(tmp_path: Path, log: LocalWriter, config: Config):
    """Whichever topic is read first, the rows are named in the end."""
    ship(log, "netflow", [datagram(0)], 0, 0)
    ship(log, "kubernetes", [pod("web", "10.0.0.11", 1), pod("db", "10.0.0.12", 2)], 0, 5)
    drain(tmp_path, config)
    assert ask(tmp_path, SIDES) == [("resolved", "exact", "resolved", 10, 55)]


def test_what_sources_told_is_there_after_a_restart(
    tmp_path: Path, log: LocalWriter, config: Config
):
    """The lake has the objects; a job that starts knows them, and their end when it comes."""
    ship(log, "kubernetes", [pod("web", "10.0.0.11", 1)], 0, -9)
    drain(tmp_path, config)
    ship(log, "netflow", [datagram(0)], 0, 0)
    gone = encode(Change("delete", "pods", uid="web", version=2))
    ship(log, "kubernetes", [gone], 1, 30)
    drain(tmp_path, config)
    assert ask(tmp_path, SIDES) == [("resolved", "exact", "unknown", 10, 55)]
    life = "SELECT pod, epoch(valid_from)::BIGINT, epoch(valid_to)::BIGINT FROM endpoints"
    assert ask(tmp_path, life) == [("web", 1_763_996_400, RECEIVED_S + 30)]
    objects = "SELECT resource, uid, version, gone_time IS NOT NULL FROM objects"
    assert ask(tmp_path, objects) == [("pods", "web", 2, True)]


def test_payloads_that_are_no_changes_are_rejects(tmp_path: Path, log: LocalWriter, config: Config):
    """Each with its reason; what is good beside them counts."""
    bad = [
        b"\xff",
        b'{"op": "burn", "resource": "pods"}',
        b'{"op": "put", "resource": "pods"}',
        encode(Change("put", "pods", uid="x", version=1, object=msgspec.Raw(b"[7]"))),
    ]
    ship(log, "kubernetes", [*bad, pod("web", "10.0.0.11", 1)], 0, 0)
    drain(tmp_path, config)
    reasons = ask(tmp_path, "SELECT reason, raw FROM rejects ORDER BY raw")
    assert sorted(reason for reason, _ in reasons) == [
        "field_invalid",
        "json_malformed",
        "object_invalid",
        "required_missing",
    ]
    assert ask(tmp_path, "SELECT count(*)::INT FROM endpoints") == [(1,)]
