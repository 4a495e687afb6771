"""What `v_health` says of packets: beside calls, and of who has none."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from small_lake import SmallLake, emptied

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
AGAIN = "3.0% of packets sent again"


def judged(entity_kind: str, entity: str, **more: Any) -> dict[str, Any]:
    """How something was in a minute."""
    row = {"minute": NOON, "entity_kind": entity_kind, "entity": entity, "regressed": []}
    return row | {"flags": [], "requests": 0, "errors": 0} | more


def health(lake: SmallLake, *rows: dict[str, Any]) -> dict[tuple[str, str], tuple[Any, ...]]:
    lake.add("health_1m", *rows)
    told = (
        "SELECT entity_kind, entity, state, reasons, requests, error_share, caused_by FROM v_health"
    )
    return {row[:2]: row[2:] for row in lake.connection.execute(told).fetchall()}


@pytest.mark.parametrize(
    ("share", "reasons", "state"),
    [
        (0.0, [], "healthy"),
        (0.03, [AGAIN], "degraded"),
        (0.1, ["10.0% of packets sent again"], "failing"),
    ],
)
def test_who_has_no_calls_is_as_its_packets_are(share, reasons, state):
    """A pair without proxies: no calls are told, none failed, and that is no lack of knowledge."""
    edge = ("edge", "east/shop/web -> east/shop/db")
    packets = {"retransmit_packets": 1_000, "retransmit_share": share}
    rows = health(emptied(), judged(*edge, state=state, reasons=reasons, **packets))
    assert rows == {edge: (state, reasons, 0, None, None)}


def test_lost_packets_are_told_beside_calls():
    """Of an edge with good calls it is degraded by its packets, because of its link."""
    lake, pair = emptied(), ("east/shop/web", "west/shop/pay")
    edge, link = ("edge", " -> ".join(pair)), "cloud_link aws/us-east-1 -> gcp/us-west1"
    ends = dict(zip(("client_entity", "server_entity"), pair, strict=True))
    call = {"bucket_start": NOON, "requests": 100, "errors": 0, "denied": 0}
    lake.add(
        "edges_1m", ends | call | {"first_time": NOON, "last_time": NOON + timedelta(seconds=59)}
    )
    packets = {"retransmit_packets": 1_000, "retransmit_share": 0.03, "caused_by": link}
    rows = health(lake, judged(*edge, state="degraded", reasons=[AGAIN], **packets))
    assert rows[edge] == ("degraded", [AGAIN], 100, 0.0, link)
    assert rows["service", pair[1]][:2] == ("healthy", [])
