"""
One minute of the lake: the health of everything that had calls in it, or had shortly before.

Cheap while all is well: the rollup of the minute is at hand, what was usual is worked
out once an hour (once in ten minutes while there is no hour), and calls are looked at
one by one only where some failed. What had calls in the hour before and has none now
is told, as unknown, for that hour.

Before: causes.py. After: schema/health.py (the rows), views/health.py.
"""

from collections.abc import Callable, MutableMapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

import polars as pl

from pipeline import schema
from pipeline.health import losses
from pipeline.health.causes import blamed, caused
from pipeline.health.certificates import with_refused
from pipeline.health.control_planes import control_planes
from pipeline.health.evidence import evidence_sql
from pipeline.health.figures import COLUMNS, ENTITY, entities, figures, with_lost
from pipeline.health.judge import judge
from pipeline.health.security import security
from pipeline.health.usual import BASES, Basis, best, buckets, usual
from pipeline.lake import Commit, Lake
from pipeline.memory import FACTS, asked
from pipeline.rollup import WRONG_CALLS, went_wrong, wrong_calls
from pipeline.schema.health import EDGE_KEY, HEALTH_1M, SECURITY_1M
from pipeline.schema.literals import literal, within
from pipeline.schema.rollups import EDGES_1M, LEGS_1M
from pipeline.views.failed import FAILED, TOLD, failed_sql, unseen_sql

if TYPE_CHECKING:  # which lists this stage
    from pipeline.windows import Window

BEFORE: Final = timedelta(hours=1)
"""How long what fell silent is told of."""
_EDGES: Final = "edges_of_minute"
_WRONG: Final = "wrong_of_minute"


def health(lake: Lake, window: "Window") -> Commit | None:
    """Rows of a minute, to replace those there; None if nothing was there in the hour before."""
    edges = _edges(lake, window)
    before = _before(lake, window)
    followed = control_planes(lake, window)
    wire = _wire(lake, window)
    if not edges.height and not before.height and not followed.height and wire is None:
        return None
    failed = with_refused(lake, window, _failed(lake, window, edges))
    judged = health_of(edges, before, failed, _usual(lake, window.start), wire).with_columns(
        evidence_sql=evidence_sql(window.end)
    )
    rows = pl.concat(
        [schema.complete(rows, HEALTH_1M.schema) for rows in (judged, followed)]
    ).with_columns(
        minute=pl.lit(window.start, schema.TIME),
        last_time=pl.coalesce("last_time", pl.lit(window.start, schema.TIME)),
    )
    made = {HEALTH_1M.name: rows, SECURITY_1M.name: security(lake, window, edges, failed)}
    minute = f"minute = {literal(window.start)}"
    return Commit(made, cleared={} if window.is_new else dict.fromkeys(made, minute))


def health_of(
    edges: pl.DataFrame,
    before: pl.DataFrame,
    failed: pl.DataFrame,
    usually: pl.DataFrame,
    wire: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """
    Judge a minute.

    Parameters
    ----------
    edges
        Rows of ``edges_1m`` of the minute: `figures.COLUMNS`.
    before
        Keys of those of the hour before, with ``first_minute, last_minute, minutes``: when
        they were seen, in how many minutes; ``idle_minutes``: from the last until now; and
        ``client_told, server_told``: whether the proxies of that end told of them.
    failed
        Rows of `failed.failed_sql`.
    usually
        Rows of `usual.usual`.
    wire
        Rows of `losses.judge_losses`; None where nobody tells of losses.
    """
    span = pl.col("last_minute").max() - pl.col("first_minute").min()
    seen = (
        entities(before.with_columns(silent=_silent(edges)))
        .group_by(ENTITY)
        .agg(
            pl.col("cluster", "network").drop_nulls().min().name.suffix("_before"),
            pl.col("silent").drop_nulls().min(),
            pl.col("minutes").max().alias("minutes_seen"),
            (span.dt.total_minutes() + 1).alias("minutes_span"),
            pl.col("last_minute").max(),
            pl.col("idle_minutes").min(),
        )
    )
    told = with_lost(figures(edges).drop("bucket_start"), failed)
    rows = (
        told.join(seen, on=ENTITY, how="full", coalesce=True)
        .with_columns(
            pl.col("requests", "errors", "denied", "timed").fill_null(0),
            cluster=pl.coalesce("cluster", "cluster_before"),
            network=pl.coalesce("network", "network_before"),
            silent=pl.when(pl.col("requests").is_null()).then("silent"),
            idle_minutes=pl.when(pl.col("requests").is_null()).then("idle_minutes"),
            last_time=pl.when(pl.col("requests").is_null()).then("last_minute"),
        )
        .join(usually, on=ENTITY, how="left")
        .join(blamed(failed), on=ENTITY, how="left")
        .with_columns(pl.col("flags").fill_null([]))
    )
    judged = judge(rows)
    if wire is None:
        judged = judged.with_columns(is_lossy=pl.lit(value=False))
    else:
        judged = losses.with_losses(judged, wire)
    return caused(judged, edges).sort(ENTITY)


def _silent(edges: pl.DataFrame) -> pl.Expr:
    """Of edges there were before, the cluster that would tell of them and tells of nothing now."""
    ends = {
        "client": edges.filter(pl.col("durations").is_not_null()),
        "server": edges.filter(pl.col("server_timed") > 0),
    }
    heard = [
        pl.col(f"{end}_told") & pl.col(f"{end}_cluster").is_in(rows[f"{end}_cluster"].implode())
        for end, rows in ends.items()
    ]
    teller = pl.when("client_told").then("client_cluster").otherwise("server_cluster")
    return pl.when(~pl.any_horizontal(heard).fill_null(value=False)).then(teller)


def _edges(lake: Lake, window: "Window") -> pl.DataFrame:
    """Of the stage before, which are not in the lake yet; or of the lake."""
    made = window.made.get(EDGES_1M.name)
    if made is not None:
        return made.select(COLUMNS)
    minute = f"bucket_start = {literal(window.start)}"
    return lake.read(f"FROM {EDGES_1M.name} SELECT {', '.join(COLUMNS)} WHERE {minute}")


def _before(lake: Lake, window: "Window") -> pl.DataFrame:
    return lake.read(
        f"""FROM {EDGES_1M.name} SELECT {", ".join(EDGE_KEY)}, min(bucket_start) AS first_minute,
            max(bucket_start) AS last_minute, count(DISTINCT bucket_start) AS minutes,
            date_diff('minute', max(bucket_start), {literal(window.start)}) AS idle_minutes,
            bool_or(durations IS NOT NULL) AS client_told,
            coalesce(bool_or(server_timed > 0), false) AS server_told
        WHERE {within("bucket_start", window.start - BEFORE, window.start)} GROUP BY ALL"""
    )


def _failed(lake: Lake, window: "Window", edges: pl.DataFrame) -> pl.DataFrame:
    """Calls that failed, if there are any."""
    if not went_wrong(edges):
        return FAILED.to_frame()
    wrong = window.made.get(WRONG_CALLS)
    if wrong is None:
        wrong = wrong_calls(lake, window)
    frames, told = {_WRONG: wrong.drop("unseen")}, f"FROM {_WRONG}"
    if not wrong["unseen"].any():
        return asked(lake, failed_sql(told), frames)
    before = window.start - BEFORE
    query = unseen_sql(window.start, window.end, told, _EDGES, FACTS, before=before)
    return asked(lake, query, frames | {_EDGES: edges.select(TOLD)})


_KEPT: Final[MutableMapping[Lake, dict[str, tuple[datetime, pl.DataFrame]]]] = WeakKeyDictionary()
"""Of each lake, rollup and basis what was usual, and the newest bucket it is of."""


def _usual(lake: Lake, minute: datetime) -> pl.DataFrame:
    """What was usual of calls."""

    def work(basis: Basis, times: str) -> pl.DataFrame:
        names = ", ".join(COLUMNS)
        edges = lake.read(f"FROM {basis.table} SELECT {names} WHERE bucket_start IN ({times})")
        return usual(basis, edges)

    return best(_of_bases(lake, minute, "calls", work))


def _of_bases(
    lake: Lake, minute: datetime, of: str, work: Callable[[Basis, str], pl.DataFrame]
) -> list[pl.DataFrame]:
    """What was usual by each basis, of the lake's own rollups: anew when a bucket is over."""
    kept = _KEPT.setdefault(lake, {})
    told = []
    for basis in BASES:
        begins, name = buckets(basis, minute), f"{of} {basis.name}"
        if name not in kept or kept[name][0] != begins[0]:
            kept[name] = (begins[0], work(basis, ", ".join(map(literal, begins))))
        told.append(kept[name][1])
    return told


def _wire(lake: Lake, window: "Window") -> pl.DataFrame | None:
    """How entities are by their packets alone; None where nobody tells of losses."""
    made = window.made.get(LEGS_1M.name)
    names = ", ".join(losses.COLUMNS)
    if made is None:
        minute = f"bucket_start = {literal(window.start)}"
        made = lake.read(f"FROM {LEGS_1M.name} SELECT {names} WHERE {minute}")
    legs = made.filter(losses.tells())
    if not legs.height:
        return None

    def work(basis: Basis, times: str) -> pl.DataFrame:
        table = basis.table.replace("edges", "legs")
        rows = f"FROM {table} SELECT {names} WHERE bucket_start IN ({times})"
        return losses.usual_losses(basis, lake.read(rows).filter(losses.tells()))

    usually = losses.usually(_of_bases(lake, window.start, "losses", work))
    legs = legs.select(losses.COLUMNS)
    return losses.with_causes(losses.judge_losses(losses.losses(legs), usually), legs)
