"""A minute of the lake stitched, again, and with records that came late."""

from collections.abc import Generator
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from stitch_rows import ENDPOINTS, START, client, gate, gateways, server

from pipeline import schema
from pipeline.lake import Commit, Lake
from pipeline.stitch.stage import stitch_minute
from pipeline.windows import Window, Windows

MINUTE = timedelta(minutes=1)
VANTAGES = {
    1: ("east", "n-east", "frontend"),
    2: ("west", "n-west", "gw"),
    3: ("west", "n-west", "reviews"),
}
ID = {"request_id": "a"}
STITCHED = """SELECT client_entity, server_entity, gateways, hops, match_method, tax_ms
FROM v_stitched ORDER BY start_time, edge_id"""


@pytest.fixture(scope="module")
def _lake(tmp_path_factory: pytest.TempPathFactory) -> Generator[Lake]:
    with Lake(tmp_path_factory.mktemp("stitch") / "lake") as lake:
        vantages = [
            {"vantage_id": number, "cluster": cluster, "network": network, "exporter": exporter}
            for number, (cluster, network, exporter) in VANTAGES.items()
        ]
        endpoints = ENDPOINTS.with_columns(
            network=pl.format("n-{}", "cluster"), workload=pl.Series(["frontend", "reviews", None])
        )
        lake.commit(
            Commit(
                {
                    "vantages": schema.complete(pl.DataFrame(vantages), schema.VANTAGES.schema),
                    "endpoints": schema.complete(endpoints, schema.ENDPOINTS.schema),
                    "gateways": gateways(),
                }
            )
        )
        yield lake


@pytest.fixture
def lake(_lake: Lake) -> Lake:
    """The one lake, with no records in it."""
    for name in ("requests", "edges", "legs", "windows"):
        _lake.connection.execute(f"DELETE FROM {name}")
    return _lake


def came(lake: Lake, *rows: dict[str, Any]) -> pl.DataFrame:
    """Records reach the lake; returns them."""
    full = pl.DataFrame([{"received_time": START, **row} for row in rows], infer_schema_length=None)
    requests = schema.complete(full, schema.REQUESTS.schema)
    lake.commit(Commit({"requests": requests}))
    return requests


def came_late(lake: Lake, *rows: dict[str, Any]) -> None:
    """Records reach the lake, and the minutes that they make stale are stitched again."""
    work_out(lake, came(lake, *rows))


def run(lake: Lake, *minutes: int) -> None:
    """Stitch minutes, by their distance from `START`."""
    for minute in minutes:
        work_out(lake, pl.DataFrame({"start_time": [START + (minute + 0.5) * MINUTE]}))


def work_out(lake: Lake, rows: pl.DataFrame) -> None:
    """Stitch the minutes that such rows make stale."""
    windows = Windows(lake, timedelta(0), timedelta(days=1), [stitch_minute])
    windows.mark({"requests": rows.select(pl.col("start_time").cast(schema.TIME))}, None)
    windows.close(None, everything=True)


def edges(lake: Lake) -> list[tuple[Any, ...]]:
    """`STITCHED`."""
    return lake.read(STITCHED).rows()


WHOLE = ("east/frontend", "west/reviews", ["gw"], 3, "request_id", 8.0)


def test_a_minute_is_replaced_by_itself(lake: Lake):
    """Three records, one row with names; again, the same."""
    came(lake, client(1, at=5, **ID), gate(2, at=5), server(3, at=5, **ID))
    run(lake, 0, 0)
    assert edges(lake) == [WHOLE]
    legs = "SELECT hop, exporter, upstream_remote, carried FROM v_legs ORDER BY hop"
    assert lake.read(legs).rows() == [
        (0, "frontend", "203.0.113.20:15443", 1),
        (1, "gw", "10.0.0.5:8080", 1),
        (2, "reviews", None, 1),
    ]


def test_a_minute_with_nothing_in_it_is_nothing(lake: Lake):
    """No rows, no transaction's worth of work."""
    assert stitch_minute(lake, Window(START, START + MINUTE, is_new=True)) is None


def test_a_call_over_midnight_of_a_minute_is_of_the_minute_its_client_began(lake: Lake):
    """Its server's record is of the next minute, whose own it is not."""
    came(lake, client(1, at=59.9, **ID), gate(2, at=59.9), server(3, at=60.4, **ID))
    run(lake, 0, 1)
    assert edges(lake) == [WHOLE]
    assert lake.read("SELECT DISTINCT window_start FROM legs").rows() == [(START,)]


def test_a_server_whose_clock_is_behind_is_not_of_the_minute_before(lake: Lake):
    """It told of the call before the client began it."""
    came(lake, server(3, at=59.0, **ID), client(1, at=60.5, **ID), gate(2, at=60.4))
    run(lake, 0, 1)
    assert edges(lake) == [WHOLE]


def test_what_comes_late_corrects_the_minute_before(lake: Lake):
    """The server's record is of the next minute; the client's edge is the one that changes."""
    came(lake, client(1, at=59.9, **ID), gate(2, at=59.9))
    run(lake, 0, 1)
    (before,) = lake.read("SELECT edge_id FROM edges WHERE client_ms IS NOT NULL").rows()
    came_late(lake, server(3, at=60.4, **ID))
    assert edges(lake) == [WHOLE]
    assert lake.read("SELECT edge_id FROM edges").rows() == [before]
    assert lake.read("SELECT count(*) FROM legs").item() == 3


def test_a_client_that_comes_late_takes_its_server_out_of_the_minute_before(lake: Lake):
    """Which stood alone there."""
    came(lake, server(3, at=59.0, **ID))
    run(lake, 0)
    assert [row[3:5] for row in edges(lake)] == [(1, "none")]
    came_late(lake, client(1, at=60.5, **ID), gate(2, at=60.4))
    assert edges(lake) == [WHOLE]


@pytest.mark.parametrize(
    ("began", "ms"), [(5, 1_800_000), (1_124.9, 90_000), (1_125.1, 90_000), (1_184, 30_000)]
)
def test_a_connection_that_began_before_is_found(lake: Lake, began: float, ms: float):
    """A gateway tells of it when it ends; calls of every minute since went over it."""
    came(
        lake,
        client(1, at=1_205, **ID),
        gate(2, at=began, ms=ms),
        server(3, at=1_205, **ID),
    )
    run(lake, 20)
    assert edges(lake) == [WHOLE]


def test_a_connection_says_of_how_many_calls_it_is_whichever_minute_they_are_of(lake: Lake):
    """One call before midnight of the minute, one after, over one connection of the gateway."""
    calls = client(1, at=55, request_id="a"), client(1, at=65, request_id="b")
    served = server(3, at=55, request_id="a"), server(3, at=65, request_id="b")
    came(lake, *calls, *served, gate(2, at=50, ms=20_000))
    run(lake, 0, 1)
    gates = "SELECT window_start, carried FROM legs WHERE role = 'gateway' ORDER BY window_start"
    assert lake.read(gates).rows() == [(START, 2), (START + MINUTE, 2)]
