"""Node's client, pg: text results, typed parameters, prepared statements, pools, TLS."""

import json
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cache import kept
from conftest import require_program
from serving import PASSWORD, Served

_FOLDER = Path(__file__).parent / "node"


def _modules() -> Path:
    """Folder with the packages of package-lock.json, fetched if they are not there."""
    lock = (_FOLDER / "package-lock.json").read_bytes()
    return kept(f"node-pg-{sha256(lock).hexdigest()[:12]}", _fetch)


def _fetch(folder: Path) -> None:
    npm = require_program("npm", "npm")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_FOLDER / name, folder)
    subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=folder, check=True, timeout=200)


@pytest.fixture(scope="module")
def said(served: Served) -> dict[str, Any]:
    """What the program printed, by name."""
    node = require_program("node", "nodejs")
    modules = _modules()
    shutil.copy(_FOLDER / "matrix.mjs", modules)  # it looks for packages beside itself
    done = subprocess.run(
        [node, "matrix.mjs", served.host, str(served.port), PASSWORD, served.certificate],
        cwd=modules,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return dict(map(json.loads, done.stdout.splitlines()))


def test_every_type_arrives(said: dict[str, Any]):
    """Numbers of the types, values as JavaScript has them, and nulls."""
    assert said["types"] == {
        "number": 20, "yes": 16, "tiny": 21, "grpc_status": 21, "small": 21, "status": 23,
        "whole": 23, "attempts": 20, "big": 20, "bytes": 1700, "huge": 1700, "single": 700,
        "share": 701, "confidence": 1700, "name": 25, "raw": 17, "day": 1082, "clock": 1083,
        "local_time": 1114, "seen_time": 1184, "took": 1186, "id": 2950, "labels": 114,
        "seen_by": 1009, "counts": 1231, "times": 1185, "durations": 114, "outcomes": 114,
    }  # fmt: skip
    assert said["values"] == {
        "number": "1", "yes": True, "tiny": -8, "grpc_status": 200, "small": -300,
        "status": 65_535, "whole": 70_000, "attempts": "4294967295", "big": "9007199254740993",
        "bytes": "18446744073709551615", "huge": "-170141183460469231731687303715884105727",
        "single": 0.5, "share": 0.1, "confidence": "1.5", "name": "Zürich ☃ 'quoted' \\ \"",
        "raw": "00ff5c61", "day": "2026-11-20", "clock": "23:59:59.999999",
        "local_time": "2026-11-20 01:02:03.456789", "seen_time": "2026-11-20 01:02:03.456789+00",
        "took": "1 mon 2 days 03:04:05.5", "id": "9f8e7d6c-0000-4000-8000-00000000002a",
        "labels": {"a": [1, None]}, "seen_by": ["a", None, "b,c", '"', ""],
        "counts": [1, None, 18_446_744_073_709_552_000], "times": ["2026-11-20T00:00:00.000Z"],
        "durations": [{"bucket": 3, "calls": 2}], "outcomes": {"ok": 7},
    }  # fmt: skip
    assert said["nulls"] == []
    assert said["tag"] == ["SELECT", 2]


def test_what_is_asked_is_answered(said: dict[str, Any]):
    """Parameters, prepared statements, several statements, none; a pool of five."""
    assert said["parameters"] == [{"number": "1"}]
    assert said["prepared"] == [[{"doubled": 8}], [{"doubled": 10}]]
    assert said["several"] == [[{"a": 1}], [{"b": "x"}]]
    assert said["as arrays"] == [[1, 2]]
    assert said["no statement"] == [[], []]
    assert said["pool"] == [*range(20)]
    assert said["TLS"] == [{"a": 1}]


def test_refusals(said: dict[str, Any]):
    """States by which a program tells what is wrong; the connection goes on."""
    assert said["refused"] == ["42703", "25006", "42501"]
    assert said["goes on"] == [{"a": 1}]
    assert said["wrong password"] == "28P01"
