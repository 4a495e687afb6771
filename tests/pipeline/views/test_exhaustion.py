"""When ranges are full: histories with a known slope, given day by day."""

from datetime import UTC, datetime, timedelta

import pytest
from small_lake import SmallLake, emptied

from pipeline.views.exhaustion import forecast

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
TODAY = datetime(2026, 3, 1, tzinfo=UTC)
FIGURES = """unit, capacity, in_use, peak, history_days, trend_per_day, days_left, state"""


def ask(lake: SmallLake) -> list[tuple[object, ...]]:
    rows = forecast(f"TIMESTAMPTZ '{AT.isoformat()}'")
    return lake.read(f"SELECT {FIGURES} FROM ({rows}) ORDER BY range, unit")


def pods(lake: SmallLake, days: list[int], *, lasting: bool = True) -> None:
    """So many pods more from noon of each day on, the last day being yesterday."""
    first = TODAY - timedelta(days=len(days))
    rows, number = [], 0
    for day, more in enumerate(days):
        for _ in range(more):
            begin = first + timedelta(days=day, hours=12)
            number += 1
            rows.append(
                {
                    "endpoint_id": number,
                    "network": "corp",
                    "kind": "pod",
                    "endpoint_ip": f"10.1.0.{number}",
                    "pod": f"p{number}",
                    "valid_from": begin,
                    "valid_to": None if lasting else begin + timedelta(hours=2),
                }
            )
    lake.add("endpoints", *rows)


@pytest.fixture
def lake():
    """One range of 256 pods, watched since long ago."""
    lake = emptied()
    prefix = {"prefix_id": 1, "network": "corp", "kind": "pod", "cluster": "east"}
    lake.add("prefixes", prefix | {"prefix_ip": "10.1.0.0", "prefix_length": 120})
    return lake


def test_a_steady_growth(lake):
    """Four more a day for 10 days: 40 in use; the nine days after the first slope 4; 216 are left."""
    pods(lake, [4] * 10)
    assert ask(lake) == [("address", 256.0, 40.0, 40.0, 9, 4.0, 54.0, "ok")]


def test_an_odd_day_does_not_move_the_trend(lake):
    """One day of 60 short pods among days of 4 more: the median of the slopes stays."""
    pods(lake, [4] * 12)
    first = TODAY - timedelta(days=5)
    burst = {
        "network": "corp",
        "kind": "pod",
        "valid_from": first,
        "valid_to": first + timedelta(hours=3),
    }
    lake.add("endpoints", *({**burst, "endpoint_id": 900 + n, "endpoint_ip": f"10.1.0.{100 + n}"} for n in range(60)))  # fmt: skip
    ((_, _, in_use, peak, days, trend, _, state),) = ask(lake)
    assert (in_use, peak, days, trend, state) == (48.0, 88.0, 11, 4.0, "ok")


def test_it_is_soon_full(lake):
    """20 more a day: 240 of 256 are in use, which is nearly full; at 200 it is filling."""
    pods(lake, [20] * 10)
    assert ask(lake) == [("address", 256.0, 200.0, 200.0, 9, 20.0, 2.8, "filling")]
    lake.connection.execute("DELETE FROM endpoints")
    pods(lake, [20] * 12)
    assert ask(lake)[0][-1] == "nearly_full"


def test_full(lake):
    """No address is left: no forecast is needed."""
    lake.connection.execute("UPDATE prefixes SET prefix_length = 125")  # .0 to .7
    pods(lake, [7])
    lake.add(
        "endpoints",
        {"endpoint_id": 99, "network": "corp", "kind": "pod", "endpoint_ip": "10.1.0.0"},
    )
    assert ask(lake) == [("address", 8.0, 8.0, 8.0, 0, None, 0.0, "full")]


def test_too_short_a_history_is_unknown(lake):
    """Six whole days are no trend, and no guess; an empty range needs none."""
    pods(lake, [4] * 7)
    assert ask(lake) == [("address", 256.0, 28.0, 28.0, 6, None, None, "unknown")]
    lake.connection.execute("DELETE FROM endpoints")
    assert ask(lake) == [("address", 256.0, 0.0, 0.0, 0, None, None, "ok")]


def test_what_came_before_the_watch_is_no_history(lake):
    """Pods older than the watch are in use, and say nothing of days when others may have been."""
    pods(lake, [4] * 10)
    lake.add("endpoints", {"endpoint_id": 99, "network": "corp", "kind": "pod", "endpoint_ip": "10.1.0.200",
                           "valid_from": TODAY - timedelta(days=20), "seen_from": TODAY - timedelta(days=2)})  # fmt: skip
    lake.connection.execute("UPDATE endpoints SET seen_from = ?", [TODAY - timedelta(days=2)])
    assert ask(lake) == [("address", 256.0, 41.0, 41.0, 2, None, None, "unknown")]


def test_two_rows_of_one_address_are_one(lake):
    """A host's address and its pods' that share it count once, and reuse within an hour once."""
    same = {"network": "corp", "kind": "pod", "endpoint_ip": "10.1.0.9"}
    lake.add(
        "endpoints", same | {"endpoint_id": 1, "pod": "a"}, same | {"endpoint_id": 2, "pod": "b"}
    )
    assert ask(lake)[0][2] == 1.0


def test_a_clouds_subnet_keeps_some_for_itself(lake):
    """AWS keeps five addresses of each subnet."""
    lake.connection.execute("UPDATE prefixes SET kind = 'subnet', provider = 'aws'")
    assert ask(lake)[0][1] == 251.0


def test_blocks_dealt_to_nodes(lake):
    """Of a /22, three /24 are dealt out: three of four blocks, though no pod is there."""
    lake.connection.execute("UPDATE prefixes SET prefix_length = 118")
    node = {"network": "corp", "kind": "pod", "cluster": "east", "prefix_length": 120}
    lake.add(
        "prefixes", *({**node, "prefix_id": 10 + n, "prefix_ip": f"10.1.{n}.0"} for n in range(3))
    )
    assert ask(lake)[1] == ("block", 4.0, 3.0, 3.0, 0, None, None, "unknown")
