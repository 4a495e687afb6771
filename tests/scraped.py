"""Scrapes to views, in memory: the same decoders, stages and SQL as the job's, without log or lake."""

from collections.abc import Iterable
from functools import cache

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa

from collectors.log import Place
from pipeline import schema, views
from pipeline.decode import Declared, Decoded, Payloads, Source
from pipeline.inventory import file as inventory
from pipeline.known import Known
from pipeline.run import DECODERS, stages
from pipeline.vantages import Vantages, accounting_rows

PLACE = Place("crosspane.v1.proxy.east", 0)
NOBODY = Known(inventory.empty())
EPOCH_S = 1_795_719_600  # 2026-11-26 19:00:00 UTC
Scrape = tuple[str, float, bytes]
"""Exporter, seconds since `EPOCH_S`, and the payload."""


def payloads(scrapes: Iterable[Scrape], mesh: str = "") -> Payloads:
    given = list(scrapes)
    exporters = list(dict.fromkeys(exporter for exporter, _, _ in given))
    return Payloads(
        [Source(PLACE, "node-1", "east", "net", name, Declared(mesh=mesh)) for name in exporters],
        np.array([exporters.index(exporter) for exporter, _, _ in given], np.int32),
        np.array([round((EPOCH_S + time_s) * 1e9) for _, time_s, _ in given], np.int64),
        pa.array([payload for _, _, payload in given], pa.binary()),
    )


def decode(kind: str, *scrapes: Scrape, mesh: str = "") -> Decoded:
    """What a decoder gives; every payload is accounted for."""
    decoded = DECODERS[kind]().decode(payloads(scrapes, mesh))
    counts = decoded.counts
    assert counts["received_payloads"].sum() == len(scrapes)
    assert counts["received_bytes"].sum() == sum(len(payload) for _, _, payload in scrapes)
    parts = ("decoded_payloads", "partial_payloads", "rejected_payloads")
    assert sum(counts[part].sum() for part in parts) == len(scrapes)
    assert (
        len(decoded.rejects) == counts["partial_payloads"].sum() + counts["rejected_payloads"].sum()
    )
    return decoded


@cache
def _database() -> duckdb.DuckDBPyConnection:
    """Tables and views, made once: it is the slowest part."""
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    for table in schema.TABLES:
        database.execute(schema.create(table))
    for macro in views.MACROS:
        database.execute(macro)
    for view in views.VIEWS:
        database.execute(schema.create_view(view))
    return database


class Pane:
    """Tables and views of scrapes; a new one empties what the one before it held."""

    def __init__(self) -> None:
        self._duckdb = _database()
        for table in schema.TABLES:
            self._duckdb.execute(f"DELETE FROM {table.name}")
        self._vantages = Vantages(pl.DataFrame(schema=schema.VANTAGES.schema))

    def add(self, kind: str, *scrapes: Scrape, mesh: str = "") -> None:
        """Decode, normalize, enrich and keep."""
        decoded = decode(kind, *scrapes, mesh=mesh)
        ids = self._vantages.ids(decoded.vantages, {})
        for name, frame in decoded.frames.items():
            rows = ids.attach(frame)
            for stage in stages(NOBODY)[name]:
                rows = stage(rows)
            columns = next(table for table in schema.TABLES if table.name == name).schema
            self.insert(name, rows.select(columns.names()))
        self.insert(schema.ACCOUNTING.name, accounting_rows(ids.attach(decoded.counts)))
        self.insert(schema.VANTAGES.name, self._vantages.new_rows())
        self._vantages.keep()

    def insert(self, table: str, rows: pl.DataFrame) -> None:
        """Put rows into a table as they are."""
        enums = [name for name, dtype in rows.schema.items() if isinstance(dtype, pl.Enum)]
        self._duckdb.register("given", rows.with_columns(pl.col(enums).cast(pl.String)).to_arrow())
        self._duckdb.execute(f"INSERT INTO {table} FROM given")
        self._duckdb.unregister("given")

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """Ask the views."""
        return self._duckdb.execute(sql).fetchall()
