"""Expositions to samples: literal ones, any bytes, and prometheus_client as the other implementation."""

import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from pipeline.decode.prometheus.exposition import label_columns, parse


def everything(names: pl.Series) -> pl.Series:
    return names.is_not_null()


def samples(text: str) -> list[tuple[object, ...]]:
    """Family, labels as written, value, time in nanoseconds."""
    found = parse(pl.Series([text]), everything)
    assert found.counts["bad"].to_list() == [0]
    return found.wanted.select("family", "labels", "value", "time_ns").rows()


@pytest.mark.parametrize(
    ("line", "sample"),
    [
        ("up 1", ("up", None, 1.0, None)),
        ("up{} 0", ("up", "", 0.0, None)),
        ("up\t{ } \t1e3  ", ("up", " ", 1000.0, None)),
        ("up 1 1395066363000", ("up", None, 1.0, 1_395_066_363_000_000_000)),
        ("up 1 -3982045", ("up", None, 1.0, -3_982_045_000_000)),
        ('a:b_c9{x="}",y="{# "} .5', ("a:b_c9", 'x="}",y="{# "', 0.5, None)),
        ('up{a="b",} 1', ("up", 'a="b",', 1.0, None)),
        ('up{a="b"}1', ("up", 'a="b"', 1.0, None)),
        ("up +Inf", ("up", None, math.inf, None)),
        ("up -Inf", ("up", None, -math.inf, None)),
        ("up 18446744073709551614", ("up", None, 1.8446744073709552e19, None)),
    ],
)
def test_lines_as_the_format_allows_them(line: str, sample: tuple[object, ...]):
    """Blanks, empty labels, a comma at the end, braces in values, every form of a number."""
    assert samples(line) == [sample]


def test_nan_is_a_value():
    """What it means is not the parser's business."""
    ((_, _, value, _),) = samples("up NaN")
    assert isinstance(value, float)
    assert math.isnan(value)


def test_open_metrics_counts_seconds_and_ends_with_eof():
    """Timestamps in seconds, with a fraction; exemplars are left out; a line after a blank counts."""
    text = (
        "# TYPE foo histogram\n"
        'foo_bucket{le="+Inf"} 17 1520879607.789 # {trace_id="a b"} 0.67 1520879607.7\n'
        "foo_count 17 # {} 1\n\n"
        "foo_created 1520430000.123\n"
        "# EOF\n"
    )
    assert samples(text) == [
        ("foo_bucket", 'le="+Inf"', 17.0, 1_520_879_607_789_000_000),
        ("foo_count", None, 17.0, None),
        ("foo_created", None, 1520430000.123, None),
    ]


def test_texts_are_kept_apart():
    """What one text is says nothing of another: n texts, n counts, each sample with its text."""
    found = parse(pl.Series(["a 1 2\n# EOF", "# a comment\n", "b 2 2\nnonsense\nc 3"]), everything)
    assert found.wanted.select("text", "family", "time_ns").rows() == [
        (0, "a", 2_000_000_000),
        (2, "b", 2_000_000),
        (2, "c", None),
    ]
    assert found.counts.rows() == [(1, 0), (0, 0), (2, 1)]
    assert found.first_bad.rows() == [(2, 2, "nonsense")]


def test_only_wanted_names_are_cut_out_and_all_are_counted():
    """Names are asked once each, however many samples have them."""
    asked: list[str] = []

    def wanted(names: pl.Series) -> pl.Series:
        asked.extend(names.to_list())
        return names == "b"

    found = parse(pl.Series(['a 1\nb{x="y"} 2\na 3', "b 4"]), wanted)
    assert asked == ["a", "b"]
    assert found.wanted["value"].to_list() == [2.0, 4.0]
    assert found.counts["samples"].to_list() == [3, 1]


@pytest.mark.parametrize(
    "line",
    [
        "up",
        'up{a="b"}',
        "up one",
        "up 0x10",
        "up 1_000",
        "up 1 2 3",
        "up{a=b} 1",
        'up{a="b} 1',
        'up{a="b" c="d"} 1',
        'up{,a="b"} 1',
        'up{1a="b"} 1',
        "1up 1",
        "-up 1",
        "<html>",
        '{"a": 1}',
    ],
)
def test_what_is_no_sample_is_bad_and_told(line: str):
    """The line is given as it was, and its number; the others count."""
    found = parse(pl.Series([f"a 1\n{line}\nb 2"]), everything)
    assert found.counts.rows() == [(2, 1)]
    assert found.first_bad.rows() == [(0, 2, line)]


def test_names_in_quotes_are_understood_and_not_wanted():
    """Prometheus 3 may be told names of any characters; no family of ours has such a name."""
    found = parse(pl.Series(['{"my.name",a="b"} 1\n{"other"} 2']), everything)
    assert found.counts.rows() == [(2, 0)]
    assert found.wanted.height == 0


def test_labels_as_columns():
    """Escapes are undone in one pass; an empty label is none; of two the first; order is any."""
    labels = pl.Series(
        [
            r'path="C:\\new\\t",quote="\"",line="a\nb"',
            'quote="",path="x"',
            None,
            'path="one",path="two"',
            'x="path=\\"no\\"",path = "yes"',
        ]
    )
    assert label_columns(labels, ["path", "quote", "line"]).rows() == [
        ("C:\\new\\t", '"', "a\nb"),
        ("x", None, None),
        (None, None, None),
        ("one", None, None),
        ("yes", None, None),
    ]


NAMES = st.from_regex(r"\A[a-zA-Z_:][a-zA-Z0-9_:]{0,12}\Z")
# "__" begins names that Prometheus keeps to itself: the peer refuses them, see below for ours.
LABEL_NAMES = st.from_regex(r"\A(?!__)[a-zA-Z_][a-zA-Z0-9_]{0,8}\Z")
TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]) | st.just("\n"), max_size=12
)
VALUES = st.floats(allow_nan=True, allow_infinity=True)


def escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def written(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            NAMES,
            st.dictionaries(LABEL_NAMES, TEXTS, max_size=4),
            VALUES,
            st.none() | st.integers(-(10**12), 10**12),
        ),
        max_size=8,
    )
)
def test_the_same_samples_as_prometheus_client(given_samples):
    """Whatever names, labels and values are written, both readers read the same."""
    text = "".join(
        name
        + "{" + ",".join(f'{key}="{escaped(one)}"' for key, one in labels.items()) + "} "
        + written(value) + ("" if time is None else f" {time}") + "\n"
        for name, labels, value, time in given_samples
    )  # fmt: skip
    theirs = [
        (sample.name, sorted(sample.labels.items()), repr(float(sample.value)),
         None if sample.timestamp is None else round(float(sample.timestamp) * 1e6) * 1_000)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]  # fmt: skip
    found = parse(pl.Series([text]), everything)
    assert found.counts.rows() == [(len(given_samples), 0)]
    keys = sorted({key for _, labels, _, _ in given_samples for key in labels})
    columns = label_columns(found.wanted["labels"], keys)
    ours = [
        (family, [(key, one) for key, one in row.items() if one is not None], repr(value), time)
        for (family, value, time), row in zip(
            found.wanted.select("family", "value", "time_ns").rows(),
            columns.to_dicts() or [{}] * found.wanted.height,
            strict=True,
        )
    ]
    # An empty label is no label: Prometheus' data model.
    theirs = [
        (name, [(key, one) for key, one in labels if one], value, time)
        for name, labels, value, time in theirs
    ]
    assert sorted(ours, key=repr) == sorted(theirs, key=repr)


def test_a_label_prometheus_keeps_to_itself_is_read():
    """Nobody should write one; a scrape that has it is no worse for it."""
    found = parse(pl.Series(['a{__x="1",y="2"} 3\n']), everything)
    assert found.counts.rows() == [(1, 0)]
    assert label_columns(found.wanted["labels"], ["__x", "y"]).rows() == [("1", "2")]


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=300) | st.text(alphabet='a{}="\\,# \n1e+.-', max_size=60))
def test_any_text_is_samples_or_bad_lines(text: str):
    """Every line is a sample, bad, or neither for it is blank or a comment; nothing raises."""
    found = parse(pl.Series([text]), everything)
    lines = [line.strip(" \t\r") for line in text.split("\n")]
    told = [line for line in lines if line and not line.startswith("#")]
    assert sum(found.counts.row(0)) == len(told)
    label_columns(found.wanted["labels"], ["a"])
