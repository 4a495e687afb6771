"""What follows from what a proxy told, whatever told it."""

import polars as pl
import pytest

from pipeline import schema
from pipeline.decode.requests import request_rows


def row(**columns: object) -> dict[str, object]:
    """The one row of one value a column, without its nulls."""
    known = {**schema.DECODED_REQUESTS, "direction": pl.String(), "user_agent": pl.String()}
    types = {name: known[name] for name in columns}
    if isinstance(columns.get("response_flags"), str):
        types["response_flags"] = pl.String()
    data = {"vantage": [0], "received_ns": [1], "start_ns": [2]}
    data |= {name: [value] for name, value in columns.items()}
    types |= {"vantage": pl.Int32()}
    frame = pl.DataFrame(data, schema_overrides=types)
    rows = request_rows(frame)
    assert rows.schema == schema.DECODED_REQUESTS
    (only,) = rows.to_dicts()
    return {name: value for name, value in only.items() if value is not None}


BARE = {
    "vantage": 0,
    "received_ns": 1,
    "start_ns": 2,
    "reporter": "unknown",
    "response_flags": [],
}


def test_what_nobody_told_is_null():
    """A row of times only."""
    assert row() == BARE


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        *(("-", []), ("", []), (None, []), ("UF", ["UF"]), ("URX,UF", ["URX", "UF"])),
        *(([], []), (["UF"], ["UF"])),
    ],
)
def test_flags(flags, expected):
    """Text or list; never null."""
    assert row(response_flags=flags)["response_flags"] == expected


def test_query_strings_do_not_pass():
    """The path ends at the first question mark."""
    assert row(path="/a/b?token=secret?c")["path"] == "/a/b"


def test_no_status():
    """Envoy writes 0 where no response was sent."""
    assert row(status=0) == BARE
    assert row(status=204)["status"] == 204


def test_policies_are_in_the_details():
    """Of HTTP or of the connection; what is given already stays."""
    denied = "rbac_access_denied_matched_policy[ns[shop]-policy[deny]-rule[0]]"
    found = row(response_code_details=denied)
    assert (found["authz"], found["policy"]) == ("denied", "ns[shop]-policy[deny]-rule[0]")
    found = row(termination_details="rbac_access_denied_matched_policy[none]")
    assert found == BARE | {
        "authz": "denied",
        "termination_details": "rbac_access_denied_matched_policy[none]",
    }
    found = row(response_code_details=denied, policy="other", authz="allowed")
    assert (found["authz"], found["policy"]) == ("allowed", "other")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"user_agent": "Envoy/HC"}, True),
        ({"user_agent": "curl/8"}, False),
        ({"user_agent": None}, None),
        ({"response_code_details": "health_check_ok"}, True),
        ({"user_agent": "Envoy/HC", "is_health_check": False}, False),
    ],
)
def test_health_checks(columns, expected):
    """Told by the agent that asks or the filter that answers; else not known."""
    assert row(**columns).get("is_health_check") == expected


def test_what_is_given_is_kept():
    """Names add what is missing, of the same service only."""
    given = {"reporter": "destination", "service": "x.y", "upstream_cluster": "outbound|80|v1|a.b"}
    assert row(**given) == BARE | given | {"mesh": "istio"}
    given = {"reporter": "destination", "service": "a.b", "upstream_cluster": "outbound|80|v1|a.b"}
    assert row(**given)["service_port"] == 80
    assert row(mesh="kuma", direction="inbound")["reporter"] == "destination"
