"""
Where payloads go: the log, on this machine's disk or in Kafka.

Before: config. After: inputs.py.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from collectors.toml import ConfigError

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


Log = LocalLog | KafkaLog
