"""Envoy's format strings: what is of use, what is not, and values read back."""

import json
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.decode.access_log.fields import read_fields
from pipeline.decode.access_log.format_string import compile_format
from pipeline.decode.access_log.operators import field
from pipeline.decode.access_log.text_format import read_string
from pipeline.decode.lines import Fault
from pipeline.errors import FormatError


def fields(text: str) -> dict[tuple[str, ...], list[str]]:
    """Fields of a format by their place in it."""
    return {path: string.fields for path, string in compile_format(text).strings.items()}


def test_text():
    """Operators with arguments, alternatives and lengths; those without a column are read over."""
    assert fields(
        '100%% [%START_TIME%] "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH):10%" %REQ(X-Other?Y)%'
        " %TRAILER(grpc-status)% %CEL(request.headers['a'].size() > 1)% %NEW_OPERATOR(x)%\n"
    ) == {(): ["start_time", "path", "grpc_status"]}


def test_json():
    """Objects nested in objects; constants and lists say nothing."""
    text = {
        "t": "%START_TIME%",
        "a": {"b": {"c": "%PROTOCOL%"}, "line": "%REQ(:METHOD)% to %REQ(:AUTHORITY)%"},
        "constant": "x",
        "number": 1,
        "list": ["%BYTES_SENT%"],
    }
    assert fields(json.dumps(text)) == {
        ("t",): ["start_time"],
        ("a", "b", "c"): ["protocol"],
        ("a", "line"): ["method", "authority"],
    }


def test_a_field_is_filled_once():
    """The first operator that fills it counts."""
    assert fields("%START_TIME% %RESP(:STATUS)% %RESPONSE_CODE%") == {
        (): ["start_time", "response_code"]
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it has no %START_TIME%"),
        ("%PROTOCOL%", "it has no %START_TIME%"),
        ("{}", "it has no %START_TIME%"),
        ("%START_TIME% %REQ(:METHOD)%%PROTOCOL%", "nothing between %REQ(:METHOD)% and %PROTOCOL%"),
        ("%START_TIME% 100%", "no operator: '%'"),
        ("%START_TIME% %REQ(:METHOD%", "no operator: '%REQ(:METHOD%'"),
        ("%START_TIME% %lower%", "no operator: '%lower%'"),
        ("%START_TIME%\n%PROTOCOL%", "more than one line"),
        ("{%START_TIME%}", "no JSON object"),
        ('{"a": "%START_TIME%"', "no JSON object"),
        ("{" * 50_000, "no JSON object"),
        ('{"a":' * 30 + '"%START_TIME%"' + "}" * 30, "nested deeper than 20"),
        ("%START_TIME% " + " ".join(["%PROTOCOL%"] * 300), "more than 200 operators"),
        ("%START_TIME(%H:%M)%", "says no date and time of day"),
        ("%START_TIME(%Y-%m-%d)%", "says no date and time of day"),
        ("%START_TIME(%s %s)%", "says a part of the time twice"),
        ("%START_TIME(%s %q)%", "%q is not known"),
        ("%START_TIME_LOCAL(%F %T)%", "says no offset from UTC"),
    ],
)
def test_what_is_of_no_use(text, message):
    """The message says which part of the format it is."""
    with pytest.raises(FormatError) as raised:
        compile_format(text)
    assert message in str(raised.value)


NS = 1_767_323_045_678_000_000  # 2026-01-02T03:04:05.678Z


@pytest.mark.parametrize(
    ("argument", "text", "expected"),
    [
        ("", "2026-01-02T03:04:05.678Z", NS),
        ("(%s)", "1767323045", NS - 678_000_000),
        ("(%s.%3f)", "1767323045.678", NS),
        ("(%s.%9f)", "1767323045.678000001", NS + 1),
        ("(%s.%f)", "1767323045.678000", NS),
        ("(%s.%3f)", "-1.500", -500_000_000),
        ("(%Y/%m/%dT%H:%M:%S%z)", "2026/01/02T05:34:05+0230", NS - 678_000_000),
        ("(%Y/%m/%dT%H:%M:%S%z %s)", "2026/01/02T05:34:05+0230 1767323045", NS - 678_000_000),
        ("(%F %T.%6f)", "2026-01-02 03:04:05.678000", NS),
        ("(%d/%b/%Y:%H:%M:%S %z)", "02/Jan/2026:03:04:05 +0000", NS - 678_000_000),
        ("(%e %B %y %R)", " 2 January 26 03:04", NS - 5_678_000_000),
        ("(%a %A %m/%d/%Y %H:%M:%E3S)", "Fri Friday 01/02/2026 03:04:05.678", NS),
        ("(%Y-%m-%dT%H:%M:%E*S%Ez)", "2026-01-01T22:04:05.678-05:00", NS),
        ("(%Y-%m-%dT%H:%M:%S.%3fZ)", "2026-01-02T03:04:05.678Z", NS),
        ("(%s)", "99999999999", None),
        ("(%F %T)", "2026-13-02 03:04:05", None),
        ("(%F %T)", "2026-01-02 24:04:05", None),
    ],
)
def test_start_times(argument, text, expected):
    """Literals by another implementation: `datetime` below."""
    compiled = compile_format(f"%START_TIME{argument}% %PROTOCOL%")
    lines = pl.Series([f"{text} HTTP/2"])
    found, faults = read_string(lines, compiled.strings[()], strict=True)
    assert faults.tolist() == [Fault.NONE]
    columns, faults = read_fields(found, compiled.time)
    assert columns["start_ns"].to_list() == [expected]
    assert faults.tolist() == [Fault.NONE if expected is not None else Fault.BAD_START]


def test_the_literal_start_time():
    """As the standard library has it."""
    assert datetime.fromtimestamp(NS // 10**9, UTC).isoformat() == "2026-01-02T03:04:05+00:00"


@pytest.mark.parametrize(
    ("name", "argument", "expected"),
    [
        ("REQ", "x-request-id", "request_id"),
        ("REQ", "X-REQUEST-ID?:PATH", None),
        ("RESP", "X-REQUEST-ID", None),
        ("COMMON_DURATION", "DS_RX_BEG:DS_TX_END:ns", "duration_ns"),
        ("COMMON_DURATION", "US_TX_BEG:US_RX_BEG:ms", None),
        ("COMMON_DURATION", "", None),
        ("FILTER_STATE", "upstream_peer:FIELD:workload", "upstream_peer_workload"),
        ("FILTER_STATE", "other:PLAIN", None),
        ("KUMA_DESTINATION_SERVICE", "", "kuma_destination_service"),
        ("HOSTNAME", "", None),
    ],
)
def test_operators(name, argument, expected):
    """An operator fills a field only where it means nothing else."""
    assert field(name, argument) == expected


OPERATORS = [
    *("%REQ(:METHOD)%", "%REQ(:PATH)%", "%PROTOCOL%", "%REQ(:AUTHORITY):40%", "%ROUTE_NAME%"),
    *("%REQ(USER-AGENT)%", "%REQ(X-REQUEST-ID)%", "%REQUESTED_SERVER_NAME%", "%STREAM_ID%"),
    *("%HOSTNAME%", "%CEL(a.b)%", "%UPSTREAM_CLUSTER%", "%RESPONSE_CODE_DETAILS%"),
]
LITERALS = [
    " ",
    '" "',
    '"',
    "\t",
    "|",
    " - ",
    "[",
    "] ",
    ", ",
    "->",
    "(",
    ")",
    "ms, ",
    "{",
    "é",
    ":",
]
VALUES = st.sampled_from(
    ["-", "GET", "/a b", 'say "hi"', "10.0.0.1:80", "[::1]:80", "a|b", "", "x-y", "->", "é", "a, b"]
) | st.text(st.characters(exclude_categories=["C", "Z"]), max_size=6)
FORMATS = st.lists(st.tuples(st.sampled_from(LITERALS), st.sampled_from(OPERATORS)), max_size=6)


@settings(deadline=None, max_examples=60)
@given(FORMATS, st.data())
def test_values_come_back(pieces, data):
    """What a renderer that only joins writes is read as it was, or refused as ambiguous."""
    text = "%START_TIME%" + "".join(literal + operator for literal, operator in pieces)
    values = [data.draw(VALUES) for _ in pieces]
    line = "2026-01-02T03:04:05.678Z" + "".join(
        literal + value for (literal, _), value in zip(pieces, values, strict=True)
    )
    string = compile_format(text).strings[()]
    expected = {"start_time": "2026-01-02T03:04:05.678Z"}
    for (_, operator), value, read in zip(pieces, values, string.operators[1:], strict=True):
        assert read.text == operator
        if read.field is not None:
            expected[read.field] = value
    for strict in (True, False):
        found, faults = read_string(pl.Series([line]), string, strict=strict)
        if faults[0] == Fault.NONE:
            assert found.to_dicts() == [expected]
        else:
            assert faults[0] == (Fault.OTHER_FORMAT if strict else Fault.AMBIGUOUS)


PIECES = st.sampled_from(
    [
        *(
            "%",
            "%%",
            "%START_TIME%",
            "%START_TIME(%s)%",
            "%REQ(",
            ")%",
            "%PROTOCOL%",
            '"',
            "{",
            "}",
        ),
        *(
            "(",
            ":5%",
            "%REQ(A?B):9%",
            "\n",
            "\\",
            "é",
            "^",
            "$",
            "[",
            "]",
            '{"a":"',
            '"}',
            "&&",
            "--",
        ),
    ]
)


@settings(deadline=None, max_examples=150)
@given(st.text() | st.lists(PIECES, max_size=12).map("".join), st.text(max_size=30))
@example("%START_TIME% " + " ".join(["%PROTOCOL%"] * 199), "x " * 200)
def test_any_format_is_read_or_refused(text, line):
    """No format raises anything else, and none that is taken breaks on a line."""
    try:
        compiled = compile_format(text)
    except FormatError:
        return
    for string in compiled.strings.values():
        for strict in (True, False):
            found, faults = read_string(pl.Series([line, None]), string, strict=strict)
            assert len(found) == int(np.sum(faults == Fault.NONE))
            assert faults[1] != Fault.NONE


@given(st.sampled_from(["REQ", "COMMON_DURATION", "FILTER_STATE", "PROTOCOL"]), st.text())
def test_any_argument_is_taken(name, argument):
    """Nothing in an argument raises; an operator that has none means the same with any."""
    found = field(name, argument)
    assert found == "protocol" if name == "PROTOCOL" else found is None or found
