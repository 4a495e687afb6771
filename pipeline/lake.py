"""
The lake: DuckLake tables, written by one transaction per batch.

    <root>/catalog.sqlite   which files make which table, at which snapshot
    <root>/data/            Parquet

Facts and log offsets are committed together, so a batch is in the lake wholly,
with the offsets behind it, or not at all: kill the job anywhere and the next
one goes on from what was committed. The offsets are also the fence. They are
moved by compare-and-set, and a job whose place was taken by another fails its
commit instead of writing twice.

One process writes; any number read, with this module or any DuckDB, while it
does: the catalog has a write-ahead log, so neither waits for the other.

Before: enrich/. After: views.py (what readers see).
Source: DuckLake 1.0 specification.
"""

import contextlib
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Self

import duckdb
import polars as pl
import xxhash

from collectors.log import Place
from pipeline import schema, views
from pipeline.errors import LakeError, StaleOffsetError
from pipeline.schema.literals import literal

SCHEMA: Final = "crosspane"
_OFFSETS: Final = "log_offsets_"
_SHAPE: Final = "lake_shape"

_EXTENSIONS: Final = ("ducklake", "sqlite_scanner")
_UNSIGNED: Final = "allow_unsigned_extensions"
"""
Set until our extensions are loaded: to look at a signature takes 0.17 s each.

What pip installed beside DuckDB itself is trusted as DuckDB's own library is, which nobody
looks at either. What is loaded from anywhere else must be signed.
"""
_IN_ONE_PIECE: Final = 1 << 21
"""Rows that are read into one piece of memory: of several, each look-up takes ten times as long."""
_WAIT_MS: Final = 60_000
"""Who opens the catalog waits so long for whoever recovers it just then, instead of 5 s."""
_INLINED_ROWS: Final = 50
"""
Inserts up to this many rows stay in the catalog until maintenance writes them to Parquet.

A wide row costs 0.9 ms there, a narrow one 0.25 ms, a file 25 to 40 ms however many it has.
"""
CATALOG: Final = "__ducklake_metadata_lake.main"
"""Where DuckLake keeps its own tables of the lake that is attached."""
_NOT_DESCRIBED: Final = f"""end_snapshot IS NULL
    AND table_id NOT IN (SELECT table_id FROM {CATALOG}.ducklake_table_stats)"""
_DESCRIBE_EMPTY: Final = (
    f"""INSERT INTO {CATALOG}.ducklake_table_column_stats BY NAME
        SELECT table_id, column_id, true AS contains_null FROM {CATALOG}.ducklake_column
        WHERE {_NOT_DESCRIBED} AND (table_id, column_id) NOT IN (
            SELECT (table_id, parent_column) FROM {CATALOG}.ducklake_column
            WHERE parent_column IS NOT NULL)""",
    f"""INSERT INTO {CATALOG}.ducklake_table_stats BY NAME
        SELECT table_id, 0 AS record_count, 0 AS next_row_id, 0 AS file_size_bytes
        FROM {CATALOG}.ducklake_table WHERE {_NOT_DESCRIBED}""",
)
"""
What DuckLake writes of a table with its first rows, said of tables that have none.

Of a table without it, DuckLake asks the catalog again for every column a statement
names: planning `FROM v_health` over tables without rows took 3 s instead of 0.3.
"""


@dataclass(slots=True)
class Commit:
    """
    What one transaction writes.

    Attributes
    ----------
    frames
        Table name to rows, columns by name as in `schema`.
    offsets
        Place to (offset before, offset after).
    replaced
        Table name to key column: rows with a key that ``frames`` has too are
        replaced instead of added to; with no key, all rows are.
    updated
        Table name to new values of some columns, by ``row``, the table's row id.
    cleared
        Table name to an SQL condition: such rows are deleted before ``frames`` are written.
    aside
        Name to rows that no table keeps: stages that follow are told them.
    """

    frames: dict[str, pl.DataFrame]
    offsets: dict[Place, tuple[int, int]] = field(default_factory=dict)
    replaced: dict[str, str | None] = field(default_factory=dict)
    updated: dict[str, pl.DataFrame] = field(default_factory=dict)
    cleared: dict[str, str] = field(default_factory=dict)
    aside: dict[str, pl.DataFrame] = field(default_factory=dict)


def connect(
    root: Path, *, read_only: bool = True, threads: int = 2, at: datetime | None = None
) -> duckdb.DuckDBPyConnection:
    """
    A DuckDB connection with the lake attached as ``lake`` and its schema in use.

    With ``at``, the lake as it was at that time, as far as snapshots are kept.

    Raises
    ------
    LakeError
        If an extension cannot be loaded, or there is no lake to read.
    """
    catalog = root / "catalog.sqlite"
    if read_only and not catalog.exists():
        raise LakeError(f"no lake at {root}: start one with `crosspane up` or `crosspane demo`")
    connection = duckdb.connect(config={"threads": threads, _UNSIGNED: "true"})
    for extension in _EXTENSIONS:
        _load(connection, extension)
    connection.execute(f"SET {_UNSIGNED} = false")  # and never again: it cannot be set to true
    options = (
        "READ_ONLY"
        if read_only
        else f"DATA_INLINING_ROW_LIMIT {_INLINED_ROWS}, META_JOURNAL_MODE 'WAL'"
    )
    options += f", META_BUSY_TIMEOUT {_WAIT_MS}"
    if at:
        options += f", SNAPSHOT_TIME '{at.isoformat()}'"
    if not read_only:
        root.mkdir(parents=True, exist_ok=True)
    location = literal(f"ducklake:sqlite:{catalog.resolve()}")
    data = literal(f"{(root / 'data').resolve()}/")
    try:
        connection.execute(
            f"ATTACH {location} AS lake (DATA_PATH {data}, OVERRIDE_DATA_PATH true, {options})"
        )
        connection.execute("SET TimeZone = 'UTC'")
        if not read_only:
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS lake.{SCHEMA}")
        connection.execute(f"USE lake.{SCHEMA}")
    except duckdb.Error as error:
        connection.close()
        shared = (
            ": who reads must be allowed to write into the folder, too (SQLite's shared memory),"
            " or ask `crosspane serve`"
            if read_only and "readonly database" in str(error)
            else ""
        )
        raise LakeError(f"cannot open the lake at {root}: {error}{shared}") from error
    return connection


def _load(connection: duckdb.DuckDBPyConnection, extension: str) -> None:
    """LOAD from the extension's wheel, else what DuckDB has or can fetch, else say so."""
    package = f"duckdb_extension_{extension}"
    found = importlib.util.find_spec(package)
    origin = Path(found.origin).parent if found and found.origin else None
    files = origin.rglob(f"{extension}.duckdb_extension") if origin else ()
    signed = f"SET {_UNSIGNED} = false"
    tries = [f"LOAD '{file}'" for file in files]
    others = (f"{signed}; LOAD {extension}", f"{signed}; INSTALL {extension}; LOAD {extension}")
    for statement in (*tries, *others):
        try:
            connection.execute(statement)
        except duckdb.Error as error:
            refusal = str(error)
        else:
            return
    wheel = f"{package.replace('_', '-')}=={duckdb.__version__}"
    raise LakeError(f"DuckDB extension {extension}: pip install {wheel} ({refusal})")


class Lake:
    """
    The writing end: tables made, offsets kept, batches committed.

    Parameters
    ----------
    root
        Folder of the embedded lake; made if absent.
    threads
        DuckDB's threads.
    """

    def __init__(self, root: Path, *, threads: int = 1) -> None:
        self.connection = connect(root, read_only=False, threads=threads)
        with self._transaction():
            self.connection.execute(f"CREATE TABLE IF NOT EXISTS {_SHAPE} (hash UBIGINT)")
            made = self.connection.execute(f"FROM {_SHAPE}").fetchall() != [(_shape(),)]
            if made:
                self._make()
        if made:  # DuckLake refuses options of tables that the same transaction makes
            with self._transaction():
                self._set_options()
            with self._transaction():
                for statement in _DESCRIBE_EMPTY:
                    self.connection.execute(statement)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the catalog."""
        self.connection.close()

    def _make(self) -> None:
        """Tables, with the columns an older crosspane did not have, and views as they are now."""
        for table in schema.TABLES:
            self.connection.execute(schema.create(table))
            found = self.connection.execute(f"DESCRIBE {table.name}").fetchall()
            known = {name for name, *_ in found}
            for column in table.columns:
                if column.name not in known:
                    added = f"{column.name} {schema.sql_type(column)}"
                    self.connection.execute(f"ALTER TABLE {table.name} ADD COLUMN {added}")
        for statement in _seen_by_readers():
            self.connection.execute(statement)
        self.connection.execute(f"DELETE FROM {_SHAPE}")
        self.connection.execute(f"INSERT INTO {_SHAPE} VALUES (?)", [_shape()])

    def _set_options(self) -> None:
        """What tables have other than the lake."""
        for table in schema.TABLES:
            if table.row_group_rows is not None:
                self.connection.execute(
                    f"CALL lake.set_option('parquet_row_group_size', {table.row_group_rows},"
                    f" schema => '{SCHEMA}', table_name => '{table.name}')"
                )

    def offsets(self) -> dict[Place, int]:
        """Next offset of every place this lake has read from."""
        names = self.connection.execute(
            "SELECT table_name FROM duckdb_tables()"
            " WHERE database_name = 'lake' AND starts_with(table_name, ?)",
            [_OFFSETS],
        ).fetchall()
        rows = [self.connection.execute(f'FROM "{name}"').fetchall() for (name,) in names]
        return {Place(topic, partition): offset for ((topic, partition, offset),) in rows}

    def adopt(self, *places: Place) -> None:
        """Begin to keep offsets of places, at 0: all at once, as the catalog is read anew after."""
        if not places:
            return
        with self._transaction():
            for place in places:
                table = _offset_table(place)
                self.connection.execute(
                    f"CREATE TABLE {table} (topic VARCHAR, partition INTEGER, next_offset BIGINT)"
                )
                self.connection.execute(f"INSERT INTO {table} VALUES (?, ?, 0)", [*place])

    def commit(self, commit: Commit) -> None:
        """
        Write rows and move offsets, all or nothing.

        Raises
        ------
        StaleOffsetError
            If an offset is not where this job left it; nothing is written.
        LakeError
            If the transaction failed; nothing is written.
        """
        with self._transaction():
            for name, condition in commit.cleared.items():
                self.connection.execute(f"DELETE FROM {name} WHERE {condition}")
            for name, key in commit.replaced.items():
                if key and commit.frames[name].is_empty():
                    continue
                same_key = f"WHERE {key} IN (SELECT {key} FROM incoming)" if key else ""
                with self._registered(commit.frames[name]):
                    self.connection.execute(f"DELETE FROM {name} {same_key}")
            for name, frame in commit.frames.items():
                if frame.height:
                    with self._registered(frame):
                        self.connection.execute(
                            f"INSERT INTO {name} BY NAME SELECT * FROM incoming"
                        )
            for name, frame in commit.updated.items():
                values = ", ".join(f"{key} = incoming.{key}" for key in frame.columns[1:])
                these = f"{name}.rowid = incoming.row"
                with self._registered(frame):
                    self.connection.execute(
                        f"UPDATE {name} SET {values} FROM incoming WHERE {these}"
                    )
            for place, (before, after) in commit.offsets.items():
                moved = self.connection.execute(
                    f"UPDATE {_offset_table(place)} SET next_offset = ? WHERE next_offset = ?",
                    [after, before],
                ).fetchall()
                if moved != [(1,)]:
                    raise StaleOffsetError(
                        f"{place.topic}/{place.partition} is no longer at {before}:"
                        " another job has it"
                    )

    def read(self, query: str) -> pl.DataFrame:
        """Rows of one query."""
        return self.connection.execute(query).pl(_IN_ONE_PIECE)

    def maintain(self, *, keep_snapshots_s: int) -> None:
        """Inlined rows to Parquet, small files to larger ones, old snapshots away."""
        older = f"older_than => now() - INTERVAL {keep_snapshots_s} SECOND"
        for call in (
            "CALL ducklake_flush_inlined_data('lake')",
            "CALL ducklake_merge_adjacent_files('lake')",
            f"CALL ducklake_expire_snapshots('lake', {older})",
            f"CALL ducklake_cleanup_old_files('lake', {older})",
        ):
            try:
                self.connection.execute(call).fetchall()
            except duckdb.Error as error:
                raise LakeError(f"{call}: {error}") from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN TRANSACTION")
        try:
            yield
            self.connection.execute("COMMIT")
        except duckdb.Error as error:
            with contextlib.suppress(duckdb.Error):  # a failed COMMIT has already ended it
                self.connection.execute("ROLLBACK")
            raise LakeError(f"transaction not written: {error}") from error
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _registered(self, frame: pl.DataFrame) -> Iterator[None]:
        self.connection.register("incoming", frame.to_arrow())
        try:
            yield
        finally:
            self.connection.unregister("incoming")


def _seen_by_readers() -> Iterator[str]:
    """DDL of macros, views and table functions."""
    yield from views.MACROS
    yield from map(schema.create_view, views.VIEWS)
    yield from map(schema.create_function, views.FUNCTIONS)


def _shape() -> int:
    """Tells definitions of tables and views from those of another version."""
    statements = (*map(schema.create, schema.TABLES), *_seen_by_readers(), *_DESCRIBE_EMPTY)
    return xxhash.xxh3_64_intdigest("\0".join(statements).encode())


def _offset_table(place: Place) -> str:
    return f'"{_OFFSETS}{place.topic}_{place.partition}"'


def sync_inventory(lake: Lake, tables: Mapping[str, pl.DataFrame]) -> None:
    """
    Bring the dimension tables to what the inventory says now.

    Networks, clusters, gateways and peerings become exactly the inventory's. Of endpoints
    and prefixes only what a file says can be other than in the lake; what it no longer
    says is kept, since facts point at it.
    """
    for table in (schema.NETWORKS, schema.CLUSTERS, schema.GATEWAYS, schema.PEERINGS):
        if not lake.read(f"FROM {table.name}").equals(tables[table.name]):
            lake.commit(Commit({table.name: tables[table.name]}, replaced={table.name: None}))
    for name, key in ((schema.ENDPOINTS.name, "endpoint_id"), (schema.PREFIXES.name, "prefix_id")):
        known = lake.read(f"FROM {name} WHERE source = 'file'").cast(tables[name].schema)
        changed = tables[name].join(known, on=tables[name].columns, how="anti", nulls_equal=True)
        if changed.height:
            lake.commit(Commit({name: changed}, replaced={name: key}))


def size_bytes(root: Path) -> int:
    """Bytes on disk of catalog and data."""
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
