"""
Calls of a minute that failed or were denied, and whom each blames.

`v_calls` finds out whose fault a call is by looking at every call there is; here only
those that went wrong are put together, and of what went well no more is read than when
it was sent to which gateway. Of a minute with more than `MOST` such calls, as many
are looked at: the same ones each time.

Before: topology.py, outages.py. After: pipeline/health/causes.py.
"""

from datetime import datetime
from typing import Final

import polars as pl

from pipeline.schema.health import EDGE_KEY as KEY
from pipeline.schema.model import TEXT
from pipeline.views import blame, outages
from pipeline.views.topology import MARGIN, READ, calls_sql

MOST: Final = 20_000

_WRONG: Final = f"(authz = 'denied' OR coalesce({blame.FAILED}, true))"

TOLD: Final = ("bucket_start", "client_cluster", "service", "gateway")
FAILED: Final = pl.Schema(
    dict.fromkeys(KEY, TEXT)
    | {"error": pl.Boolean(), "denied": pl.Boolean(), "policy": TEXT}
    | {"response_flags": pl.List(pl.String), "server_seen": pl.Boolean()}
    | dict.fromkeys(("blame", "blamed_entity", "blame_reason"), TEXT)
)
"""Columns of `failed_sql`."""


def failed_sql(
    start: datetime,
    end: datetime,
    edges: str,
    before: datetime,
    facts: str = "",
    *,
    twice: bool = True,
) -> str:
    """
    SQL of the failed and denied calls that began in [start, end).

    Parameters
    ----------
    edges
        Relation of the rollup's rows of these times: `TOLD`.
    facts
        What to write before the names of tables that are not copied: ``lake.crosspane.``.
    before
        From when on earlier rows tell which gateway a service is usually reached through.
    twice
        As of `calls_sql`.
    """
    first, last = (f"TIMESTAMPTZ '{time.isoformat()}'" for time in (start, end))
    around = f"start_time >= {first} - {MARGIN} AND start_time < {last} + {MARGIN}"
    known = f"""(SELECT {", ".join(TOLD)} FROM {facts}edges_1m
        WHERE bucket_start >= TIMESTAMPTZ '{before.isoformat()}' AND bucket_start < {first}
        UNION ALL BY NAME FROM {edges})"""
    requests = f"""(
        WITH around AS MATERIALIZED (
            SELECT {READ} FROM {facts}requests WHERE {around}), wrong AS (
            SELECT DISTINCT request_id FROM around WHERE {_WRONG} AND request_id IS NOT NULL
            ORDER BY hash(request_id) LIMIT {MOST}
        ), unnamed AS (
            SELECT * FROM around WHERE request_id IS NULL AND {_WRONG} ORDER BY start_time LIMIT {MOST}
        )
        SELECT around.* FROM around SEMI JOIN wrong USING (request_id)
        UNION ALL FROM unnamed)"""
    answered = f"""SELECT g.name AS path_gateway, r.service, start_time,
            false AS lost, false AS refused, true AS came
        FROM {facts}requests r JOIN vantages v USING (vantage_id) JOIN v_gateways g
            ON g.network = v.network AND g.gateway_ip_hi = upstream_remote_ip_hi
            AND g.gateway_ip_lo = upstream_remote_ip_lo AND g.port = upstream_remote_port
        WHERE start_time >= {first} AND start_time < {last} AND reporter = 'source'
            AND is_health_check IS NOT TRUE AND coalesce(log_type, 'end') = 'end'
            AND status < 500 AND NOT coalesce({blame.FAILED}, true)"""
    calls = calls_sql(requests, f">= {first} AND start_time < {last}", twice=twice)
    unaware = outages.unaware_sql(
        f"(FROM {facts}requests WHERE start_time >= {first} AND start_time < {last})"
    )
    blamed = outages.blamed_sql(calls, known, "bucket_start", unaware, answered)
    return f"SELECT {', '.join(FAILED)} FROM ({blamed}) WHERE error OR denied"
