"""
The engine: one DuckDB a role, which reads the lake and can do nothing else.

    lake         attached READ_ONLY; DuckLake's files are all it may open
    crosspane    in memory: schema public, with the views of the role (roles)
    memory       in memory: what clients look up of types and tables (catalog)

Nothing outside the lake's folder can be opened, nothing can be loaded, and the
configuration is locked; each was set before the first statement of a client.
Roles do not share a DuckDB: its limit of memory is the role's.

A statement runs in a transaction of its own, so that it sees the job's newest
commit, and the catalog is let go of as soon as its last row is taken.

Before: roles.py. After: statements.py.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import duckdb
import pyarrow as pa

from pipeline.config import RoleConfig, ServeConfig
from pipeline.errors import LakeError, ServeError
from pipeline.lake import connect
from pipeline.schema.literals import literal
from pipeline.serve import catalog, roles, statements
from pipeline.serve.limits import Clock, Turns, bounded
from pipeline.serve.refusals import refused

UNKNOWN_ROLE: Final = "28000"
"""invalid_authorization_specification."""
TOO_MANY: Final = "53300"
"""too_many_connections."""
_SETTINGS: Final = (
    "SET GLOBAL TimeZone = 'UTC'",
    "SET temp_directory = ''",  # what does not fit is refused, not written down
    "SET python_enable_replacements = false",  # no variables of ours as tables
    "SET enable_external_access = false",
    "SET lock_configuration = true",  # the last: from here on nothing of these changes
)
_PATH: Final = f"{catalog.SCHEMA},{roles.DATABASE}.{roles.PUBLIC}"
_REWRITTEN_CHARACTERS: Final = 100_000
"""What clients ask of the catalog is shorter; a longer text is a person's, in DuckDB's words."""
_BATCH_ROWS: Final = 8_192
"""Rows handed out at a time: what a slow client makes us hold."""


class Column(NamedTuple):
    """One column of a result."""

    name: str
    kind: str
    """DuckDB's name of its type."""


@dataclass(frozen=True, slots=True)
class Statement:
    """
    One statement that was looked through: only the engine makes one.

    Attributes
    ----------
    text
        What DuckDB is given.
    tree
        As ``json_serialize_sql`` has it.
    """

    text: str
    tree: Any

    def said(self, text: str) -> "Statement":
        """The same statement in other words of ours, for another form of its result."""
        return Statement(text, self.tree)


class Rows(Iterator[pa.RecordBatch]):
    """
    Batches of a result; raises ServeError at a limit.

    At its end, or closed, it lets go of the lake; also when its time is over
    and nobody is taking rows: what is open keeps an old snapshot of the catalog.
    """

    def __init__(self, batches: Iterator[pa.RecordBatch], end: Callable[[], None]) -> None:
        self._batches = batches
        self._end: Callable[[], None] | None = end
        self._taking = threading.Lock()

    def __next__(self) -> pa.RecordBatch:
        try:
            with self._taking:
                return next(self._batches)
        except BaseException:
            self.close()
            raise

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """No more rows are wanted."""
        with self._taking:
            end, self._end = self._end, None
        if end:
            end()

    def abandon(self) -> None:
        """Close, unless rows are being taken at this moment: that ends by itself."""
        if self._taking.acquire(blocking=False):
            self._taking.release()
            self.close()


class Result(NamedTuple):
    """Rows to come."""

    columns: Sequence[Column]
    schema: pa.Schema
    rows: Rows


class Engine:
    """
    Answers for all roles of a configuration.

    Parameters
    ----------
    root
        Folder of the lake.
    config
        Roles and their limits.

    Raises
    ------
    LakeError
        If there is no lake to read.
    """

    def __init__(self, root: Path, config: ServeConfig) -> None:
        if not (root / "catalog.sqlite").exists():
            raise LakeError(f"no lake at {root}: start one with `crosspane up` or `crosspane demo`")
        self._root = root
        self._config = config
        turns = Turns(config.at_once)
        self._roles = {
            name: _Role(name, role, root, config.threads, turns)
            for name, role in config.roles.items()
        }

    def open(self, role: str) -> "Session":
        """
        Let one more client in.

        Raises
        ------
        ServeError
            28000 for a role that is not there, 53300 when it has too many clients.
        """
        if role not in self._roles:
            raise ServeError(UNKNOWN_ROLE, f'role "{role}" does not exist')
        return self._roles[role].open()

    def close(self) -> None:
        """End what runs, and let go of the lake."""
        for role in self._roles.values():
            role.close()


class _Role:
    """One role's DuckDB, opened when its first client comes."""

    def __init__(
        self, name: str, config: RoleConfig, root: Path, threads: int, turns: Turns
    ) -> None:
        self.name, self.config, self._turns = name, config, turns
        self._root, self._threads = root, threads
        self._lock = threading.Lock()
        self._sessions: set[Session] = set()
        self._opened: _Opened | None = None

    def open(self) -> "Session":
        with self._lock:
            if len(self._sessions) >= self.config.max_connections:
                raise ServeError(
                    TOO_MANY,
                    f'role "{self.name}" has {self.config.max_connections} clients already',
                )
            if self._opened is None:
                self._opened = _prepare(self._root, self.name, self.config, self._threads)
            session = Session(self._opened, self.config, self._turns, self._forget)
            self._sessions.add(session)
            return session

    def _forget(self, session: "Session") -> None:
        with self._lock:
            self._sessions.discard(session)

    def close(self) -> None:
        with self._lock:
            sessions, opened = [*self._sessions], self._opened
            self._opened = None
        for session in sessions:
            session.close()
        if opened:
            opened.connection.close()


@dataclass(frozen=True, slots=True)
class _Opened:
    """A DuckDB that is ready for clients."""

    connection: duckdb.DuckDBPyConnection
    scope: statements.Scope
    relations: Mapping[str, Mapping[str, str]]
    lock: threading.Lock = field(default_factory=threading.Lock)


def _prepare(root: Path, name: str, config: RoleConfig, threads: int) -> _Opened:
    """Attach the lake, make what the role sees, and close the door."""
    connection = connect(root, threads=threads)
    try:
        relations = roles.install(connection, config)
        catalog.install(connection, relations, name)
        for setting in (
            f"SET memory_limit = '{config.memory}'",
            f"SET allowed_directories = [{literal(f'{root.resolve()}/')}]",
            *_SETTINGS,
        ):
            connection.execute(setting)
        rows = connection.execute(
            "SELECT function_name FROM duckdb_functions() WHERE function_type = 'table_macro'"
            " AND database_name IN ('memory', ?)",
            [roles.DATABASE],
        ).fetchall()
    except duckdb.Error as error:
        connection.close()
        raise LakeError(f"cannot serve the lake at {root}: {error}") from error
    macros = frozenset(name for (name,) in rows)
    scope = statements.Scope(macros, confined=roles.confined(config))
    return _Opened(connection, scope, relations)


class Session:
    """
    One client.

    Used by one thread at a time; `cancel` and `close` by any.
    """

    def __init__(
        self,
        opened: _Opened,
        config: RoleConfig,
        turns: Turns,
        forget: Callable[["Session"], None],
    ) -> None:
        self._opened = opened
        self._config = config
        self._turns = turns
        self._forget = forget
        self._clocks: set[Clock] = set()
        self._closed = False
        self.max_time_s = config.max_time_s
        """Seconds of a statement; a client may make it less."""
        self.relations: Mapping[str, Mapping[str, str]] = opened.relations
        """Relations of ``public`` to their columns and types."""

    def statements(self, sql: str) -> list[Statement]:
        """
        Statements of a text, each looked through.

        Raises
        ------
        ServeError
            As `statements.check` says.
        """
        with self._cursor() as cursor:
            said = catalog.rewrite(sql) if len(sql) <= _REWRITTEN_CHARACTERS else sql
            found = [one.query or said for one in statements.split(cursor, said)]
            scope = self._opened.scope
            return [Statement(text, statements.check(cursor, text, scope)) for text in found]

    def describe(self, statement: Statement) -> list[Column]:
        """
        Columns of a statement's result, without running it.

        Raises
        ------
        ServeError
            For anything wrong.
        """
        cursor, clock = self._started()
        try:
            with self._turns.one(clock):
                clock.start()
                relation = cursor.sql(statement.text)  # EXPLAIN ANALYZE runs already here
                names, kinds = relation.columns, relation.types
            if reason := clock.refusal():  # it came while nothing could be interrupted
                raise reason
            return [Column(*pair) for pair in zip(names, map(str, kinds), strict=True)]
        except duckdb.Error as error:
            raise clock.refusal() or self._refused(error) from error
        finally:
            self._ended(cursor, clock)

    def run(self, statement: Statement, parameters: Mapping[str, Any] | None = None) -> Result:
        """
        Start a statement; its rows come as they are taken.

        Parameters
        ----------
        statement
            Of `statements`.
        parameters
            Value of each of its parameters, ``"1"`` for ``$1``.

        Raises
        ------
        ServeError
            For anything wrong, or cut at a limit.
        """
        cursor, clock = self._started()
        try:
            with self._turns.one(clock):
                clock.start()
                cursor.execute(statement.text, parameters or None)
            columns = [Column(name, str(kind)) for name, kind, *_ in cursor.description]
            reader = cursor.to_arrow_reader(_BATCH_ROWS)
        except Exception as error:
            self._ended(cursor, clock)
            raise clock.refusal() or self._refused(error) from error

        def reason(error: Exception) -> ServeError:
            return clock.refusal() or self._refused(error)

        def end() -> None:
            reader.close()
            self._ended(cursor, clock)

        batches = bounded(iter(reader), clock, self._turns, self._config.max_rows, reason)
        rows = Rows(batches, end)
        clock.on_end(rows.abandon)
        return Result(columns, reader.schema, rows)

    def query(self, sql: str) -> pa.RecordBatchReader:
        """
        Rows of one statement.

        Raises
        ------
        ServeError
            For anything refused, wrong, or cut at a limit: here, or while rows are read.
        """
        found = self.statements(sql)
        if len(found) != 1:
            raise ServeError(statements.SYNTAX, f"one statement at a time here, not {len(found)}")
        result = self.run(found[0])
        return pa.RecordBatchReader.from_batches(result.schema, result.rows)

    def cancel(self) -> None:
        """End what runs; the session goes on."""
        for clock in [*self._clocks]:
            clock.cancel()

    def close(self) -> None:
        """End what runs, and the session."""
        self._closed = True
        self.cancel()
        self._forget(self)

    def _refused(self, error: Exception) -> ServeError:
        return refused(error, confined=self._opened.scope.confined)

    def _started(self) -> tuple[duckdb.DuckDBPyConnection, Clock]:
        cursor = self._cursor()
        clock = Clock(self.max_time_s, cursor.interrupt)
        self._clocks.add(clock)
        if self._closed:  # meanwhile: who closed it did not see this clock
            clock.cancel()
        return cursor, clock

    def _ended(self, cursor: duckdb.DuckDBPyConnection, clock: Clock) -> None:
        clock.stop()
        self._clocks.discard(clock)
        cursor.close()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        if self._closed:
            raise ServeError("57P01", "the session has ended")
        with self._opened.lock:
            cursor = self._opened.connection.cursor()
        cursor.execute(f"SET search_path = '{_PATH}'")
        return cursor
