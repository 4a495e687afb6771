"""
A SQL server over a small lake, for every client: all roles, all types, one a session.

``v_types`` has a row of values, and a row of nulls. `TYPES` says its columns.
"""

import datetime as dt
import threading
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from authority import Authority

from pipeline.config import RoleConfig, ServeConfig
from pipeline.lake import Lake
from pipeline.serve.engine import Engine
from pipeline.serve.pgwire.server import Server

PASSWORD = "correct horse"  # noqa: S105 - of nothing else
"""Of every role."""
LONG = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE (a.range * b.range) % 7 = 9"
"""A statement that would run for days."""


class Column(NamedTuple):
    """A column of ``v_types``: DuckDB's SQL of its value; PostgreSQL's name of its type, and text."""

    name: str
    value: str
    kind: str
    text: str


TYPES = (
    Column("number", "1::BIGINT", "bigint", "1"),
    Column("yes", "true", "boolean", "t"),
    Column("tiny", "(-8)::TINYINT", "smallint", "-8"),
    Column("grpc_status", "200::UTINYINT", "smallint", "200"),
    Column("small", "(-300)::SMALLINT", "smallint", "-300"),
    Column("status", "65535::USMALLINT", "integer", "65535"),
    Column("whole", "70000::INTEGER", "integer", "70000"),
    Column("attempts", "4294967295::UINTEGER", "bigint", "4294967295"),
    Column("big", "9007199254740993::BIGINT", "bigint", "9007199254740993"),
    Column("bytes", "18446744073709551615::UBIGINT", "numeric", "18446744073709551615"),
    Column(
        "huge",
        "(-170141183460469231731687303715884105727)::HUGEINT",
        "numeric",
        "-170141183460469231731687303715884105727",
    ),
    Column("single", "0.5::FLOAT", "real", "0.5"),
    Column("share", "0.1::DOUBLE", "double precision", "0.1"),
    Column("confidence", "1.5::DECIMAL(2,1)", "numeric(2,1)", "1.5"),
    Column("name", "'Zürich ☃ ''quoted'' \\ \"'", "text", "Zürich ☃ 'quoted' \\ \""),
    Column("raw", "'\\x00\\xFF\\x5Ca'::BLOB", "bytea", "\\x00ff5c61"),
    Column("day", "DATE '2026-11-20'", "date", "2026-11-20"),
    Column("clock", "TIME '23:59:59.999999'", "time without time zone", "23:59:59.999999"),
    Column(
        "local_time",
        "TIMESTAMP '2026-11-20 01:02:03.456789'",
        "timestamp without time zone",
        "2026-11-20 01:02:03.456789",
    ),
    Column(
        "seen_time",
        "TIMESTAMPTZ '2026-11-20 01:02:03.456789+00'",
        "timestamp with time zone",
        "2026-11-20 01:02:03.456789+00",
    ),
    Column("took", "INTERVAL '1 month 2 days 03:04:05.5'", "interval", "1 mon 2 days 03:04:05.5"),
    Column(
        "id",
        "'9f8e7d6c-0000-4000-8000-00000000002a'::UUID",
        "uuid",
        "9f8e7d6c-0000-4000-8000-00000000002a",
    ),
    Column("labels", """'{"a": [1, null]}'::JSON""", "json", '{"a": [1, null]}'),
    Column(
        "seen_by", "['a', NULL, 'b,c', '\"', '']::VARCHAR[]", "text[]", '{a,NULL,"b,c","\\"",""}'
    ),
    Column(
        "counts",
        "[1, NULL, 18446744073709551615]::UBIGINT[]",
        "numeric[]",
        "{1,NULL,18446744073709551615}",
    ),
    Column(
        "times",
        "[TIMESTAMPTZ '2026-11-20 00:00:00+00']",
        "timestamp with time zone[]",
        '{"2026-11-20 00:00:00+00"}',
    ),
    Column(
        "durations",
        "[{'bucket': 3::SMALLINT, 'calls': 2::UBIGINT}]",
        "json",
        '[{"bucket":3,"calls":2}]',
    ),
    Column("outcomes", "MAP {'ok': 7::UBIGINT}", "json", '{"ok":7}'),
)

VALUES: dict[str, Any] = {
    "number": 1,
    "yes": True,
    "tiny": -8,
    "grpc_status": 200,
    "small": -300,
    "status": 65_535,
    "whole": 70_000,
    "attempts": 4_294_967_295,
    "big": 9_007_199_254_740_993,
    "bytes": Decimal(18_446_744_073_709_551_615),
    "huge": Decimal(-170141183460469231731687303715884105727),
    "single": 0.5,
    "share": 0.1,
    "confidence": Decimal("1.5"),
    "name": "Zürich ☃ 'quoted' \\ \"",
    "raw": b"\x00\xff\\a",
    "day": dt.date(2026, 11, 20),
    "clock": dt.time(23, 59, 59, 999_999),
    "local_time": dt.datetime(2026, 11, 20, 1, 2, 3, 456_789),  # noqa: DTZ001 - it has none
    "seen_time": dt.datetime(2026, 11, 20, 1, 2, 3, 456_789, dt.UTC),
    "took": dt.timedelta(days=32, hours=3, minutes=4, seconds=5.5),
    "id": uuid.UUID("9f8e7d6c-0000-4000-8000-00000000002a"),
    "labels": {"a": [1, None]},
    "seen_by": ["a", None, "b,c", '"', ""],
    "counts": [Decimal(1), None, Decimal(18_446_744_073_709_551_615)],
    "times": [dt.datetime(2026, 11, 20, tzinfo=dt.UTC)],
    "durations": [{"bucket": 3, "calls": 2}],
    "outcomes": {"ok": 7},
}
"""What its first row is to a client that knows all these types."""


class Served(NamedTuple):
    """Where it listens, and who may come: roles ``reader`` and ``brief``."""

    host: str
    port: int
    certificate: str
    """Of the authority that signed the server's."""
    engine: Engine
    config: ServeConfig

    def dsn(self, role: str = "reader", **more: str) -> str:
        """As libpq takes it."""
        parts = {"host": self.host, "port": self.port, "user": role, "dbname": "crosspane"}
        return psycopg.conninfo.make_conninfo(**(parts | {"password": PASSWORD} | more))

    def url(self, role: str = "reader") -> str:
        """As SQLAlchemy takes it, without the scheme."""
        return f"{role}:{PASSWORD.replace(' ', '%20')}@{self.host}:{self.port}/crosspane"

    def connect(self, role: str = "reader", **more: str) -> psycopg.Connection:
        """A connection of psycopg's, outside of any transaction."""
        return psycopg.connect(self.dsn(role, **more), autocommit=True)


def _lake(root: Path) -> None:
    with Lake(root) as lake:
        values = ", ".join(f"{one.value} AS {one.name}" for one in TYPES)
        nulls = ", ".join(f"CASE WHEN {one.name} IS NULL THEN {one.name} END" for one in TYPES)
        lake.connection.execute(
            f"CREATE VIEW v_types AS WITH one AS (SELECT {values})"
            f" FROM one UNION ALL SELECT {nulls} FROM one"
        )


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The session's server; nothing that a test does is seen by another."""
    folder = tmp_path_factory.mktemp("served")
    _lake(folder / "lake")
    password = folder / "password"
    password.write_text(PASSWORD + "\n")
    authority = Authority(folder, "authority")
    issued = authority.issue("server", "DNS:localhost,IP:127.0.0.1")
    roles = {
        "reader": RoleConfig(password_file=str(password), max_connections=64),
        "brief": RoleConfig(password_file=str(password), max_time_s=0.3, max_rows=100),
    }
    config = ServeConfig(
        roles=roles, tls_certificate=issued.cert, tls_key=issued.key, max_clients=100
    )
    engine = Engine(folder / "lake", config)
    server = Server(engine, config, "127.0.0.1:0")
    try:
        yield Served(*server.address, authority.cert, engine, config)
    finally:
        server.close()
        engine.close()
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("pgwire")]
    assert left == []
