"""The peer of a sample: what its address was when it was scraped."""

from datetime import UTC, datetime

import polars as pl
import pytest

from pipeline import schema
from pipeline.enrich import ENRICHERS, Identities
from pipeline.inventory import file as inventory

POD, NOBODY = 0xFFFF_0A00_0001, 0xFFFF_0A00_0002


@pytest.mark.parametrize("table", ["proxy_samples", "control_plane"])
def test_a_peer_is_resolved_in_the_targets_network(table):
    """One endpoint had the address then; of another address none is known; no address, no answer."""
    missing = ["cluster", "namespace", "service", "pod", "node", "zone", "identity"]
    endpoints = pl.DataFrame({"ip": ["10.0.0.1"], "workload": ["web"]}).with_columns(
        pl.lit("net").alias("network"),
        pl.lit("pod").alias("kind"),
        *(pl.lit(None, pl.String).alias(name) for name in missing),
        *(pl.lit(None, schema.TIME).alias(name) for name in ("valid_from", "valid_to")),
    )
    networks = pl.DataFrame({"name": ["net"], "model": ["flat"]})
    known = inventory.build({"networks": networks, "endpoints": endpoints})
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
