"""
The log that a configuration names, opened for writing.

Before: __init__.py. After: local.py, kafka.py.
"""

from pathlib import Path

from collectors.config import LocalLog, Log
from collectors.log import Writer
from collectors.log.local import LocalWriter


def open_log(log: Log, client_id: str) -> Writer:
    """
    Open the log that is configured, for writing.

    Raises
    ------
    LogError
        When it cannot be opened.
    """
    if isinstance(log, LocalLog):
        return LocalWriter(
            Path(log.directory),
            partitions=log.partitions,
            fsync=log.fsync,
            fsync_interval_s=log.fsync_interval_s,
            segment_bytes=log.segment_bytes,
            retention_bytes=log.retention_bytes,
            retention_s=log.retention_s,
        )
    from collectors.log.kafka import KafkaWriter  # noqa: PLC0415 a local log needs no Kafka client

    writer: Writer = KafkaWriter(
        ",".join(log.bootstrap), client_id=client_id, settings=log.settings()
    )
    return writer
