"""
What a person should look at: one row a finding, and when it was looked for.

Before: job.py. After: pipeline/findings/.
"""

from typing import Final

import polars as pl

from pipeline.schema.model import I64, TEXT, TIME, U64, Column, Table

FINDINGS: Final = Table(
    "findings",
    "What a person should look at, since when, and until when.",
    (
        Column("finding_id", U64, "hash of kind and entity: the same trouble has the same id"),
        Column("kind", TEXT, "which trouble: `pipeline.findings.kinds.FINDINGS`"),
        Column("severity", TEXT, "error, warning or info, as it was seen last"),
        Column("entity", TEXT, "what it is about, in the words of the views"),
        Column("clusters", pl.List(pl.String), "clusters it concerns; empty if none is known"),
        Column("summary", TEXT, "what is wrong, with figures, as it was seen last"),
        Column(
            "symptoms",
            pl.List(pl.String),
            "what suffers from it, and is no finding of its own: kind and entity, as it was seen last",
        ),
        Column("action", TEXT, "what to do about it"),
        Column("evidence_sql", TEXT, "a query for the rows behind it, as it was seen last"),
        Column("first_seen", TIME, "when it was seen for the first time ever"),
        Column("last_seen", TIME, "end of the last minute in which it was seen"),
        Column("opened_time", TIME, "when it was opened, or opened again"),
        Column("closed_time", TIME, "when it was closed; null: it is open"),
        Column("evaluations_missed", I64, "times it was looked for since it was seen last"),
        Column("times_reopened", I64, "times it came back after it was closed"),
    ),
)

FINDING_RUNS: Final = Table(
    "finding_runs",
    "When each kind of finding was looked for last, and what that took.",
    (
        Column("kind", TEXT, "kind of finding"),
        Column("evaluated_time", TIME, "end of the minute it was looked for in"),
        Column("took_ms", I64, "time it took"),
        Column("found", I64, "rows it gave; null if it failed"),
        Column("error", TEXT, "why it failed; null if it did not"),
    ),
)
