"""The loop: what is in the lake after it was stopped, cut off, raced, or fed nonsense."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import shipping
from ipfix import datagram

from collectors.log.local import LocalReader, LocalWriter
from pipeline.config import Config, JobConfig, LakeConfig
from pipeline.errors import StaleOffsetError
from pipeline.inventory import file as inventory
from pipeline.known import Known
from pipeline.lake import Lake, connect
from pipeline.run import Job, run
from pipeline.windows import STAGES

TOPIC = "crosspane.v1.flow.cluster-east"
NOBODY = Known(inventory.empty())


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(
        lake=LakeConfig(directory=str(tmp_path / "lake")),
        job=JobConfig(commit_ms=10, discover_s=0.05, poll_wait_ms=10, work_out=()),
    )


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LocalWriter]:
    with LocalWriter(tmp_path / "log", fsync="never") as writer:
        yield writer


def ship(log: LocalWriter, first: int, count: int) -> None:
    """Datagrams ``first`` to ``first + count - 1`` as one message; the template is in number 0."""
    ship_payloads(log, first, [datagram(number) for number in range(first, first + count)])


def ship_payloads(log: LocalWriter, first: int, payloads: list[bytes]) -> None:
    shipping.ship_payloads(
        log,
        "netflow",
        payloads,
        first=first,
        received_ns=1_764_000_001_000_000_000,
        exporter="192.0.2.1",
    )


def drain(tmp_path: Path, config: Config) -> None:
    with Lake(tmp_path / "lake") as lake, LocalReader(tmp_path / "log") as reader:
        run(reader, lake, NOBODY, config, stop=threading.Event(), until_idle=True)


def totals(tmp_path: Path) -> tuple[int, ...]:
    """Flows, their octets, sets that wait for a template, units lost."""
    with connect(tmp_path / "lake") as lake:
        (found,) = lake.execute(
            "SELECT (SELECT count(*) FROM flows),"
            " (SELECT coalesce(sum(bytes), 0)::BIGINT FROM flows),"
            " coalesce(sum(waiting_sets), 0)::BIGINT,"
            " coalesce(sum(sequence_units_expected - sequence_units_received), 0)::BIGINT"
            " FROM accounting"
        ).fetchall()
        return tuple(found)


def test_templates_outlive_the_job(tmp_path: Path, log: LocalWriter, config: Config):
    """A job that starts anew decodes data whose template only the one before it saw."""
    ship(log, 0, 5)
    drain(tmp_path, config)
    ship(log, 5, 5)
    drain(tmp_path, config)
    assert totals(tmp_path) == (100, 5_050, 0, 0)


def test_a_job_cut_off_after_its_checkpoint_remembers_by_the_log(
    tmp_path: Path, log: LocalWriter, config: Config
):
    """What decoders knew is made again from the checkpoint to the committed offset; no row is."""
    ship(log, 0, 1)
    drain(tmp_path, config)  # its checkpoint knows the template and number 0
    ship(log, 1, 4)
    with Lake(tmp_path / "lake") as lake, LocalReader(tmp_path / "log") as reader:
        job = Job(reader, lake, NOBODY, config)
        job.follow()
        assert job.take(1.0)
        job._checkpointed_at = float("inf")  # none is due
        assert job.commit(checkpoint=False) is not None
        before = lake.read("SELECT DISTINCT next_offset FROM decoder_checkpoints")
        assert before["next_offset"].to_list() == [1]
    ship(log, 5, 5)
    drain(tmp_path, config)
    assert totals(tmp_path) == (100, 5_050, 0, 0)


def test_what_was_taken_but_not_committed_is_taken_again(
    tmp_path: Path, log: LocalWriter, config: Config
):
    """A job that dies with rows in hand leaves them to the next one, once."""
    ship(log, 0, 5)
    with Lake(tmp_path / "lake") as lake, LocalReader(tmp_path / "log") as reader:
        job = Job(reader, lake, NOBODY, config)
        job.follow()
        assert job.take(1.0)
    drain(tmp_path, config)
    assert totals(tmp_path) == (50, 1_275, 0, 0)


def test_the_second_of_two_jobs_writes_nothing(tmp_path: Path, log: LocalWriter, config: Config):
    """Two jobs took the same message; the one that commits later fails and adds no row."""
    ship(log, 0, 5)
    with (
        Lake(tmp_path / "lake") as lake,
        LocalReader(tmp_path / "log") as one,
        LocalReader(tmp_path / "log") as two,
    ):
        jobs = [Job(reader, lake, NOBODY, config) for reader in (one, two)]
        for job in jobs:
            job.follow()
            assert job.take(1.0)
        jobs[0].commit(checkpoint=False)
        with pytest.raises(StaleOffsetError):
            jobs[1].commit(checkpoint=False)
    assert totals(tmp_path) == (50, 1_275, 0, 0)


def test_an_envelope_sent_twice_across_a_restart_counts_once(
    tmp_path: Path, log: LocalWriter, config: Config
):
    """The numbering of agents outlives the job too."""
    ship(log, 0, 5)
    drain(tmp_path, config)
    ship(log, 0, 5)
    drain(tmp_path, config)
    assert totals(tmp_path) == (50, 1_275, 0, 0)
    with Lake(tmp_path / "lake") as lake:
        dropped = lake.read("SELECT reason, payloads FROM agent_drops").rows()
        assert dropped == [("duplicate", 5)]


def test_data_that_waits_for_its_template_waits_over_a_restart(
    tmp_path: Path, log: LocalWriter, config: Config
):
    """Sets that came before their template are decoded when it comes, in another job."""
    ship(log, 45, 5)
    drain(tmp_path, config)
    assert totals(tmp_path)[:3] == (0, 0, 5)
    ship(log, 50, 1)  # has the template
    drain(tmp_path, config)
    # Records 451 to 510: the fifty that waited, and ten more.
    assert totals(tmp_path)[:3] == (60, 28_830, 0)


def test_what_waits_in_one_topic_is_not_late_beside_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A quiet topic is at its end when a busy one is hours behind: each minute is worked out, and once."""
    now = begin = 1_764_000_030
    hours = [begin + 600 * n for n in range(20)]
    with LocalWriter(tmp_path / "log", fsync="never", clock=lambda: now) as log:
        for now in hours:
            for cluster in ("busy", "quiet") if now in (begin, hours[-1]) else ("busy",):
                data = datagram(0)
                shipping.ship_payloads(
                    log,
                    "netflow",
                    [data[:4] + now.to_bytes(4, "big") + data[8:]],
                    first=hours.index(now),
                    received_ns=now * 1_000_000_000,
                    exporter="192.0.2.1",
                    cluster=f"cluster-{cluster}",
                )
    worked: list[float] = []
    monkeypatch.setitem(STAGES, "rollup", lambda _, window: worked.append(window.start.timestamp()))
    lake = LakeConfig(directory=str(tmp_path / "lake"))
    job = JobConfig(commit_ms=10, poll_wait_ms=10, work_out=("rollup",))
    drain(tmp_path, Config(lake=lake, job=job))
    assert totals(tmp_path)[0] == 220
    assert worked == [time // 60 * 60 for time in hours]


def test_nonsense_in_the_log_is_counted_and_passed(
    tmp_path: Path, log: LocalWriter, config: Config
):
    """A message that is no envelope becomes a reject with its bytes; the next one is decoded."""
    log.append(TOPIC, b"node-1", b"no envelope")
    ship(log, 0, 1)
    drain(tmp_path, config)
    assert totals(tmp_path) == (10, 55, 0, 0)
    with Lake(tmp_path / "lake") as lake:
        rejects = lake.read("SELECT reason, raw, topic, log_offset FROM v_rejects").rows()
        assert rejects == [("envelope_malformed", b"no envelope", TOPIC, 0)]


def test_hostile_datagrams_are_rows_of_rejects_and_the_good_ones_pass(
    tmp_path: Path, log: LocalWriter, config: Config
):
    """Junk, a cut datagram and a set that claims too much: three reasons, three times the bytes."""
    cut, liar = datagram(1)[:60], datagram(1)[:18] + b"\xff\xff" + datagram(1)[20:]
    ship_payloads(log, 0, [b"junk", cut, datagram(0), liar])
    drain(tmp_path, config)
    with Lake(tmp_path / "lake") as lake:
        assert lake.read("SELECT count(*), sum(bytes)::BIGINT FROM flows").row(0) == (10, 55)
        rejects = lake.read("SELECT reason, raw FROM v_rejects ORDER BY raw_length").rows()
        assert rejects == [
            ("version_unknown", b"junk"),
            ("length_mismatch", cut),
            ("set_length", liar[16:]),
        ]
        counts = lake.read(
            "SELECT sum(received_payloads)::BIGINT, sum(decoded_payloads)::BIGINT,"
            " sum(rejected_payloads)::BIGINT FROM v_completeness"
        ).row(0)
        assert counts == (4, 1, 3)


def test_every_commit_says_what_it_did(tmp_path: Path, log: LocalWriter, config: Config):
    """`commits` adds up to what went through."""
    ship(log, 0, 5)
    ship(log, 5, 5)
    drain(tmp_path, config)
    with Lake(tmp_path / "lake") as lake:
        row = lake.read(
            "SELECT sum(messages)::BIGINT, sum(payloads)::BIGINT, sum(flows)::BIGINT FROM v_pipeline"
        ).row(0)
        assert row == (2, 10, 100)
