"""What Grafana puts into SQL, by what its own code gives for the same input."""

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.expand import (
    Chosen,
    ExpandError,
    Fill,
    Scope,
    choose,
    expand,
    format_interval,
    interval_ms,
    parse_interval,
)

FROM = datetime(2026, 11, 20, 0, 0, 0, tzinfo=UTC)
TO = datetime(2026, 11, 20, 1, 0, 0, 123_000, tzinfo=UTC)


def scope(**variables: Chosen) -> Scope:
    """An hour and 123 ms, a point a minute."""
    return Scope(from_time=FROM, to_time=TO, variables=variables)


def sql(text: str, **variables: Chosen) -> str:
    """The query alone."""
    return expand(text, scope(**variables)).sql


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("$__time(t)", 't AS "time"'),
        ("$__timeEpoch(t)", 'extract(epoch from t) as "time"'),
        (
            "$__timeFilter(a.t)",
            "a.t BETWEEN '2026-11-20T00:00:00Z' AND '2026-11-20T01:00:00.123Z'",
        ),
        ("$__timeFrom()::timestamptz", "'2026-11-20T00:00:00Z'::timestamptz"),
        ("$__timeTo()", "'2026-11-20T01:00:00.123Z'"),
        ("$__timeGroup(t, '5m')", "time_bucket('300.000s',t)"),
        ("$__timeGroup(t,'500ms') x", "time_bucket('0.500s',t) x"),
        ("$__timeGroupAlias(t,$__interval)", "time_bucket('60.000s',t) AS \"time\""),
        ("$__unixEpochFilter(t)", "t >= 1795132800 AND t <= 1795136400"),
        (
            "$__unixEpochNanoFilter(t)",
            "t >= 1795132800000000000 AND t <= 1795136400123000000",
        ),
        ("$__unixEpochNanoFrom()", "1795132800000000000"),
        ("$__unixEpochNanoTo()", "1795136400123000000"),
        ("$__unixEpochFrom() $__unixEpochTo()", "1795132800 1795136400"),
        ("$__unixEpochGroup(t,'1h')", "floor((t)/3600)*3600"),
        ("$__unixEpochGroupAlias(t,'1h')", 'floor((t)/3600)*3600 AS "time"'),
        ("'$__interval' $__interval_ms", "'1m' 60000"),
        ("$__from ${__to} ${__from:date} ${__to:date:seconds}", "1795132800000 1795136400123 2026-11-20T00:00:00.000Z 1795136400"),
        ("$__range $__range_s $__range_ms", "3600s 3600 3600123"),
        ("x LIKE '$__searchFilter'", "x LIKE '%'"),
    ],
)  # fmt: skip
def test_macros_become_what_the_data_source_makes_of_them(written: str, asked: str):
    """Each macro, with `timescaledb` as we provision it."""
    assert sql(written) == asked


def test_without_timescaledb_groups_are_numbers():
    """The data source's own switch."""
    plain = Scope(from_time=FROM, to_time=TO, timescaledb=False)
    assert expand("$__timeGroup(t,'90s')", plain).sql == "floor(extract(epoch from t)/90)*90"
    assert expand("$__timeGroup(t,'500ms')", plain).sql == "floor(extract(epoch from t)/0.5)*0.5"


def test_a_group_before_a_comma_names_its_column():
    """Queries written before 5.3; the first place of the same text decides for all."""
    assert sql("SELECT $__timeGroup(t,'1m'), n") == "SELECT time_bucket('60.000s',t) AS \"time\", n"
    assert sql("SELECT $__timeGroup(t,'1m') AS time, n ORDER BY $__timeGroup(t,'1m'), n") == (
        "SELECT time_bucket('60.000s',t) AS time, n ORDER BY time_bucket('60.000s',t), n"
    )


def test_arguments_end_at_the_first_parenthesis():
    """What makes a nested call wrong in Grafana is wrong here."""
    assert sql("$__timeFilter(f(t))") == (
        "f(t BETWEEN '2026-11-20T00:00:00Z' AND '2026-11-20T01:00:00.123Z')"
    )


@pytest.mark.parametrize(
    ("written", "fill"),
    [
        ("$__timeGroup(t,'5m',NULL)", Fill("null", 300_000)),
        ("$__timeGroup(t,'5m',previous)", Fill("previous", 300_000)),
        ("$__timeGroupAlias(t,'1h', 0.5)", Fill("value", 3_600_000, 0.5)),
        ("$__timeGroup(t,'5m')", None),
    ],
)
def test_a_third_argument_fills_gaps(written: str, fill: Fill | None):
    """null, the previous value, or a number."""
    assert expand(written, scope()).fill == fill


@pytest.mark.parametrize(
    "written",
    [
        "$__nothing(t)",
        "$__timeGroup(t)",
        "$__timeGroup(t,'5 minutes')",
        "$__timeGroup(t,'0m')",
        "$__timeGroup(t,'5m',often)",
        "${cluster:shout}",
        "${__from:date:dddd}",
    ],
)
def test_what_grafana_refuses_is_refused(written: str):
    """A panel that would show an error in Grafana has no answer here."""
    with pytest.raises(ExpandError):
        sql(written, cluster=Chosen(name="cluster", value="a"))


SEVERAL = Chosen(name="c", value=("a", "b'c", 'd"e'), is_list=True)
ONE = Chosen(name="c", value="b'c")
EVERY = Chosen(name="c", value=("$__all",), is_list=True, all_value="'*'", options=("a", "b"))
LISTED = Chosen(name="c", value="$__all", is_list=True, options=("a", "b"))


@pytest.mark.parametrize(
    ("written", "chosen", "asked"),
    [
        ("$c", SEVERAL, "'a','b''c','d\"e'"),
        ("${c}", SEVERAL, "'a','b''c','d\"e'"),
        ("[[c]]", SEVERAL, "'a','b''c','d\"e'"),
        ("'$c'", ONE, "'b''c'"),
        ("$c", Chosen(name="c", value="a", is_list=True), "'a'"),
        ("$c", EVERY, "'*'"),
        ("${c:csv}", EVERY, "'*'"),
        ("${c:text}", EVERY, "All"),
        ("${c:queryparam}", EVERY, "var-c=%24__all"),
        ("${c:percentencode}", EVERY, "%27%2A%27"),
        ("$c", LISTED, "'a','b'"),
        ("${c:csv}", LISTED, "a,b"),
        ("${c:csv}", SEVERAL, "a,b'c,d\"e"),
        ("[[c:pipe]]", SEVERAL, "a|b'c|d\"e"),
        ("${c:raw}", ONE, "b'c"),
        ("${c:sqlstring}", SEVERAL, "'a','b''c','d\\\"e'"),
        ("${c:sqlstring}", ONE, "'b''c'"),
        ("${c:singlequote}", SEVERAL, "'a','b\\'c','d\"e'"),
        ("${c:doublequote}", SEVERAL, '"a","b\'c","d\\"e"'),
        ("${c:json}", SEVERAL, '["a","b\'c","d\\"e"]'),
        ("${c:json}", ONE, "b'c"),
        ("${c:glob}", SEVERAL, "{a,b'c,d\"e}"),
        ("${c:glob}", ONE, "b'c"),
        ("${c:percentencode}", SEVERAL, "%7Ba%2Cb%27c%2Cd%22e%7D"),
        ("${c:queryparam}", SEVERAL, "var-c=a&var-c=b%27c&var-c=d%22e"),
        ("${c:text}", SEVERAL, "a + b'c + d\"e"),
        ("$cluster $1 ${c.name}", SEVERAL, "$cluster $1 ${c.name}"),
    ],
)
def test_variables_are_put_in_by_their_kind_and_format(written: str, chosen: Chosen, asked: str):
    """Several are quoted one by one, one is not; all is its own text; a format wins over both."""
    assert sql(written, c=chosen) == asked


def test_a_choice_is_what_was_given_then_the_dashboards_then_all_then_the_first():
    """As a dashboard opens: from its address, else as it was saved, else whatever there is."""
    many = {"name": "c", "type": "query", "multi": True, "includeAll": True, "allValue": "'*'"}
    one = {"name": "c", "type": "query", "multi": False, "includeAll": False, "current": {}}
    saved = {"name": "c", "type": "custom", "current": {"value": "b"}, "options": [{"value": "b"}]}
    assert choose(many, ["x"]).value == ("x",)
    assert choose(many, []).is_all
    assert choose(many, options=["x"]).options == ("x",)
    assert choose(one, options=["x", "y"]).value == "x"
    assert choose(one).value == ""
    assert choose(saved).value == "b"
    assert choose(saved).options == ("b",)
    assert choose({"name": "p", "type": "textbox", "current": {"value": ""}}).value == ""


def test_intervals_are_rounded_as_grafana_does():
    """From pixels and a time range; never below the data source's own."""
    assert interval_ms(FROM, TO, 1000) == 60_000
    assert interval_ms(FROM, TO, 1000, least_ms=1) == 5_000
    assert interval_ms(FROM, datetime(2026, 12, 20, tzinfo=UTC), 1000) == 1_800_000
    assert [parse_interval(text) for text in ("1ms", "2s", "3m", "4h", "5d", "6w")] == [
        1, 2_000, 180_000, 14_400_000, 432_000_000, 3_628_800_000,
    ]  # fmt: skip
    assert [format_interval(ms) for ms in (1, 1_000, 5_400_000, 172_800_000)] == [
        "1ms", "1s", "1h", "2d",
    ]  # fmt: skip


@given(st.text(max_size=200), st.text(max_size=50))
def test_any_text_is_expanded_or_refused(written: str, value: str):
    """Nothing a query or a value holds raises anything else, or hangs."""
    with contextlib.suppress(ExpandError):
        expand(written, scope(c=Chosen(name="c", value=value, is_list=True)))


@given(st.text(max_size=60).filter(lambda text: "$" not in text))
def test_a_chosen_value_stays_inside_its_literal(value: str):
    """Of a value without a dollar, every quote is doubled: it cannot end the literal it is in."""
    many = sql("$c", c=Chosen(name="c", value=(value,), is_list=True))
    assert many[0] == many[-1] == "'"
    assert many[1:-1].replace("''", "").count("'") == 0
    assert sql("$c", c=Chosen(name="c", value=value)) == many[1:-1]
