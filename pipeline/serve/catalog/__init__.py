"""
What clients ask about databases, tables, columns and types, answered as PostgreSQL would.

    kinds       PostgreSQL's types
    functions   its functions and settings, as macros
    rows        rows of its catalog, of what a role sees
    relations   pg_catalog and information_schema, as tables
    clients     texts that no rule makes enough of
    rewrite     what a statement says in PostgreSQL's words, said in DuckDB's

DuckDB has a ``pg_catalog`` of its own, which lacks much of what clients ask,
and whose schema nothing can be added to. So there is another, in `SCHEMA`, and
a statement's ``pg_catalog.`` means that one. What
psql, drivers, SQLAlchemy, JDBC and Grafana ask runs by these rules; one text
of asyncpg's is known as such.

Before: roles.py. After: engine.py.
"""

from pipeline.serve.catalog.functions import SCHEMA, SETTINGS
from pipeline.serve.catalog.relations import install
from pipeline.serve.catalog.rewrite import SCHEMAS, rewrite

__all__ = ["SCHEMA", "SCHEMAS", "SETTINGS", "install", "rewrite"]
