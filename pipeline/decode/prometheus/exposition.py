"""
The exposition format: text of one scrape in, samples out; many scrapes at once.

    # TYPE envoy_cluster_membership_healthy gauge
    envoy_cluster_membership_healthy{envoy_cluster_name="inbound|8080||"} 1
    name{label="value",...} value [timestamp] [# exemplar]

Prometheus's text format 0.0.4 and OpenMetrics 1.0, which ends with ``# EOF``
and counts timestamps in seconds, not milliseconds. Every line is looked at:
one that is no sample, comment or blank is bad, and the others count. Which
samples are wanted is asked by name, before anything is cut out of them: of a
proxy's thousands, most are not.

Labels are cut out of distinct texts, by a pattern that tiles what the line's
pattern has accepted: nothing in a value can pass for a label.

Before: __init__.py. After: families.py (which samples are wanted).
Source: prometheus.io, "Exposition formats"; OpenMetrics 1.0.
"""

from collections.abc import Callable, Collection
from typing import Final, NamedTuple

import polars as pl

from pipeline.decode.addresses import distinct

_NAME: Final = "[a-zA-Z_:][a-zA-Z0-9_:]*"
_VALUE: Final = r'"(?:[^"\\]|\\.)*"'
_LABEL: Final = rf"[a-zA-Z_][a-zA-Z0-9_]*[ \t]*=[ \t]*{_VALUE}"
_LABELS: Final = rf"[ \t]*(?:{_LABEL}[ \t]*(?:,[ \t]*{_LABEL}[ \t]*)*(?:,[ \t]*)?)?"
_NUMBER: Final = (
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[iI]nf(?:inity)?|[nN]a[nN])"
)
_REST: Final = rf"({_NUMBER})(?:[ \t]+({_NUMBER}))?(?:[ \t]+#.*)?$"
_SAMPLE: Final = rf"^{_NAME}(?:[ \t]*\{{({_LABELS})\}}[ \t]*|[ \t]+){_REST}"
# Prometheus 3: a name that is quoted stands among the labels. None that is wanted is.
_QUOTED: Final = rf"^\{{[ \t]*{_VALUE}[ \t]*(?:,{_LABELS})?\}}[ \t]*{_REST}"
_BLANK: Final = " \t\r"
_OPEN_METRICS: Final = r"(?:^|\n)# EOF\s*$"
_LAST_TIME_S: Final = 9_223_372_036
"""Nanoseconds in 64 bits reach as far, either way from 1970."""


class Samples(NamedTuple):
    """
    What n texts held.

    Attributes
    ----------
    wanted
        ``text`` (Int32, which of the n), ``family``, ``labels`` (as written;
        null if none), ``value`` (Float64), ``time_ns`` (Int64, null if none).
    counts
        n rows: ``samples`` and ``bad`` (Int64), lines that are samples, and
        lines that are nothing.
    first_bad
        ``text``, ``line`` (Int32, from 1) and ``written`` of the first bad
        line of each text that has one.
    """

    wanted: pl.DataFrame
    counts: pl.DataFrame
    first_bad: pl.DataFrame


def parse(texts: pl.Series, wanted: Callable[[pl.Series], pl.Series]) -> Samples:
    """
    Samples of n texts, and counts of those that are not wanted.

    Parameters
    ----------
    texts
        n texts, none of them null.
    wanted
        From distinct names of samples to whether each is wanted (Boolean).
    """
    lines = (
        pl.DataFrame({"written": texts})
        .with_row_index("text")
        .select(pl.col("text").cast(pl.Int32), pl.col("written").str.split("\n"))
        .with_columns(line=pl.int_ranges(1, pl.col("written").list.len() + 1, dtype=pl.Int32))
        .explode("written", "line")
        .with_columns(pl.col("written").str.strip_chars(_BLANK))
        .filter(~pl.col("written").str.starts_with("#") & (pl.col("written") != ""))
        .with_columns(
            family=pl.col("written").str.extract(f"^({_NAME})"),
            good=pl.col("written").str.contains(_SAMPLE),
        )
    )
    if not lines["good"].all():
        quoted = pl.col("good") | pl.col("written").str.contains(_QUOTED)
        lines = lines.with_columns(good=quoted)
    counts = (
        pl.DataFrame({"text": pl.int_range(len(texts), dtype=pl.Int32, eager=True)})
        .join(
            lines.group_by("text").agg(
                samples=pl.col("good").sum().cast(pl.Int64),
                bad=(~pl.col("good")).sum().cast(pl.Int64),
            ),
            on="text",
            how="left",
            maintain_order="left",
        )
        .select(pl.col("samples", "bad").fill_null(0))
    )
    return Samples(
        _cut(texts, lines.filter(_chosen(lines["family"], wanted) & lines["good"])),
        counts,
        lines.filter(~pl.col("good"))
        .select("text", "line", "written")
        .unique("text", keep="first", maintain_order=True),
    )


def _chosen(families: pl.Series, wanted: Callable[[pl.Series], pl.Series]) -> pl.Series:
    names = distinct(families)
    return names.rows(wanted(names.values)).fill_null(value=False)


def _cut(texts: pl.Series, lines: pl.DataFrame) -> pl.DataFrame:
    """Parts of lines that are samples."""
    open_metrics = texts.str.contains(_OPEN_METRICS).gather(lines["text"])
    parts = pl.col("written").str.extract_groups(_SAMPLE).struct
    cut = lines.select(
        "text",
        "family",
        labels=parts[0],
        value=parts[1].cast(pl.Float64),
        time=parts[2].cast(pl.Float64) / pl.when(open_metrics).then(1).otherwise(1_000),
    )
    fits = pl.col("time").is_finite() & pl.col("time").abs().lt(_LAST_TIME_S)
    # To the microsecond, as tables have it: a float holds no more of a time of today.
    time_ns = pl.when(fits).then(pl.col("time") * 1e6).round().cast(pl.Int64) * 1_000
    return cut.with_columns(time_ns=time_ns).drop("time")


def label_columns(labels: pl.Series, keys: Collection[str]) -> pl.DataFrame:
    r"""
    Labels of n samples as columns.

    Parameters
    ----------
    labels
        n texts between the braces, as `parse` gives them; null: no labels.
    keys
        Which labels.

    Returns
    -------
    DataFrame
        n rows, a String column a key: null where the sample has no such label,
        or an empty one, which is the same. Of a label given twice, the first.

    >>> label_columns(pl.Series(['a="x,b=",c="\\"y\\""']), ["a", "b", "c"]).row(0)
    ('x,b=', None, '"y"')
    """
    texts = distinct(labels)
    found = (
        pl.DataFrame({"label": texts.values})
        .with_row_index("at")
        .with_columns(pl.col("label").str.extract_all(_LABEL))
        .explode("label")
        .select(
            "at",
            key=pl.col("label").str.extract("^([a-zA-Z0-9_]+)"),
            value=pl.col("label").str.extract(r'(?s)"(.*)"$'),
        )
        .filter(pl.col("key").is_in(list(keys)) & (pl.col("value") != ""))
    )
    if found["value"].str.contains("\\", literal=True).any():
        plain = pl.col("value").str.replace_many(["\\\\", '\\"', "\\n"], ["\\", '"', "\n"])
        found = found.with_columns(value=plain)
    parts = found.unique(["at", "key"], keep="first", maintain_order=True).partition_by(
        "key", as_dict=True, include_key=False
    )
    columns = []
    for key in keys:
        one = parts.get((key,))
        if one is None:
            columns.append(pl.repeat(None, len(labels), dtype=pl.String, eager=True))
            continue
        values = pl.repeat(None, len(texts.values), dtype=pl.String, eager=True)
        columns.append(texts.rows(values.scatter(one["at"], one["value"])))
    return pl.DataFrame(columns, schema=dict.fromkeys(keys, pl.String()))
