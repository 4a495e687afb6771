"""Who is not well now, and what is over: minutes of health, worked by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from small_lake import SmallLake, emptied

from pipeline.schema import create_view
from pipeline.views.unwell import UNWELL

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
CART, WAY = ("service", "east/shop/cart"), ("gateway", "way")
SLOW = ["p95 329 ms is 169 times the median"]


@pytest.fixture
def lake() -> SmallLake:
    lake = emptied()
    lake.connection.execute(create_view(UNWELL))
    return lake


def minutes(lake: SmallLake, of: tuple[str, str], *told: tuple[int, int], **more: Any) -> None:
    """Calls and errors of minute after minute from noon on; no row where there were no calls."""
    for number, (requests, errors) in enumerate(told):
        share = errors / requests if requests else 0
        state = "failing" if share >= 0.25 else "degraded" if share >= 0.01 else "healthy"
        row = {
            "minute": NOON + timedelta(minutes=number),
            "entity_kind": of[0],
            "entity": of[1],
            "state": state if requests >= 5 else "unknown",
            "requests": requests,
            "errors": errors,
            "reasons": [],
            "flags": [],
        }
        if requests:
            lake.add("health_1m", row | (more if errors else {}))


def unwell(lake: SmallLake) -> list[tuple[Any, ...]]:
    return lake.read("SELECT entity, state, errors, requests FROM unwell ORDER BY entity")


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ([(20, 0), (20, 20)], ("failing", 20, 20)),
        ([(20, 0), (20, 20), (20, 20)], ("failing", 40, 40)),
        ([(20, 20), (20, 0)], None),  # twenty are missing
        ([(20, 20), (2, 0)], ("failing", 20, 22)),  # two may be by chance
        ([(100, 1), (100, 0), (100, 3), (100, 0)], ("degraded", 4, 400)),  # two are missing
        ([(100, 5), (100, 1), (100, 0)], None),  # at 6 of 200, three are
        ([(2, 2), (2, 2), (2, 2)], ("failing", 6, 6)),  # too few for each minute
        ([(2, 2)], None),
        ([(19, 3), (19, 0), (1, 0)], None),
        ([(19, 2), (40, 0)], None),  # two errors are chance
        ([(20, 1), (100, 90)], ("failing", 91, 120)),
        ([(500, 1), (20, 0)], None),  # fewer than one in a hundred
        ([(200, 20), (1_000, 200), (1_000, 60)], ("degraded", 280, 2_200)),
    ],
)
def test_errors_add_up_until_there_is_proof_that_they_ended(lake: SmallLake, told, found):
    """From the first minute that had some, until three that were due are missing."""
    minutes(lake, CART, *told)
    assert unwell(lake) == ([] if found is None else [(CART[1], *found)])


def test_the_last_bad_minute_tells_why(lake: SmallLake):
    """Of two troubles, one after the other, the second: whom it blames, and that it has no cause."""
    first = {"caused_by": "gateway way", "blamed": "network way", "flags": ["UH"]}
    minutes(lake, CART, (20, 20), **first)
    second = {"blamed": "server east/shop/cart", "flags": ["UC"]}
    minutes(lake, CART, (0, 0), (20, 20), **second)
    ((reasons, caused_by, is_own),) = lake.read("SELECT reasons, caused_by, is_own FROM unwell")
    assert reasons == ["100.0% errors", "flags UC", "blame: server east/shop/cart"]
    assert (caused_by, is_own) == (None, True)


def test_what_is_not_called_any_more_is_over_with_its_cause(lake: SmallLake):
    """The service was lost behind a gateway which is well since: nothing is; else both are."""
    minutes(lake, CART, (20, 20), caused_by="gateway way")
    minutes(lake, WAY, (40, 40))
    assert [row[0] for row in unwell(lake)] == [CART[1], WAY[1]]
    minutes(lake, WAY, (0, 0), (40, 0))
    assert unwell(lake) == []


@pytest.mark.parametrize(
    ("minutes_slow", "is_found"), [([0, 1], True), ([1], False), ([0], False), ([0, 2], True)]
)
def test_a_slow_tail_is_one_of_two_minutes(lake: SmallLake, minutes_slow, is_found):
    """One of them is the last there is, and they have a hundred calls."""
    for number in (0, 1, 2):
        slow = {"state": "degraded", "reasons": SLOW} if number in minutes_slow else {}
        row = {"minute": NOON + timedelta(minutes=number), "state": "healthy", "reasons": []}
        calls = {"requests": 60 if number else 40, "errors": 0, "flags": []}
        named = {"entity_kind": CART[0], "entity": CART[1]}
        if number < 2 or 2 in minutes_slow:
            lake.add("health_1m", row | named | calls | slow)
    found = lake.read("SELECT state, reasons, requests FROM unwell")
    assert found == ([("degraded", SLOW, 100)] if is_found else [])
