"""
Arrow tables to Grafana's frames, by the rules of Grafana's PostgreSQL data source.

    frame    columns and their kinds; a table is this much
    series   time series: labels, long to wide, gaps filled
    panels   what node graphs and maps ask of frames

Where Grafana would show an error instead of a panel, `FrameError` says it in
Grafana's words. Columns stay columns all the way: a frame is made of arrays.

Before: expand.py and the SQL server. After: pipeline/serve/web.py; tests.
"""

from datetime import datetime

import pyarrow as pa

from dashboards.expand import Fill
from dashboards.frames.frame import Field, Frame, FrameError, fields_of
from dashboards.frames.panels import check_places, node_graph
from dashboards.frames.series import resample, series

__all__ = ["Field", "Frame", "FrameError", "check_places", "frame_of", "node_graph"]


def frame_of(
    table: pa.Table,
    *,
    ref_id: str = "A",
    time_series: bool,
    fill: Fill | None = None,
    from_time: datetime | None = None,
    to_time: datetime | None = None,
) -> Frame:
    """
    Make a frame of an answer.

    Parameters
    ----------
    time_series
        The target's format; else ``table``.
    fill, from_time, to_time
        How gaps are filled, over which time (`expand.Expanded.fill`); of time series only.

    Raises
    ------
    FrameError
        As Grafana: no time column, a null time, times that go back, a value
        that is no number; more than `series.CELLS_MAX` cells.
    """
    if table.num_rows == 0:
        return Frame(ref_id, ())
    fields = fields_of(table, time_end=not time_series)
    if not time_series:
        return Frame(ref_id, tuple(fields))
    made = series(fields, fill)
    if fill and from_time and to_time:
        made = resample(made, fill, from_time, to_time)
    return Frame(ref_id, tuple(made))
