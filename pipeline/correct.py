"""
Rows that came before their inventory, named again when it comes.

A pod calls before its API server has told of it: its first records are
written as unknown. When the inventory arrives, rows of a bounded window whose
addresses it concerns are looked up again, and where the answer is another one
the row is replaced, in one transaction with a row of ``corrections`` that says
how many. What a snapshot of the lake showed before can still be read.

Before: known.py, lake.py. After: run.py.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

import duckdb
import polars as pl

from pipeline import schema
from pipeline.enrich import ENRICHERS, Identities
from pipeline.errors import LakeError
from pipeline.known import Touched
from pipeline.lake import Commit, Lake

_ROWS_AT_A_TIME: Final = 200_000
_LOOKED_UP: Final = ("endpoint_id", "prefix_id", "resolution", "method", "candidate_ids")
_TABLES: Final = {table.name: table for table in schema.TABLES if table.name in ENRICHERS}


def correct(
    lake: Lake,
    identities: Identities,
    touched: Touched,
    newest: Mapping[str, datetime],
    since: datetime,
) -> tuple[Commit, dict[str, pl.DataFrame]]:
    """
    Look up again rows received from ``since`` on.

    Parameters
    ----------
    touched
        What of the inventory is other than when rows may have been looked up.
    newest
        Table to when its newest row was received: those without one since are left alone.

    Returns
    -------
    What is to be committed, and table to the rows that are other now; nothing of either if none is.
    """
    commit, renamed = Commit({}), {}
    corrections = []
    now = datetime.now(UTC)
    for name, table in _TABLES.items():
        if name not in newest or newest[name] < since:
            continue
        found = _concerned(lake, table, touched, since)
        parts = [part for rows in found if (part := _renamed(rows, table, identities)).height]
        if not parts:
            continue
        changed = pl.concat(parts)
        corrections += [_told(name, side, changed, now) for side in sides(table)]
        commit.updated[name] = changed.select("row", *_looked_up(table))
        renamed[name] = changed
    if renamed:
        commit.frames[schema.CORRECTIONS.name] = pl.concat(corrections)
    return commit, renamed


def newest_times(lake: Lake) -> dict[str, datetime]:
    """Table to when its newest row was received; of those that are looked up and have any."""
    newest = " UNION ALL ".join(
        f"SELECT '{name}' AS name, max(received_time) AS newest FROM {name}" for name in _TABLES
    )
    return {name: time for name, time in lake.read(newest).rows() if time is not None}


def sides(table: schema.Table) -> list[str]:
    """What a table's rows are looked up for: src, dst..."""
    ending = "_endpoint_id"
    return [name.removesuffix(ending) for name in table.schema if name.endswith(ending)]


def _looked_up(table: schema.Table) -> list[str]:
    return [f"{side}_{name}" for side in sides(table) for name in _LOOKED_UP]


def _concerned(
    lake: Lake, table: schema.Table, touched: Touched, since: datetime
) -> Iterator[pl.DataFrame]:
    """Rows that may be looked up differently now, with ``row`` and ``network``."""
    ends = [name.removesuffix("_ip_hi") for name in table.schema if name.endswith("_ip_hi")]
    condition = " OR ".join(f"({end}_ip_hi, {end}_ip_lo) IN (FROM touched)" for end in ends)
    if touched.ranges:
        condition += "".join(f" OR {side}_method <> 'exact'" for side in sides(table))
    touching = touched.addresses.select("endpoint_ip_hi", "endpoint_ip_lo").unique()
    lake.connection.register("touched", touching.to_arrow())
    try:
        found = lake.connection.execute(
            f"SELECT t.rowid AS row, v.network, t.* FROM {table.name} t"
            f" JOIN vantages v USING (vantage_id) WHERE t.received_time >= ? AND ({condition})",
            [since],
        ).to_arrow_reader(_ROWS_AT_A_TIME)
        for batch in found:
            yield pl.DataFrame(pl.from_arrow(batch))
    except duckdb.Error as error:
        raise LakeError(f"rows to correct: {error}") from error
    finally:
        lake.connection.unregister("touched")


def _renamed(rows: pl.DataFrame, table: schema.Table, identities: Identities) -> pl.DataFrame:
    """Those of the rows whose lookup has another answer, with it, and ``was_{side}_resolution``."""
    kept = pl.Schema(
        {name: dtype for name, dtype in table.schema.items() if name not in _looked_up(table)}
    )
    codes: Mapping[str, int] = identities.network_codes
    before = schema.complete(rows, table.schema)
    code = rows["network"].replace_strict(dict(codes), default=None, return_dtype=pl.Int32)
    asked = before.select(kept.names()).with_columns(network_code=code)
    after = ENRICHERS[table.name](asked, identities=identities).with_columns(row=rows["row"])
    other = pl.Series([False]).new_from_index(0, rows.height)
    for name in _looked_up(table):
        other |= after[name].ne_missing(before[name])
    was = [before[f"{side}_resolution"].alias(f"was_{side}_resolution") for side in sides(table)]
    return after.with_columns(was).filter(other)


def _told(name: str, side: str, changed: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Rows of `schema.CORRECTIONS` of one side."""
    key = {"from_resolution": f"was_{side}_resolution", "to_resolution": f"{side}_resolution"}
    told = (
        changed.group_by(pl.col(column).cast(pl.String).alias(new) for new, column in key.items())
        .agg(rows=pl.len().cast(pl.Int64), oldest_time=pl.col("received_time").min())
        .filter(pl.col("from_resolution").ne_missing(pl.col("to_resolution")))
        .with_columns(
            corrected_time=pl.lit(now).cast(schema.TIME),
            table_name=pl.lit(name),
            side=pl.lit(side),
        )
    )
    return told.select(schema.CORRECTIONS.schema.names()).cast(dict(schema.CORRECTIONS.schema))  # type: ignore[arg-type]
