"""A lake in memory: an inventory as a file says it, and rows given by hand."""

from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from pipeline import schema, views
from pipeline.inventory.file import load

_TABLES = {table.name: table for table in schema.TABLES}


def number(ip: str) -> tuple[int, int]:
    """High and low half of an IPv4 address."""
    a, b, c, d = map(int, ip.split("."))
    return 0, 0xFFFF << 32 | a << 24 | b << 16 | c << 8 | d


class SmallLake:
    """All tables and views, with nothing in them."""

    def __init__(self) -> None:
        self.connection = duckdb.connect(config={"threads": 2})
        self.connection.execute("SET TimeZone = 'UTC'")
        for table in schema.TABLES:
            self.connection.execute(schema.create(table))
        for macro in views.MACROS:
            self.connection.execute(macro)
        for view in views.VIEWS:
            self.connection.execute(schema.create_view(view))
        for function in views.FUNCTIONS:
            self.connection.execute(schema.create_function(function))

    def inventory(self, folder: Path, text: str) -> None:
        """Fill the tables of an inventory from a TOML file's text."""
        path = folder / "inventory.toml"
        path.write_text(text)
        for name, frame in load(path).tables.items():
            self.frame(name, frame)

    def add(self, table: str, *rows: dict[str, Any]) -> None:
        """Insert rows; columns they lack are null, ``{name}_ip`` is text of IPv4."""
        full = []
        for row in rows:
            out = dict(row)
            for key in [key for key in row if key.endswith("_ip")]:
                out[f"{key}_hi"], out[f"{key}_lo"] = number(out.pop(key))
            full.append(out)
        columns = _TABLES[table].schema
        known = {key: columns[key] for row in full for key in row}
        self.frame(table, pl.DataFrame(full, schema=known))

    def frame(self, table: str, frame: pl.DataFrame) -> None:
        """Insert a frame."""
        self.connection.register("incoming", frame.to_arrow())
        self.connection.execute(f"INSERT INTO {table} BY NAME FROM incoming")
        self.connection.unregister("incoming")

    def read(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        return self.connection.execute(query).fetchall()


@cache
def _small_lake() -> SmallLake:
    return SmallLake()


def emptied() -> SmallLake:
    """The one lake of this process, with nothing in it: views are made once."""
    lake = _small_lake()
    for name in _TABLES:
        lake.connection.execute(f"TRUNCATE {name}")
    return lake
