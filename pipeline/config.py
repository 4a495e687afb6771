"""
What the job is told: one TOML file, each key documented and bounded.

    topic_prefix, [log], [[agents]]   as in collectors/config.py
    inventory                         the file that says who an address is
    [lake]                            where the tables are
    [job]                             how the loop works
    [findings]                        who is told what is found
    [serve]                           who may ask, where, and how much

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
        int,
        Meta(
            ge=1,
            le=256,
            description="DuckDB threads of the process that writes; more than one cost more CPU",
        ),
    ] = 1
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
        tuple[Literal["stitch", "rollup", "health", "findings"], ...],
        Meta(description="what is worked out of minutes that are over, in this order; []: nothing"),
    ] = ("stitch", "rollup", "health", "findings")
    window_grace_s: Annotated[
        float,
        Meta(
            ge=0,
            le=3_600,
            description="how long after its end a minute is over, by how far the log was taken, and"
            " what follows from it is worked out",
        ),
    ] = 30.0
    window_late_s: Annotated[
        int,
        Meta(
            ge=60,
            le=604_800,
            description="how old a minute may be, behind what was taken, to be worked out again for"
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


_Address = Annotated[
    str, Meta(pattern=r"^((\[[0-9A-Fa-f:.]+\]|[^\s:]+):\d{1,5})?$", max_length=300)
]
_Name = Annotated[str, Meta(min_length=1, max_length=253)]


class RoleConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """
    One user of the SQL server: how it is known, what it sees, and how much it may ask for.

    Without any of the three kinds of password it is whoever comes from this
    machine, and nobody from elsewhere.
    """

    password_file: Annotated[
        str, Meta(description="file whose first line is the password", max_length=4_096)
    ] = ""
    password_env: Annotated[
        str,
        Meta(
            description="environment variable that holds the password",
            pattern=r"^([A-Za-z_]\w*)?$",
            max_length=200,
        ),
    ] = ""
    scram: Annotated[
        str,
        Meta(
            description="what PostgreSQL keeps instead of a password, as `crosspane serve"
            " --scram` prints it",
            pattern=r"^(SCRAM-SHA-256\$\d{1,7}:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+)?$",
            max_length=1_000,
        ),
    ] = ""
    clusters: Annotated[
        tuple[_Name, ...],
        Meta(description="sees only rows with a side in one of them; []: all", max_length=1_000),
    ] = ()
    namespaces: Annotated[
        tuple[_Name, ...],
        Meta(
            description="sees only rows with a side in one of them, in `clusters` if it has"
            " those; []: all",
            max_length=1_000,
        ),
    ] = ()
    max_time_s: Annotated[
        float,
        Meta(
            gt=0,
            le=3_600,
            description="seconds from the start of a statement to its last row",
        ),
    ] = 30.0
    max_rows: Annotated[
        int, Meta(ge=1, le=1_000_000_000, description="rows of one result, then it is cut")
    ] = 1_000_000
    memory: Annotated[
        str,
        Meta(
            pattern=r"^[1-9]\d{0,5}(MB|GB|MiB|GiB)$",
            description="what all statements of the role may hold at a time; nothing is spilled"
            " to disk",
        ),
    ] = "1GB"
    max_connections: Annotated[
        int, Meta(ge=1, le=10_000, description="clients of the role at a time")
    ] = 100


class ServeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What readers connect to: SQL in PostgreSQL's protocol, and the pane in a browser."""

    listen: Annotated[
        _Address,
        Meta(description="host:port of the SQL server; empty: there is none"),
    ] = "127.0.0.1:5433"
    web_listen: Annotated[
        _Address, Meta(description="host:port of the pane; empty: there is none")
    ] = "127.0.0.1:8400"
    tls_certificate: Annotated[
        str, Meta(description="PEM file of the server's certificate and those above it")
    ] = ""
    tls_key: Annotated[str, Meta(description="PEM file of its key")] = ""
    require_tls: Annotated[bool, Meta(description="refuse clients that do not ask for TLS")] = False
    threads: Annotated[int, Meta(ge=1, le=256, description="DuckDB threads of each role")] = 2
    at_once: Annotated[
        int,
        Meta(ge=1, le=1_000, description="statements that run at a time; others wait their turn"),
    ] = 8
    max_clients: Annotated[
        int,
        Meta(ge=1, le=10_000, description="connections at a time, of all roles and of none yet"),
    ] = 200
    login_s: Annotated[
        float, Meta(ge=0.1, le=300, description="seconds a client has to say who it is")
    ] = 10.0
    max_message_bytes: Annotated[
        int,
        Meta(ge=4_096, le=1 << 28, description="bytes of one message of a client: its statement"),
    ] = 4 * 1024 * 1024
    roles: Annotated[
        dict[Annotated[str, Meta(pattern=r"^[A-Za-z_][\w.-]{0,62}$")], RoleConfig],
        Meta(description="user name to what it may do", min_length=1, max_length=1_000),
    ] = msgspec.field(default_factory=lambda: {"crosspane": RoleConfig()})


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
    serve: Annotated[ServeConfig, Meta(description="who may ask, where, and how much")] = (
        ServeConfig()
    )
