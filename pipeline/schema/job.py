"""
The pipeline itself: rejects, accounting, commits, and what decoders remember.

Before: entities.py. After: run.py.
"""

from typing import Final

import polars as pl

from pipeline.accounting import COUNTERS
from pipeline.schema.model import F64, I32, I64, TEXT, TIME, U32, U64, Column, Table

REJECTS: Final = Table(
    "rejects",
    "What was not decoded, and why, with the bytes.",
    (
        Column("received_time", TIME, "when the agent had it"),
        Column("vantage_id", U64, "`vantages` row; null where not even that is known"),
        Column("topic", TEXT, "log topic"),
        Column("partition", I32, "log partition"),
        Column("log_offset", I64, "offset of the message it came in"),
        Column("reason", TEXT, "one of a fixed list"),
        Column("detail", TEXT, "for people"),
        Column("raw", pl.Binary(), "the bytes, cut"),
        Column("raw_length", U32, "how many there were"),
    ),
)

ACCOUNTING: Final = Table(
    "accounting",
    "Additive counts of what was received, decoded, rejected and lost.",
    (
        Column("minute", TIME, "minute of receipt"),
        Column("vantage_id", U64, "`vantages` row"),
        *(Column(name, I64, meaning) for name, meaning in COUNTERS.items()),
    ),
)

AGENT_DROPS: Final = Table(
    "agent_drops",
    "Payloads lost before the log, as the agents say, and repeated messages that were left out.",
    (
        Column("minute", TIME, "minute of the message's first payload"),
        Column("topic", TEXT, "log topic"),
        Column("agent", TEXT, "agent"),
        Column("cluster", TEXT, "cluster of the agent"),
        Column(
            "reason",
            TEXT,
            "why: kernel, queue_full, spool_full...; sequence_gap: the agent's numbers jump; duplicate: sent twice, counted once; log_gap: expired before the job read it (in messages)",
        ),
        Column("payloads", I64, "how many"),
    ),
)

COMMITS: Final = Table(
    "commits",
    "One row per transaction of the job: how far, how much, how long.",
    (
        Column("committed_time", TIME, "when"),
        Column("messages", I64, "log messages"),
        Column("payloads", I64, "payloads in them"),
        Column("payload_bytes", I64, "their bytes"),
        Column("flows", I64, "flow rows written"),
        Column("requests", I64, "request rows written"),
        Column("rejects", I64, "reject rows written"),
        Column("lag_ms", F64, "age of the newest message when it was committed"),
        Column("poll_ms", F64, "time in poll"),
        Column("decode_ms", F64, "time in decode"),
        Column("enrich_ms", F64, "time in normalize and enrich"),
        Column("write_ms", F64, "time in the transaction"),
    ),
)

WINDOWS: Final = Table(
    "windows",
    "Minutes of rows, and whether what follows from them has been worked out.",
    (
        Column("window_start", TIME, "begin of the minute"),
        Column("stale", pl.Boolean(), "true: rows came since it was worked out last"),
        Column("closed_time", TIME, "when it was worked out last; null: not yet"),
    ),
)

CHECKPOINTS: Final = Table(
    "decoder_checkpoints",
    "What decoders remembered at an offset; the log from there on makes the rest again.",
    (
        Column("topic", TEXT, "log topic"),
        Column("partition", I32, "log partition"),
        Column("kind", TEXT, "decoder"),
        Column("next_offset", I64, "offset of the first message it does not know"),
        Column("state", pl.Binary(), "`Decoder.snapshot`"),
    ),
)
