"""
Asks a server as Grafana's driver does: PostgreSQL's simple protocol, text, by libpq.

pgx's `PgConn.Exec` and libpq's `PQexec` send the same message, so what a server
answers here it answers to Grafana. Types come by OID, as the data source maps
them; what it does not know is text.
"""

from collections.abc import Callable
from typing import Any, Final

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import pq


class QueryFailedError(Exception):
    """What the server said."""


class Connection:
    """One connection, as of Grafana's pool."""

    def __init__(self, host: str, port: int, user: str) -> None:
        self._connection = psycopg.connect(
            host=host, port=port, user=user, dbname="crosspane", sslmode="disable", autocommit=True
        )
        self._pg = self._connection.pgconn

    def close(self) -> None:
        """Say goodbye."""
        self._connection.close()

    def ping(self, text: bytes) -> pq.ExecStatus:
        """Send what a driver's health check sends: a comment, or nothing but a semicolon."""
        return pq.ExecStatus(self._pg.exec_(text).status)

    def ask(self, sql: str) -> pa.Table:
        """Rows of a query, by their columns."""
        result = self._pg.exec_(sql.encode())
        if result.status != pq.ExecStatus.TUPLES_OK:
            raise QueryFailedError(f"{result.error_message.decode()}\n{sql}")
        assert (result.command_status or b"").startswith(b"SELECT"), "Grafana skips other answers"
        rows = range(result.ntuples)
        names, arrays = [], []
        for column in range(result.nfields):
            assert result.fformat(column) == pq.Format.TEXT
            name = (result.fname(column) or b"").decode()
            cells = [result.get_value(row, column) for row in rows]
            texts = pa.array(
                [None if cell is None else cell.decode() for cell in cells], pa.string()
            )
            names.append(name)
            arrays.append(_KINDS.get(result.ftype(column), _text)(texts))
        return pa.Table.from_arrays(arrays, names=names)


def _text(texts: pa.Array) -> pa.Array:
    return texts


def _as(kind: Any) -> Callable[[pa.Array], pa.Array]:
    return lambda texts: texts.cast(kind)


def _numbers(texts: pa.Array) -> pa.Array:
    """Go reads NaN and Infinity, as Arrow does."""
    return texts.cast(pa.float64())


def _truth(texts: pa.Array) -> pa.Array:
    return pc.equal(texts, "t")


def _instants(texts: pa.Array) -> pa.Array:
    """The server's time zone is UTC, or Grafana's would be another."""
    assert pc.all(pc.ends_with(texts, "+00")).as_py() is not False, texts
    return pc.replace_substring_regex(texts, r"\+00$", "").cast(pa.timestamp("us"))


def _documents(texts: pa.Array) -> pa.Array:
    return pa.StructArray.from_arrays([texts], names=["json"])


_OID: Final = {name: info.oid for name in (
    "int2", "int4", "int8", "float4", "float8", "numeric", "bool", "date", "timestamp",
    "timestamptz", "json", "jsonb",
) if (info := psycopg.adapters.types.get(name))}  # fmt: skip
_KINDS: Final[dict[int, Callable[[pa.Array], pa.Array]]] = {
    _OID["int2"]: _as(pa.int64()),
    _OID["int4"]: _as(pa.int64()),
    _OID["int8"]: _as(pa.int64()),
    _OID["float4"]: _numbers,
    _OID["float8"]: _numbers,
    _OID["numeric"]: _numbers,
    _OID["bool"]: _truth,
    _OID["date"]: _as(pa.date32()),
    _OID["timestamp"]: _as(pa.timestamp("us")),
    _OID["timestamptz"]: _instants,
    _OID["json"]: _documents,
    _OID["jsonb"]: _documents,
}
