"""
Calls of a minute that failed or were denied, and whom each blames.

`v_calls` finds out whose fault a call is by looking at every call there is; here those that
went wrong are kept when the rollup adds up all, and of what went well, if one of them was not
seen at its server, no more is read than when it was sent to which gateway. Of a minute with
more than `MOST` such calls, as many are looked at: the same ones each time.

Before: topology.py, outages.py. After: pipeline/health/causes.py.
"""

from datetime import datetime
from typing import Final

import polars as pl

from pipeline.schema.health import EDGE_KEY as KEY
from pipeline.schema.literals import within
from pipeline.schema.model import TEXT
from pipeline.views import blame, outages
from pipeline.views.topology import WAY, met_sql, named_sql

MOST: Final = 20_000

TOLD: Final = ("bucket_start", "client_cluster", "service", "gateway")
FAILED: Final = pl.Schema(
    dict.fromkeys(KEY, TEXT)
    | {"error": pl.Boolean(), "denied": pl.Boolean(), "policy": TEXT}
    | {"response_flags": pl.List(pl.String), "server_seen": pl.Boolean()}
    | dict.fromkeys(("blame", "blamed_entity", "blame_reason"), TEXT)
)
"""Columns of `failed_sql`."""
_BLAMED_BY: Final = (
    *("start_time", *KEY, "error", "denied", "failed", "policy", "status", "response_flags"),
    *("server_seen", "client_flags", "server_flags", "upstream_failure"),
)
"""What of a call tells whom it blames, and is told with it."""
_PACKED: Final = ", ".join(
    f"'{name}': {name}" for name in (*_BLAMED_BY, "request_id") if name not in KEY
)
WRONG: Final = {"wrong": f"list({{{_PACKED}}}) FILTER (denied OR coalesce(failed, true))"}
"""What `wrong_sql` asks of calls of one way that were added up: an aggregate, by its name."""


def wrong_sql(ways: str) -> str:
    """
    SQL of calls of which something went wrong: `_BLAMED_BY`, ``unseen``.

    A call is unseen if it failed and no server's proxy logged it.

    Parameters
    ----------
    ways
        Relation of `rollups.ways_sql`, with `WRONG`.
    """
    return f"""WITH wrong AS (
            SELECT {WAY}, unnest(one) FROM (SELECT {WAY}, unnest(wrong) AS one FROM {ways})
        ), found AS MATERIALIZED (
            FROM wrong QUALIFY row_number() OVER (
                PARTITION BY request_id IS NULL ORDER BY hash(request_id), start_time) <= {MOST}
        ), met AS ({met_sql("found")})
        SELECT {", ".join(_BLAMED_BY)}, failed AND NOT server_seen AS unseen
        FROM ({named_sql("FROM found", "met")})"""


def failed_sql(wrong: str) -> str:
    """
    SQL of the failed and denied ones of calls, and whom each blames: `FAILED`.

    Parameters
    ----------
    wrong
        SQL of `wrong_sql`, none of them unseen: each tells by itself.
    """
    return _failed(outages.blamed_by_itself_sql(wrong))


def unseen_sql(
    start: datetime, end: datetime, wrong: str, edges: str, facts: str = "", *, before: datetime
) -> str:
    """
    SQL of the failed and denied calls that began in [start, end), as of `failed_sql`.

    Parameters
    ----------
    wrong
        SQL of `wrong_sql`: where one is unseen, others tell whether gateways worked.
    edges
        Relation of the rollup's rows of these times: `TOLD`.
    facts
        What to write before the names of tables that are not copied: ``lake.crosspane.``.
    before
        From when on earlier rows tell which gateway a service is usually reached through.
    """
    begun = within("start_time", start, end)
    known = f"""(SELECT {", ".join(TOLD)} FROM {facts}edges_1m
        WHERE {within("bucket_start", before, start)}
        UNION ALL BY NAME FROM {edges})"""
    answered = f"""SELECT g.name AS path_gateway, r.service, start_time,
            false AS lost, false AS refused, true AS came
        FROM {facts}requests r JOIN vantages v USING (vantage_id) JOIN v_gateways g
            ON g.network = v.network AND g.gateway_ip_hi = upstream_remote_ip_hi
            AND g.gateway_ip_lo = upstream_remote_ip_lo AND g.port = upstream_remote_port
        WHERE {begun} AND reporter = 'source'
            AND is_health_check IS NOT TRUE AND coalesce(log_type, 'end') = 'end'
            AND status < 500 AND NOT coalesce({blame.FAILED}, true)"""
    unaware = outages.unaware_sql(f"(FROM {facts}requests WHERE {begun})")
    return _failed(outages.blamed_sql(wrong, known, "bucket_start", unaware, answered))


def _failed(blamed: str) -> str:
    return f"SELECT {', '.join(FAILED)} FROM ({blamed}) WHERE error OR denied"
