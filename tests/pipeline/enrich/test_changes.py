"""An inventory that changes: what is found before, after, and in a network that is new."""

from datetime import UTC, datetime

import polars as pl
import pytest

from pipeline import schema
from pipeline.enrich import Identities, enrich_peer, timeline
from pipeline.errors import InventoryError
from pipeline.inventory import file as inventory

TIME = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW = 0xFFFF_0A00_0001, 0xFFFF_0A00_0002
CODES = {"net-a": 0, "internet": 1, "net-b": 2}
KEY = ["network", "endpoint_ip_hi", "endpoint_ip_lo"]


def _endpoints(*rows: tuple):
    """Rows of id, network and low half of the address."""
    named = [
        {"endpoint_id": id_, "network": network, "endpoint_ip_hi": 0, "endpoint_ip_lo": low}
        for id_, network, low in rows
    ]
    frame = pl.DataFrame(named, schema={name: schema.ENDPOINTS.schema[name] for name in _NAMES})
    pods = frame.with_columns(kind=pl.lit("pod"), pod=pl.col("endpoint_id").cast(pl.String))
    return schema.complete(pods, schema.ENDPOINTS.schema)


_NAMES = ["endpoint_id", *KEY]


@pytest.fixture
def before():
    """One pod, in one network."""
    networks = pl.DataFrame({"name": ["net-a"], "model": ["flat"]})
    known = inventory.build({"networks": networks})
    tables = known.tables | {"endpoints": _endpoints((1, "net-a", OLD))}
    return Identities.of(inventory.Inventory(**tables, members={}))


def _found(identities):
    """Ids of the old and the new address in net-a, then in net-b."""
    rows = pl.DataFrame(
        {
            "network_code": pl.Series([0, 0, 2, 2], dtype=pl.Int32),
            "peer_ip_hi": pl.Series([0] * 4, dtype=pl.UInt64),
            "peer_ip_lo": pl.Series([OLD, NEW] * 2, dtype=pl.UInt64),
            "received_time": pl.Series([TIME] * 4, dtype=schema.TIME),
        }
    )
    return enrich_peer(rows, identities)["peer_endpoint_id"].to_list()


def test_what_came_is_found_and_what_went_is_not(before):
    """And those who hold the value from before see what they saw."""
    rows = _endpoints((2, "net-a", NEW), (3, "net-b", OLD))
    touched = pl.concat([rows, _endpoints((1, "net-a", OLD))]).select(KEY)
    after = before.changed(touched, rows, network_codes=CODES)
    assert _found(after) == [None, 2, 3, None]
    assert _found(before) == [1, None, None, None]


def test_an_address_that_changed_twice_is_what_it_was_last(before):
    """Gone, back as another, and then another again."""
    now = before.changed(_endpoints((1, "net-a", OLD)).select(KEY), _endpoints())
    assert _found(now)[0] is None
    for id_ in (7, 8):
        rows = _endpoints((id_, "net-a", OLD))
        now = now.changed(rows.select(KEY), rows)
        assert _found(now)[0] == id_


def test_too_many_owners_at_once_are_refused_and_what_was_known_stays(before, monkeypatch):
    """The network and the address are named."""
    monkeypatch.setattr(timeline, "COVERS", -9)
    rows = _endpoints((4, "net-a", NEW), (5, "net-a", NEW))
    with pytest.raises(InventoryError, match=r"of 10\.0\.0\.2 in 'net-a'"):
        before.changed(rows.select(KEY), rows)
    assert _found(before) == [1, None, None, None]
