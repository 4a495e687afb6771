"""Gateways as each network sees them, whoever told of them and how often."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from pipeline import schema
from pipeline.lake import Commit, Lake

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
ONE = datetime(2026, 11, 26, 13, tzinfo=UTC)


def frame(table: schema.Table, rows: list[dict]) -> pl.DataFrame:
    return schema.complete(pl.DataFrame(rows), table.schema)


def test_a_gateway_is_one_however_often_it_was_told(tmp_path: Path):
    """Public ones are seen from every network; a network's own word comes first, then the latest."""
    public = {"network": "internet", "gateway_ip_hi": 0, "gateway_ip_lo": 0xFFFF_CB00_7114}
    west = public | {"port": 15443, "cluster": "west", "to_network": "net-west"}
    rows = [
        west | {"name": "old", "valid_from": NOON, "valid_to": ONE},
        west | {"name": "by its Service", "valid_from": ONE},
        west | {"network": "net-east", "name": "by the file"},
    ]
    vantages = [{"vantage_id": n, "network": name} for n, name in enumerate(["net-east", "lan"])]
    with Lake(tmp_path) as lake:
        commit = {"gateways": frame(schema.GATEWAYS, rows)}
        lake.commit(Commit(commit | {"vantages": frame(schema.VANTAGES, vantages)}))
        found = lake.read(
            "SELECT network, ip, port, name, cluster FROM v_gateways ORDER BY network"
        )
        assert found.rows() == [
            ("lan", "203.0.113.20", 15443, "by its Service", "west"),
            ("net-east", "203.0.113.20", 15443, "by the file", "west"),
        ]
