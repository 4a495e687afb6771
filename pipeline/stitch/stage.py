"""
One minute of the lake: its edges and legs, to replace those there.

A conversation is of the minute in which its client began. A server may tell of it
`REACH` later, in the next minute, or by its clock before; so records around
the minute are read, and what belongs to a client of another minute is left to it: what
comes late makes that minute be done again too (`windows.REACH`). A gateway tells of a
connection when it ends: those that began up to `LONGEST` before are read.

Before: windows.py. After: schema/edges.py (the rows).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline import schema
from pipeline.lake import Commit, Lake
from pipeline.parquet import read_span
from pipeline.stitch import stitch
from pipeline.stitch.pairs import Span
from pipeline.stitch.records import NEEDED, places

if TYPE_CHECKING:  # which lists this stage
    from pipeline.windows import Window

REACH: Final = timedelta(seconds=15)
"""How long after its client's a server's record may begin (retries, clocks), and it is found."""
LONGEST: Final = timedelta(hours=1)
"""How long a gateway's connection may last, and it is found."""
_SHORT: Final = timedelta(minutes=1)
"""Of what began so long before it is not asked how long it lasted until it is read."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAMED: Final = "named_endpoints"
_MILLISECOND: Final = timedelta(milliseconds=1)
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
    requests = _of_network(lake, _requests(lake, first, last))
    if window.is_new and not requests.height:
        return None
    made = stitch(
        requests,
        lake.read(f"FROM gateways WHERE {_held(window)}"),
        lake.read(_flows(first, last)),
        _endpoints(lake, requests),
        Span(_number(first), _number(last)),
        asked=Span(_number(window.start), _number(window.end)),
    )
    frames = {schema.EDGES.name: made.edges, schema.LEGS.name: made.legs}
    own = f"window_start = {_time(window.start)}"
    return Commit(frames, cleared={} if window.is_new else dict.fromkeys(frames, own))


def stitched(
    lake: Lake, window: "Window", table: schema.Table, columns: Sequence[str]
) -> pl.DataFrame:
    """Rows of the minute: what this stage made of it, not in the lake yet; or the lake's."""
    made = window.made.get(table.name)
    if made is not None:
        own = pl.col("window_start") == pl.lit(window.start, schema.TIME)
        return made.lazy().filter(own).select(columns).collect()
    minute = f"window_start = {_time(window.start)}"
    return lake.read(f"FROM {table.name} SELECT {', '.join(columns)} WHERE {minute}")


def _requests(lake: Lake, first: datetime, last: datetime) -> pl.DataFrame:
    """Records that began in [first, last), and of gateways' connections that lasted until then."""
    own = read_span(lake, schema.REQUESTS, NEEDED, first, last)
    return pl.concat([own, lake.read(_lasting(first))], rechunk=True)


def _lasting(until: datetime) -> str:
    """
    SQL of gateways' connections that began before, and lasted until then.

    Those are seldom long: that they are is said of an hour's records by itself, so that files
    tell which of them have none.
    """
    lasted = f"least(greatest(coalesce(duration_ms, 0), 0), {2 * LONGEST / _MILLISECOND})"
    ended = f"start_time + to_microseconds(({lasted} * 1000)::BIGINT)"
    before = f"reporter = 'gateway' AND method IS NULL AND {ended} >= {_time(until)}"
    parts = (
        (until - _SHORT, until, before),
        (until - LONGEST, until - _SHORT, f"{before} AND duration_ms >= {_SHORT / _MILLISECOND}"),
    )
    return " UNION ALL ".join(
        f"SELECT {', '.join(NEEDED)} FROM requests"
        f" WHERE start_time >= {_time(since)} AND start_time < {_time(end)} AND {condition}"
        for since, end, condition in parts
    )


def _of_network(lake: Lake, requests: pl.DataFrame) -> pl.DataFrame:
    """With ``network`` and ``cluster`` of the vantage; a join in the lake copies every column."""
    vantages = lake.read("SELECT vantage_id, network, cluster FROM vantages").unique("vantage_id")
    at = places(requests["vantage_id"], vantages["vantage_id"])
    told = requests.with_columns(vantages.select(pl.col("network", "cluster").gather(at)))
    return told.filter(at.is_not_null())


def _endpoints(lake: Lake, requests: pl.DataFrame) -> pl.DataFrame:
    """Those that the records name."""
    ids = pl.concat([requests["src_endpoint_id"], requests["dst_endpoint_id"]]).unique()
    named = ids.drop_nulls().alias("endpoint_id").to_frame()
    lake.connection.register(_NAMED, named.to_arrow())
    try:
        return lake.read(
            "SELECT endpoint_id, any_value(kind) AS kind, any_value(cluster) AS cluster,"
            " any_value(identity) AS identity FROM endpoints"
            f" WHERE endpoint_id IN (FROM {_NAMED}) GROUP BY endpoint_id"
        )
    finally:
        lake.connection.unregister(_NAMED)


def _flows(first: datetime, last: datetime) -> str:
    return f"""SELECT {_SOURCE_NAT}, f.start_time, f.end_time, v.network
        FROM flows f JOIN vantages v USING (vantage_id)
        WHERE start_time >= {_time(first - LONGEST)} AND start_time < {_time(last)}
            AND end_time >= {_time(first)} AND post_nat_src_ip_lo IS NOT NULL"""


def _held(window: "Window") -> str:
    return (
        f"(valid_from IS NULL OR valid_from < {_time(window.end)})"
        f" AND (valid_to IS NULL OR valid_to > {_time(window.start)})"
    )


def _time(at: datetime) -> str:
    return f"TIMESTAMPTZ '{at.isoformat()}'"


def _number(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND
