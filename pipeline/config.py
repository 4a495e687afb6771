"""
What the job is told: one TOML file, each key documented and bounded.

    topic_prefix, [log], [[agents]]   as in collectors/config.py
    inventory                         the file that says who an address is
    [lake]                            where the tables are
    [job]                             how the loop works
    [findings]                        who is told what is found

Every key has a default but ``agents`` and ``inventory``: without agents there
is nothing to receive, without inventory every address is unknown.

Before: the file. After: run.py. Generated from here: docs/reference/config.md.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from collectors.config import AgentConfig, AgentFile, LocalLog, Log


class LakeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The lake on this machine's disk: an SQLite catalog and Parquet files."""

    directory: Annotated[
        str, Meta(min_length=1, description="folder of the catalog and the data; made when missing")
    ] = "crosspane-data/lake"
    threads: Annotated[
        int, Meta(ge=1, le=256, description="DuckDB threads of the process that writes")
    ] = 2
    maintain_s: Annotated[
        int,
        Meta(ge=1, le=86_400, description="seconds between merges of small files"),
    ] = 300
    keep_snapshots_s: Annotated[
        int,
        Meta(
            ge=60,
            le=31_536_000,
            description="seconds a replaced file stays for readers that began before",
        ),
    ] = 3_600


class JobConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The loop from the log to the lake."""

    poll_bytes: Annotated[
        int,
        Meta(ge=65_536, le=1 << 30, description="bytes of messages, compressed, taken at a time"),
    ] = 4 * 1024 * 1024
    poll_wait_ms: Annotated[
        int, Meta(ge=1, le=60_000, description="milliseconds to wait for a message")
    ] = 100
    commit_rows: Annotated[
        int, Meta(ge=1, le=10_000_000, description="rows that cause a commit")
    ] = 200_000
    commit_ms: Annotated[
        int, Meta(ge=10, le=600_000, description="milliseconds the oldest row may wait for one")
    ] = 1_000
    checkpoint_s: Annotated[
        int,
        Meta(
            ge=1,
            le=86_400,
            description="seconds between checkpoints of what decoders remember: how much of the log"
            " a job reads again when it starts after a crash",
        ),
    ] = 60
    discover_s: Annotated[
        float, Meta(ge=0.05, le=3_600, description="seconds between looks for new topics")
    ] = 2.0
    inventory_s: Annotated[
        float,
        Meta(ge=0.05, le=3_600, description="seconds between looks whether the file has changed"),
    ] = 2.0
    correct_s: Annotated[
        float,
        Meta(
            ge=0.1,
            le=3_600,
            description="seconds between corrections of rows that came before their inventory",
        ),
    ] = 5.0
    correct_window_s: Annotated[
        int,
        Meta(
            ge=0,
            le=86_400,
            description="how old a row may be, behind the newest, to be corrected; 0: none is",
        ),
    ] = 900
    work_out: Annotated[
        tuple[Literal["stitch", "rollup", "findings"], ...],
        Meta(description="what is worked out of minutes that are over, in this order; []: nothing"),
    ] = ("stitch", "rollup", "findings")
    window_grace_s: Annotated[
        float,
        Meta(
            ge=0,
            le=3_600,
            description="how long after its end a minute is over, by the newest row received, and"
            " what follows from it is worked out",
        ),
    ] = 30.0
    window_late_s: Annotated[
        int,
        Meta(
            ge=60,
            le=604_800,
            description="how old a minute may be, behind the newest row, to be worked out again for"
            " rows that come late",
        ),
    ] = 3_600


class FindingsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who is told of findings."""

    alertmanager_url: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^https?://[^/?#]+(/[^?#]*)?$", max_length=2_000)], ...],
        Meta(
            description="Alertmanagers that are told, as http://host:9093, with a path if it has"
            " one; all of them, for they do not tell each other",
            max_length=16,
        ),
    ] = ()
    resend_s: Annotated[
        float,
        Meta(
            ge=1,
            le=3_600,
            description="seconds after which what is open is told again; an Alertmanager that hears"
            " nothing for four times as long takes it for over",
        ),
    ] = 60.0
    generator_url: Annotated[
        str,
        Meta(
            description="where an alert links to; {id} in it is the finding's id; empty: nowhere",
            pattern=r"^(https?://\S+)?$",
            max_length=2_000,
        ),
    ] = ""


class Config(AgentFile, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    inventory: Annotated[
        str,
        Meta(
            description="a TOML or YAML file, or a folder of Parquet, CSV or YAML; read again when"
            " it changes; empty: what sources tell is all there is"
        ),
    ] = ""
    log: Annotated[Log, Meta(description="where payloads wait for the job")] = LocalLog(
        directory="crosspane-data/log"
    )
    agents: Annotated[
        tuple[AgentConfig, ...], Meta(description="what is received, by whom, and where")
    ] = ()
    lake: Annotated[LakeConfig, Meta(description="where rows go")] = LakeConfig()
    job: Annotated[JobConfig, Meta(description="how the loop works")] = JobConfig()
    findings: Annotated[FindingsConfig, Meta(description="who is told what is found")] = (
        FindingsConfig()
    )
