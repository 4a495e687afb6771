"""
One minute of the lake: its edges and legs, to replace those there.

A conversation is of the minute in which its client began. Of the records around the minute,
what belongs to a client of another minute is left to it: what comes late makes that minute be
done again too (`windows.REACH`).

Before: recorded.py. After: schema/edges.py (the rows).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline import schema
from pipeline.lake import Commit, Lake
from pipeline.memory import FACTS, asked
from pipeline.recorded import LONGEST, REACH, recorded
from pipeline.schema.literals import literal, within
from pipeline.stitch import stitch
from pipeline.stitch.pairs import Span

if TYPE_CHECKING:  # which lists this stage
    from pipeline.windows import Window

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAMED: Final = "named_endpoints"
_MICROSECOND: Final = timedelta(microseconds=1)
_SOURCE_NAT: Final = ", ".join(
    f"f.{end}_{part}"
    for end in ("src", "dst", "post_nat_src")
    for part in ("ip_hi", "ip_lo", "port")
)


def stitch_minute(lake: Lake, window: "Window") -> Commit | None:
    """
    Rows of a minute; None if there are none, and it was never worked out before.

    Parameters
    ----------
    window
        One minute.
    """
    first, last = window.start - REACH, window.end + REACH
    told = recorded(lake, window)
    requests = told.requests
    if window.is_new and not requests.height:
        return None
    made = stitch(
        requests,
        asked(lake, f"FROM gateways WHERE {_held(window)}", {}),
        asked(lake, _flows(first, last), {}),
        _endpoints(lake, requests),
        Span(_number(first), _number(last)),
        asked=Span(_number(window.start), _number(window.end)),
        calls=told.calls,
    )
    frames = {schema.EDGES.name: made.edges, schema.LEGS.name: made.legs}
    own = f"window_start = {literal(window.start)}"
    cleared = {} if window.is_new else dict.fromkeys(frames, own)
    return Commit(frames, cleared=cleared, aside=told.aside())


def stitched(
    lake: Lake, window: "Window", table: schema.Table, columns: Sequence[str]
) -> pl.DataFrame:
    """Rows of the minute: what this stage made of it, not in the lake yet; or the lake's."""
    made = window.made.get(table.name)
    if made is not None:
        own = pl.col("window_start") == pl.lit(window.start, schema.TIME)
        return made.lazy().filter(own).select(columns).collect()
    minute = f"window_start = {literal(window.start)}"
    return lake.read(f"FROM {table.name} SELECT {', '.join(columns)} WHERE {minute}")


def _endpoints(lake: Lake, requests: pl.DataFrame) -> pl.DataFrame:
    """Those that the records name."""
    ids = pl.concat([requests["src_endpoint_id"], requests["dst_endpoint_id"]]).unique()
    query = f"""SELECT endpoint_id, any_value(kind) AS kind, any_value(cluster) AS cluster,
            any_value(identity) AS identity
        FROM endpoints SEMI JOIN {_NAMED} USING (endpoint_id) GROUP BY endpoint_id"""
    return asked(lake, query, {_NAMED: ids.drop_nulls().alias("endpoint_id").to_frame()})


def _flows(first: datetime, last: datetime) -> str:
    return f"""SELECT {_SOURCE_NAT}, f.start_time, f.end_time, v.network
        FROM {FACTS}flows f JOIN vantages v USING (vantage_id)
        WHERE {within("start_time", first - LONGEST, last)}
            AND end_time >= {literal(first)} AND post_nat_src_ip_lo IS NOT NULL"""


def _held(window: "Window") -> str:
    return (
        f"(valid_from IS NULL OR valid_from < {literal(window.end)})"
        f" AND (valid_to IS NULL OR valid_to > {literal(window.start)})"
    )


def _number(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND
