"""
What an agent is told: one TOML file to frozen structs.

    [log]                   where payloads go: type = "local" or "kafka"
    [[agents]]              one for each cluster and network that is observed
    [[agents.inputs]]       what it receives: type = "netflow" or "access_log"
    [agents.batch]          when a batch is closed
    [agents.spool]          the folder it keeps its state in, and how much

A wrong file is a `ConfigError` that names the key and what is allowed. The
pipeline's configuration holds the same ``log`` and ``agents`` beside its own
tables, and is read by the same `decode_toml`.

Before: the file. After: agent.py.
"""

import os
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from collectors.toml import ConfigError, decode_toml

__all__ = [
    "AgentConfig",
    "AgentFile",
    "BatchConfig",
    "ConfigError",
    "Input",
    "KafkaLog",
    "LocalLog",
    "Log",
    "SpoolConfig",
    "TailInput",
    "UdpInput",
    "check_agents",
    "decode_toml",
    "load",
]

Fsync = Literal["always", "interval", "never"]


class LocalLog(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="local"):
    """The log as segment files on this machine's disk."""

    directory: Annotated[
        str, Meta(min_length=1, description="folder of the segment files; made when missing")
    ] = "crosspane-log"
    partitions: Annotated[
        int, Meta(ge=1, le=64, description="partitions of a topic: how many jobs can share one")
    ] = 1
    fsync: Annotated[
        Fsync,
        Meta(description="what a loss of power may cost: nothing, the interval, or about 30 s"),
    ] = "interval"
    fsync_interval_s: Annotated[
        float, Meta(ge=0.01, le=3600, description="seconds between syncs, with fsync = 'interval'")
    ] = 1.0
    segment_bytes: Annotated[
        int,
        Meta(ge=65_536, le=1 << 32, description="bytes of a segment file: the grain of retention"),
    ] = 64 * 1024 * 1024
    retention_bytes: Annotated[
        Annotated[int, Meta(ge=65_536)] | None,
        Meta(description="bytes kept of each partition, oldest deleted first; none: no bound"),
    ] = None
    retention_s: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(description="seconds a segment is kept; none: no bound"),
    ] = None


class KafkaLog(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="kafka"):
    """The log as topics of Apache Kafka."""

    bootstrap: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^\S+:[0-9]{1,5}$")], ...],
        Meta(min_length=1, description="brokers to ask first, each 'host:port'"),
    ]
    security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
        Meta(description="how the connection is protected"),
    ] = "PLAINTEXT"
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
        Meta(description="how the agent proves its name, with SASL_PLAINTEXT or SASL_SSL"),
    ] = "SCRAM-SHA-512"
    sasl_username: Annotated[
        str, Meta(description="name the agent has at Kafka; needed with SASL")
    ] = ""
    sasl_password_file: Annotated[
        str, Meta(description="file that holds the password; else CROSSPANE_KAFKA_PASSWORD")
    ] = ""
    ssl_cafile: Annotated[
        str, Meta(description="PEM file of the authority that signed the brokers' certificates")
    ] = ""
    ssl_certfile: Annotated[str, Meta(description="PEM file of the agent's certificate")] = ""
    ssl_keyfile: Annotated[str, Meta(description="PEM file of the agent's key")] = ""

    def __post_init__(self) -> None:
        if self.security_protocol.startswith("SASL") and not self.sasl_username:
            raise ValueError("sasl_username: needed with SASL_PLAINTEXT and SASL_SSL")

    def settings(self) -> dict[str, object]:
        """
        Give the settings of kafka-python that say how to connect.

        Raises
        ------
        ConfigError
            With SASL, when neither the password file nor the variable is there.
        """
        named = {
            "ssl_cafile": self.ssl_cafile,
            "ssl_certfile": self.ssl_certfile,
            "ssl_keyfile": self.ssl_keyfile,
        }
        settings: dict[str, object] = {key: value for key, value in named.items() if value}
        settings["security_protocol"] = self.security_protocol
        if self.security_protocol.startswith("SASL"):
            settings["sasl_mechanism"] = self.sasl_mechanism
            settings["sasl_plain_username"] = self.sasl_username
            settings["sasl_plain_password"] = self._password()
        return settings

    def _password(self) -> str:
        if not self.sasl_password_file:
            if "CROSSPANE_KAFKA_PASSWORD" in os.environ:
                return os.environ["CROSSPANE_KAFKA_PASSWORD"]
            raise ConfigError(
                "log.sasl_password_file: not set, and neither is CROSSPANE_KAFKA_PASSWORD"
            )
        try:
            return Path(self.sasl_password_file).read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"log.sasl_password_file: {error}") from error


T = TypeVar("T")

Log = LocalLog | KafkaLog


class UdpInput(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="netflow"
):
    """NetFlow v5, v9 and IPFIX datagrams on one UDP port."""

    listen: Annotated[
        str,
        Meta(
            pattern=r"^(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):[0-9]{1,5}$",
            description="'address:port'; '[::]:2055' takes IPv4 and IPv6",
        ),
    ] = "127.0.0.1:2055"
    receive_buffer_bytes: Annotated[
        int,
        Meta(
            ge=65_536,
            le=1 << 30,
            description="datagrams the kernel holds while the agent is busy; without root it gives"
            " no more than net.core.rmem_max, and the agent tells",
        ),
    ] = 32 * 1024 * 1024
    coalesce_ms: Annotated[
        float,
        Meta(
            ge=0,
            le=50,
            description="rest between two rounds of reading: more costs less CPU, and dates"
            " datagrams that much later",
        ),
    ] = 2.0
    exporter_port: Annotated[
        bool,
        Meta(
            description="tell exporters behind one address apart by their port; a restarted"
            " exporter, with a new port, is then another one"
        ),
    ] = False

    def __post_init__(self) -> None:
        if self.address()[1] > 65_535:  # noqa: PLR2004 the last port
            raise ValueError("listen: expected a port of 0 to 65535")

    def address(self) -> tuple[str, int]:
        """Host and port of ``listen``."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class TailInput(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="access_log"
):
    """JSON lines of growing, rotating files."""

    paths: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        Meta(
            min_length=1,
            description="files to follow, as globs; name rotated ones too ('access.log*'), for"
            " those that came and were renamed while no agent ran; compressed ones are left out",
        ),
    ]
    exporter: Annotated[
        str, Meta(max_length=1_000, description="who wrote the lines; empty: the path of the file")
    ] = ""
    start: Annotated[
        Literal["beginning", "end"],
        Meta(description="where to begin in files that are there when the agent first runs"),
    ] = "beginning"
    poll_ms: Annotated[
        int, Meta(ge=1, le=60_000, description="milliseconds between two looks at the files")
    ] = 100
    rotate_wait_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=3_600_000,
            description="milliseconds a renamed or deleted file must be silent before it is closed",
        ),
    ] = 5_000
    max_line_bytes: Annotated[
        int,
        Meta(ge=1_024, le=524_288, description="longer lines are dropped as line_too_long"),
    ] = 262_144
    position_file: Annotated[
        str, Meta(description="file that holds the places read to; empty: in the spool's folder")
    ] = ""


Input = UdpInput | TailInput


class BatchConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a batch is closed: whichever comes first."""

    max_payloads: Annotated[int, Meta(ge=1, le=65_536, description="payloads in a batch")] = 4_096
    max_bytes: Annotated[
        int,
        Meta(
            ge=1_024,
            le=8 * 1024 * 1024,
            description="bytes of payloads that close a batch; the default leaves one large payload"
            " more, uncompressible, within the 1 MiB a Kafka broker takes by default",
        ),
    ] = 900_000
    max_age_ms: Annotated[
        int, Meta(ge=1, le=60_000, description="milliseconds the oldest payload may wait")
    ] = 500


class SpoolConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Batches on disk while the log is away; not used when the log is local."""

    directory: Annotated[
        str,
        Meta(
            min_length=1,
            description="folder for state; each agent has its own folder in it, for its spool and"
            " the places it read files to",
        ),
    ] = "/var/lib/crosspane/agent"
    max_bytes: Annotated[
        int, Meta(ge=1 << 20, le=1 << 42, description="bytes on disk, bound of one agent's spool")
    ] = 1 << 30
    policy: Annotated[
        Literal["drop_oldest", "drop_newest"],
        Meta(description="which batches are lost, and counted as spool_full, at the bound"),
    ] = "drop_oldest"
    flush_timeout_s: Annotated[
        float,
        Meta(gt=0, le=60, description="seconds without the log's answer after which it is away"),
    ] = 2.0
    retry_s: Annotated[
        float, Meta(gt=0, le=600, description="seconds between two tries while the log is away")
    ] = 1.0


class AgentConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One agent: where it stands, what it receives, and how it ships."""

    name: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
            description="name of the agent, unique in its cluster",
        ),
    ]
    cluster: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
            description="cluster the agent stands in; the last part of its topics' names",
        ),
    ]
    network: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=100,
            description="routing domain in which the addresses the agent sees mean something",
        ),
    ]
    inputs: Annotated[
        tuple[Input, ...],
        Meta(min_length=1, max_length=2, description="what it receives; at most one of a type"),
    ]
    batch: Annotated[BatchConfig, Meta(description="when a batch is closed")] = BatchConfig()
    spool: Annotated[SpoolConfig, Meta(description="state on disk")] = SpoolConfig()

    def __post_init__(self) -> None:
        kinds = [type(one) for one in self.inputs]
        if len(set(kinds)) < len(kinds):
            # Sequence numbers are counted for each agent and kind: envelope.Header.
            raise ValueError("inputs: at most one of a type; make a second agent for another one")

    def state_directory(self) -> Path:
        """Folder of this agent's spool and positions."""
        return Path(self.spool.directory) / f"{self.cluster}.{self.name}"


class AgentFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file that configures agents and nothing else."""

    agents: Annotated[tuple[AgentConfig, ...], Meta(min_length=1, description="the agents")]
    log: Annotated[Log, Meta(description="where payloads go")] = LocalLog()
    topic_prefix: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$",
            description="first part of the names of all topics",
        ),
    ] = "crosspane.v1"

    def __post_init__(self) -> None:
        check_agents(self.agents)


def check_agents(agents: tuple[AgentConfig, ...]) -> None:
    """Raise ValueError when two agents of a cluster share a name."""
    names = [(agent.cluster, agent.name) for agent in agents]
    for cluster, name in names:
        if names.count((cluster, name)) > 1:
            raise ValueError(f"agents: two are named {name!r} in cluster {cluster!r}")


def load(path: Path, of_type: type[T] = AgentFile) -> T:  # type: ignore[assignment]
    """
    Read a configuration file; relative paths in it are relative to the working directory.

    Raises
    ------
    ConfigError
        Names the file, the key, and what is allowed.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    try:
        return decode_toml(data, of_type)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
