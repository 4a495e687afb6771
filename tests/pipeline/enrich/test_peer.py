"""The peer of a sample: what its address was when it was scraped."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from pipeline import schema
from pipeline.enrich import ENRICHERS, Identities
from pipeline.inventory import file as inventory

POD, NOBODY = 0xFFFF_0A00_0001, 0xFFFF_0A00_0002


def one_pod(valid_to: datetime | None) -> inventory.Inventory:
    missing = ["cluster", "namespace", "service", "pod", "node", "zone", "identity"]
    endpoints = pl.DataFrame({"ip": ["10.0.0.1"], "workload": ["web"]}).with_columns(
        pl.lit("net").alias("network"),
        pl.lit("pod").alias("kind"),
        *(pl.lit(None, pl.String).alias(name) for name in missing),
        pl.lit(None, schema.TIME).alias("valid_from"),
        pl.lit(valid_to, schema.TIME).alias("valid_to"),
    )
    networks = pl.DataFrame({"name": ["net"], "model": ["flat"]})
    return inventory.build({"networks": networks, "endpoints": endpoints})


@pytest.mark.parametrize("table", ["proxy_samples", "control_plane"])
def test_a_peer_is_resolved_in_the_targets_network(table):
    """One endpoint had the address then; of another address none is known; no address, no answer."""
    known = one_pod(valid_to=None)
    rows = pl.DataFrame(
        {
            "network_code": pl.Series([0, 0, 0, None], dtype=pl.Int32),
            "peer_ip_hi": pl.Series([0, 0, None, 0], dtype=pl.UInt64),
            "peer_ip_lo": pl.Series([POD, NOBODY, None, POD], dtype=pl.UInt64),
            "received_time": pl.Series([datetime(2026, 1, 1, tzinfo=UTC)] * 4, dtype=schema.TIME),
        }
    )
    found = ENRICHERS[table](rows, Identities.of(known))
    (endpoint,) = known.endpoints["endpoint_id"]
    assert found.select("peer_endpoint_id", "peer_resolution").rows() == [
        (endpoint, "resolved"),
        (None, "unknown"),
        (None, "unknown"),
        (None, "unknown"),
    ]
    assert found.columns[:4] == rows.columns


def test_what_was_probed_is_looked_up_as_of_the_probes_start():
    """A pod that was gone when the result came was there when the try began."""
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    known = one_pod(valid_to=noon)
    times = [noon - timedelta(seconds=1), noon + timedelta(seconds=1)]
    rows = pl.DataFrame(
        {
            "network_code": pl.Series([0, 0], dtype=pl.Int32),
            "peer_ip_hi": pl.Series([0, 0], dtype=pl.UInt64),
            "peer_ip_lo": pl.Series([POD, POD], dtype=pl.UInt64),
            "start_time": pl.Series(times, dtype=schema.TIME),
            "received_time": pl.Series([times[1]] * 2, dtype=schema.TIME),
        }
    )
    found = ENRICHERS["probes"](rows, Identities.of(known))
    assert found["peer_resolution"].to_list() == ["resolved", "unknown"]
    assert found.columns[:5] == rows.columns
