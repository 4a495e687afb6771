"""
One meaning per column, whatever the exporter: times, and who saw it.

Decoders already give addresses as two numbers (v4-mapped), sampling as a
factor beside the observed counts, and times as UTC nanoseconds. Left to do is
what needs the time of receipt:

- a flow without times gets the time of receipt as both;
- a clock that is wrong by more than `CLOCK_ERROR_NS` in either direction (an
  exporter set to 1970, or to next year) is not believed: the flow is moved, its
  duration kept, so that it ends when it was received;
- a flow that ends before it starts is an instant, at its end.

Before: decode/. After: enrich/.
"""

from typing import Final

import polars as pl

from pipeline import schema

CLOCK_ERROR_NS: Final = 24 * 3600 * 10**9
"""A flow is exported within its active timeout, minutes; a day is no delay but a wrong clock."""

_MAX_DURATION_NS: Final = 7 * 24 * 3600 * 10**9


def normalize_flows(flows: pl.DataFrame) -> pl.DataFrame:
    """
    Times of flows: nanoseconds as exported to instants that can be compared.

    Parameters
    ----------
    flows
        n rows of `schema.DECODED_FLOWS`.

    Returns
    -------
    DataFrame
        The same rows, same order: ``received_time``, ``start_time`` and
        ``end_time`` (UTC, microseconds) in place of the ``_ns`` columns.
    """
    received, start, end = pl.col("received_ns"), pl.col("start_ns"), pl.col("end_ns")
    ends = pl.coalesce(end, start, received)
    starts = pl.min_horizontal(pl.coalesce(start, ends), ends)
    believed = (ends - received).is_between(-CLOCK_ERROR_NS, CLOCK_ERROR_NS)
    duration = (ends - starts).clip(0, _MAX_DURATION_NS)
    return flows.with_columns(
        pl.when(believed).then(ends).otherwise(received).alias("end_ns"),
        duration.alias("duration_ns"),
    ).select(
        _time("received_ns").alias("received_time"),
        _time(pl.col("end_ns") - pl.col("duration_ns")).alias("start_time"),
        _time("end_ns").alias("end_time"),
        pl.exclude("received_ns", "start_ns", "end_ns", "duration_ns"),
    )


def normalize_requests(requests: pl.DataFrame) -> pl.DataFrame:
    """
    Times of requests and of probes: ``received_time`` and ``start_time`` for the ``_ns`` columns.

    A proxy's or agent's start time is kept as it is, however old: log files are read late.
    """
    return requests.select(
        _time("received_ns").alias("received_time"),
        _time("start_ns").alias("start_time"),
        pl.exclude("received_ns", "start_ns"),
    )


def normalize_verdicts(verdicts: pl.DataFrame) -> pl.DataFrame:
    """
    Times of verdicts: ``received_time`` and ``event_time`` for the ``_ns`` columns.

    A node's time is kept as it is, however old: exported files are read late.
    """
    return verdicts.select(
        _time("received_ns").alias("received_time"),
        _time("event_ns").alias("event_time"),
        pl.exclude("received_ns", "event_ns"),
    )


def normalize_scraped(rows: pl.DataFrame) -> pl.DataFrame:
    """Time of samples and of control planes' answers: that of the scrape, by our clock."""
    return rows.select(
        _time("received_ns").alias("received_time"),
        pl.exclude("received_ns"),
    )


def _time(nanoseconds: str | pl.Expr) -> pl.Expr:
    column = pl.col(nanoseconds) if isinstance(nanoseconds, str) else nanoseconds
    return (column // 1_000).cast(schema.TIME)


NORMALIZERS: Final = {
    "flows": normalize_flows,
    "requests": normalize_requests,
    "verdicts": normalize_verdicts,
    "proxy_samples": normalize_scraped,
    "control_plane": normalize_scraped,
    "probes": normalize_requests,
}
"""Table to what makes its times comparable. One line here adds one."""
