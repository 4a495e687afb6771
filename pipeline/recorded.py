"""
Requests that proxies recorded in a minute and around, read once for all stages of it.

A server's proxy may tell of a call `REACH` later than its client's, or by its clock before, so
records around the minute are read; and those of gateways' connections that lasted until then: a
gateway tells of a connection when it ends.

Before: parquet.py. After: stitch/stage.py, rollup.py.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from pipeline import schema
from pipeline.lake import Lake
from pipeline.memory import asked
from pipeline.parquet import read_span, together
from pipeline.schema.literals import literal, within
from pipeline.stitch.by_id import calls_by_id
from pipeline.stitch.keys import places
from pipeline.stitch.records import NEEDED
from pipeline.views.topology import MARGIN_S

if TYPE_CHECKING:  # which lists the stages
    from pipeline.windows import Window

REACH: Final = timedelta(seconds=MARGIN_S)
"""How long after its client's a server's record may begin (retries, clocks), and it is found."""
LONGEST: Final = timedelta(hours=1)
"""How long a gateway's connection may last, and it is found."""
_SHORT: Final = timedelta(minutes=1)
"""Of what began so long before it is not asked how long it lasted until it is read."""
_MILLISECOND: Final = timedelta(milliseconds=1)
_READ: Final = (*NEEDED, "authz", "policy", "upstream_failure")
_REQUESTS, _CALLS = "recorded", "calls_by_id"


class Recorded(NamedTuple):
    """
    Records of a minute, and what their ids tell.

    Attributes
    ----------
    requests
        Columns of `schema.REQUESTS`, enumerations as text; ``network`` and ``cluster`` of the
        vantage.
    calls
        As `by_id.calls_by_id` tells of them.
    """

    requests: pl.DataFrame
    calls: pl.DataFrame

    def aside(self) -> dict[str, pl.DataFrame]:
        """What a stage puts aside, so that the next one need not read it (`Commit.aside`)."""
        return {_REQUESTS: self.requests, _CALLS: self.calls}


def recorded(lake: Lake, window: "Window") -> Recorded:
    """Records of a minute: what a stage before put aside, else what the lake has."""
    if _REQUESTS in window.made:
        return Recorded(window.made[_REQUESTS], window.made[_CALLS])
    first, last = window.start - REACH, window.end + REACH
    own = read_span(lake, schema.REQUESTS, _READ, first, last)
    requests = _of_network(lake, together([own, lake.read(_lasting(first))]))
    return Recorded(requests, calls_by_id(requests))


def _lasting(until: datetime) -> str:
    """
    SQL of gateways' connections that began before, and lasted until then.

    Those are seldom long: that they are is said of an hour's records by itself, so that files
    tell which of them have none.
    """
    lasted = f"least(greatest(coalesce(duration_ms, 0), 0), {2 * LONGEST / _MILLISECOND})"
    ended = f"start_time + to_microseconds(({lasted} * 1000)::BIGINT)"
    before = f"reporter = 'gateway' AND method IS NULL AND {ended} >= {literal(until)}"
    parts = (
        (until - _SHORT, until, before),
        (until - LONGEST, until - _SHORT, f"{before} AND duration_ms >= {_SHORT / _MILLISECOND}"),
    )
    return " UNION ALL ".join(
        f"SELECT {', '.join(_READ)} FROM requests"
        f" WHERE {within('start_time', since, end)} AND {condition}"
        for since, end, condition in parts
    )


def _of_network(lake: Lake, requests: pl.DataFrame) -> pl.DataFrame:
    """With ``network`` and ``cluster`` of the vantage; a join in the lake copies every column."""
    vantages = asked(lake, "SELECT vantage_id, network, cluster FROM vantages", {})
    vantages = vantages.unique("vantage_id")
    at = places(requests["vantage_id"], vantages["vantage_id"])
    told = requests.with_columns(vantages.select(pl.col("network", "cluster").gather(at)))
    return told.filter(at.is_not_null())
