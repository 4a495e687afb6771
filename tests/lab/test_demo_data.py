"""The recorded demo agrees with the topology, with itself and with its truth."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import inventory, traffic
from .names import host_name
from .places import DEMO

FOLDER = Path(__file__).resolve().parents[2] / "pipeline" / "demo"
ADDRESSES = (
    "downstream_local_address",
    "downstream_remote_address",
    "upstream_host",
    "upstream_local_address",
)
LOOPBACK = "127.0.0.6"


def test_the_inventory_is_the_topologys() -> None:
    """The file is what places.py says now, from the day of the recording on."""
    text = (FOLDER / "inventory.toml").read_text()
    began = datetime.fromisoformat(_truth()["began"]).astimezone(UTC)
    midnight = began.replace(hour=0, minute=0, second=0, microsecond=0)
    assert text == inventory.render(DEMO, midnight)


def test_every_logged_address_has_one_row_in_its_network() -> None:
    """No proxy saw an address that the inventory does not know, or knows twice."""
    known = tomllib.loads((FOLDER / "inventory.toml").read_text())
    network = {row["name"]: row["network"] for row in known["clusters"]}
    rows = Counter((row["network"], row["ip"]) for row in known["endpoints"])
    seen = {
        (network[cluster], line[key].rpartition(":")[0])
        for cluster, line in _lines()
        for key in ADDRESSES
        if line[key]
    }
    unresolved = {key for key in seen if rows[key] != 1}
    assert {address for _, address in unresolved} == {LOOPBACK}


def test_one_address_is_ambiguous_and_one_unknown() -> None:
    """The two planted addresses, and no others."""
    known = tomllib.loads((FOLDER / "inventory.toml").read_text())
    rows = Counter((row["network"], row["ip"]) for row in known["endpoints"])
    assert [key for key, count in rows.items() if count > 1] == [("net-flat", "10.20.0.50")]
    assert "198.51.100.77" not in {row["ip"] for row in known["endpoints"]}


def test_the_logs_count_what_the_clients_counted() -> None:
    """Each call through the mesh is in its client's log and in its server's."""
    truth: Counter[tuple[str, str, str, int]] = Counter()
    for call in _truth()["calls"]:
        if call["direct"] is None:
            name = f"{host_name(call['service'])}:8080"
            truth[name, call["method"], call["path"], call["status"]] += call["count"]
    logged: dict[str, Counter[tuple[str, str, str, int]]] = {
        "outbound": Counter(),
        "inbound": Counter(),
        "gateway": Counter(),
    }
    for _, line in _lines():
        key = (line["authority"], line["method"], line["path"], line["response_code"])
        logged[line["traffic_direction"]][key] += 1
    assert logged["outbound"] == truth
    assert logged["inbound"] == truth


def test_the_script_is_the_one_recorded() -> None:
    """What the clients saw is what the script asks for."""
    seen = [(call["path"], call["status"], call["count"]) for call in _truth()["calls"]]
    assert seen == [(call.path, call.status, call.count) for call in traffic.DEMO_SCRIPT]


def _truth() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / "truth.json").read_text())
    return loaded


def _lines() -> list[tuple[str, dict[str, Any]]]:
    return [
        (log.parent.name, json.loads(line))
        for log in sorted(FOLDER.glob("captures/*/*.access.jsonl"))
        for line in log.read_text().splitlines()
    ]
