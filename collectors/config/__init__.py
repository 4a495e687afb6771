"""
What an agent is told: one TOML file to frozen structs.

    [log]                   where payloads go: type = "local" or "kafka"
    [[agents]]              one for each cluster and network that is observed
    [[agents.inputs]]       what it receives: type = "netflow", "als", "access_log" ...
    [agents.inputs.redact]  what is left out of that before it is shipped
    [agents.batch]          when a batch is closed
    [agents.spool]          the folder it keeps its state in, and how much

A wrong file is a `ConfigError` that names the key and what is allowed. The
pipeline's configuration holds the same ``log`` and ``agents`` beside its own
tables, and is read by the same `decode_toml`.

Before: the file. After: agent.py.
"""

from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from collectors.config.aws import AwsInput, AwsResource
from collectors.config.exports import AzureInput, GcpInput
from collectors.config.inputs import (
    AlsInput,
    GrpcServer,
    HubbleFileInput,
    HubbleInput,
    Input,
    IstiodInput,
    LinkerdInput,
    OtlpLogsInput,
    PrometheusInput,
    ProxyInput,
    Scrape,
    Tail,
    TailInput,
    Target,
    UdpInput,
    ZtunnelInput,
)
from collectors.config.kubernetes import KubernetesInput
from collectors.config.log import KafkaLog, LocalLog, Log
from collectors.config.netbox import NetboxInput
from collectors.config.probe import ProbeInput, ProbeTarget
from collectors.config.redact import Redact
from collectors.config.sockets import SocketsInput
from collectors.toml import ConfigError, decode_toml

__all__ = [
    "AgentConfig",
    "AgentFile",
    "AlsInput",
    "AwsInput",
    "AwsResource",
    "AzureInput",
    "BatchConfig",
    "ConfigError",
    "GcpInput",
    "GrpcServer",
    "HubbleFileInput",
    "HubbleInput",
    "Input",
    "IstiodInput",
    "KafkaLog",
    "KubernetesInput",
    "LinkerdInput",
    "LocalLog",
    "Log",
    "NetboxInput",
    "OtlpLogsInput",
    "ProbeInput",
    "ProbeTarget",
    "PrometheusInput",
    "ProxyInput",
    "Redact",
    "Scrape",
    "SocketsInput",
    "SpoolConfig",
    "Tail",
    "TailInput",
    "Target",
    "UdpInput",
    "ZtunnelInput",
    "check_agents",
    "decode_toml",
    "load",
]

T = TypeVar("T")


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
        Meta(min_length=1, max_length=20, description="what it receives; at most one of a type"),
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
