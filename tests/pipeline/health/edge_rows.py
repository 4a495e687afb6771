"""Rows of rollups, made by hand: of two clusters, what calls and how it went."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl

from pipeline.health.figures import COLUMNS
from pipeline.health.stage import health_of
from pipeline.health.usual import BASES, best, usual
from pipeline.schema.health import EDGE_KEY
from pipeline.schema.rollups import EDGES_1M
from pipeline.views.failed import FAILED

NOON: Final = datetime(2026, 11, 26, 12, tzinfo=UTC)
TWO_MS, TEN_MS, THIRTY_MS, NINETY_MS = 12, 40, 60, 78
"""Buckets that are told as 1.95, 9.99, 32.0 and 91.4 milliseconds."""
_PLACES: Final = {"east": ("aws", "us-east-1", "net-east"), "west": ("gcp", "us-west1", "net-west")}
_SCHEMA: Final = pl.Schema({name: EDGES_1M.schema[name] for name in COLUMNS})


def edge(
    client: str | None, server: str, requests: int, bucket: int = TWO_MS, **more: Any
) -> dict[str, Any]:
    """
    Calls of one minute that took as long as a bucket says, at the client's proxy.

    Parameters
    ----------
    client, server
        Workloads, cluster first.
    """
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | {"bucket_start": NOON, "requests": requests}
    for end, entity in (("client", client), ("server", server)):
        if entity is not None:
            cluster = entity.split("/")[0]
            row |= {f"{end}_entity": entity, f"{end}_cluster": cluster}
            names = (f"{end}_{name}" for name in ("provider", "region", "network"))
            row |= dict(zip(names, _PLACES[cluster], strict=True))
    row |= {"service": server.rpartition("/")[2], "errors": 0, "denied": 0, "unserved_errors": 0}
    return row | {"durations": [{"bucket": bucket, "calls": requests}]} | more


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    """The rows, as the lake has them."""
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")


def before(
    *rows: dict[str, Any], minutes: int = 60, idle: int = 1, server_told: bool = False
) -> pl.DataFrame:
    """The same pairs as they were in the hour before: in so many minutes, the last ``idle`` ago."""
    last = NOON - timedelta(minutes=idle)
    return (
        frame(*rows)
        .select(EDGE_KEY)
        .with_columns(
            first_minute=pl.lit(last - timedelta(minutes=minutes - 1)),
            last_minute=pl.lit(last),
            minutes=pl.lit(minutes),
            idle_minutes=pl.lit(idle),
            client_told=pl.lit(not server_told),
            server_told=pl.lit(server_told),
        )
    )


def failed(*rows: dict[str, Any]) -> pl.DataFrame:
    """Calls that failed; of an edge's row the key, and who is blamed."""
    base = {"error": True, "denied": False, "response_flags": [], "server_seen": True}
    full = [{name: (base | row).get(name) for name in FAILED} for row in rows]
    return pl.DataFrame(full, schema=FAILED, orient="row")


def history(**edges: list[dict[str, Any]]) -> pl.DataFrame:
    """What was usual, of rows of each basis' buckets."""
    return best([usual(basis, frame(*edges.get(basis.name, []))) for basis in BASES])


def judged(
    *edges: dict[str, Any],
    earlier: pl.DataFrame | None = None,
    bad: pl.DataFrame | None = None,
    usually: pl.DataFrame | None = None,
) -> dict[tuple[str, str], dict[str, Any]]:
    """Each entity, as it is judged."""
    rows = health_of(
        frame(*edges),
        before() if earlier is None else earlier,
        failed() if bad is None else bad,
        history() if usually is None else usually,
    )
    return {(row["entity_kind"], row["entity"]): row for row in rows.iter_rows(named=True)}
