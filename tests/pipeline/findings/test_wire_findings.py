"""Packets that are lost: which of a link, a gateway and an edge is told, and what is its symptom."""

from typing import Any

import pytest
from small_lake import SmallLake, emptied
from troubled import at, fleet, worse

from pipeline.findings.wire import WIRE

RETRANSMITTING, DROPPING = WIRE
AGAIN, DROPPED = "3.0% of packets sent again", "2.5% of packets dropped"
EDGE = ("edge", "east/shop/web -> west/shop/pay")
LINK = ("cloud_link", "aws/us-east-1 -> gcp/us-west1")
WAY = ("gateway", "west-eastwest")


@pytest.fixture
def lake() -> SmallLake:
    """The fleet, at peace."""
    lake = emptied()
    lake.connection.execute(f"SET VARIABLE until = TIMESTAMPTZ '{at(60).isoformat()}'")
    fleet(lake)
    return lake


def found(lake: SmallLake, kind: Any) -> list[tuple[Any, ...]]:
    told = f"SELECT entity, severity, clusters, summary, symptoms FROM ({kind.rows}) ORDER BY ALL"
    rows = lake.connection.execute(told).fetchall()
    is_asked = lake.connection.execute(f"{kind.only_if} LIMIT 1").fetchone() is not None
    assert is_asked or not rows
    return rows


def test_an_edge_alone_is_told(lake: SmallLake):
    """Its neighbours lose nothing: the two ends, or what is between them alone, are at fault."""
    lake.add("health_1m", *worse("", AGAIN, EDGE, retransmit_share=0.03))
    clusters = ["east", "west"]
    entity = " ".join(EDGE)
    assert found(lake, RETRANSMITTING) == [(entity, "warning", clusters, AGAIN, None)]
    assert found(lake, DROPPING) == []


@pytest.mark.parametrize("cause", [LINK, WAY], ids=["link", "gateway"])
def test_a_link_or_gateway_is_told_in_place_of_its_edges(lake: SmallLake, cause):
    """An error where it fails; the edge is its symptom."""
    name = " ".join(cause)
    lake.add("health_1m", *worse("", AGAIN, EDGE, retransmit_share=0.03, caused_by=name))
    lake.add("health_1m", *worse("", AGAIN, cause, state="failing", retransmit_share=0.03))
    rows = found(lake, RETRANSMITTING)
    assert [(entity, severity, symptoms) for entity, severity, _, _, symptoms in rows] == [
        (name, "error", [" ".join(EDGE)])
    ]


def test_a_cause_that_loses_nothing_explains_nothing(lake: SmallLake):
    """What the edge suffers from by its calls is another thing: both are told."""
    other = {"retransmit_share": 0.03, "caused_by": "service west/shop/pay"}
    lake.add("health_1m", *worse("", AGAIN, EDGE, LINK, **other))
    assert [row[0] for row in found(lake, RETRANSMITTING)] == [" ".join(LINK), " ".join(EDGE)]


def test_one_minute_is_none_and_drops_are_their_own_kind(lake: SmallLake):
    """Two minutes in a row are needed; what is dropped is not what is sent again."""
    lake.add("health_1m", worse("", AGAIN, EDGE, retransmit_share=0.03)[1])
    assert found(lake, RETRANSMITTING) == []
    lake.add("health_1m", *worse("", DROPPED, WAY, drop_share=0.025))
    assert [row[0] for row in found(lake, DROPPING)] == [" ".join(WAY)]
    assert found(lake, RETRANSMITTING) == []
