"""
100,000 rows of 4 columns over PostgreSQL's protocol, beside DuckDB's own ways to hand them out.

Client and server are this process, so CPU is both sides'. libpq alone, which
makes no Python object of a value, shows what the server and the wire cost.
"""

import tempfile
from pathlib import Path

import duckdb
import psycopg

from bench.measure import alternate, report
from pipeline.config import RoleConfig, ServeConfig
from pipeline.lake import Lake
from pipeline.serve.engine import Engine
from pipeline.serve.pgwire.server import Server

_ROWS = 100_000
_QUERY = f"""
    SELECT range AS id, 'cluster-east/shop/service-' || range % 1000 AS name,
        TIMESTAMPTZ '2026-11-20' + to_seconds(range) AS minute, range * 1.5::DOUBLE AS p95_ms
    FROM range({_ROWS})"""  # noqa: S608 - a number


def main() -> None:
    """Print rows a second of each way, and its CPU."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        Lake(root).close()
        config = ServeConfig(roles={"crosspane": RoleConfig()})
        engine = Engine(root, config)
        server = Server(engine, config, "127.0.0.1:0")
        try:
            _compare(*server.address)
        finally:
            server.close()
            engine.close()


def _compare(host: str, port: int) -> None:
    local = duckdb.connect(config={"threads": 2})
    where = f"host={host} port={port} user=crosspane dbname=crosspane"
    with psycopg.connect(where, autocommit=True) as client:
        binary = client.cursor(binary=True)
        results = alternate(
            {
                "psycopg, text": (_ROWS, lambda: client.execute(_QUERY).fetchall()),
                "psycopg, binary": (_ROWS, lambda: binary.execute(_QUERY).fetchall()),
                "libpq alone, text": (_ROWS, lambda: client.pgconn.exec_(_QUERY.encode())),
                "DuckDB, fetchall": (_ROWS, lambda: local.execute(_QUERY).fetchall()),
                "DuckDB, Arrow": (_ROWS, lambda: local.execute(_QUERY).to_arrow_table()),
            }
        )
    report("serve: rows of 4 columns (number, text, time, float)", results)
