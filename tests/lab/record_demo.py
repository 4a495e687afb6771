"""
Record the demo's data: the lab's flow exports, proxy logs, inventory and truth.

    python -m tests.lab.record_demo pipeline/demo

The order at the end matters: sidecars go first, so that the gateways still
log the connections that close; then the gateways; then the exporters, which
send what they hold; then the captures. README.md keeps its text; the part
between its two `counts` comments is written anew.

Before: traffic.py, exporters.py. After: `crosspane demo` reads the folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from . import exporters, inventory, mesh, report, traffic
from .places import DEMO

SECONDS = 80.0
_SETTLE_SECONDS = 1.5
_BEGIN, _END = "<!-- counts: begin -->", "<!-- counts: end -->"


def record(demo: Path, seconds: float = SECONDS) -> None:
    """Bring the mesh up, run the script, and write the folder `demo`."""
    scratch_directory = tempfile.TemporaryDirectory(prefix="cp-lab-")
    with scratch_directory as scratch, mesh.up(Path(scratch), DEMO) as lab:
        versions = _versions()
        sinks = exporters.start(lab)
        began = datetime.now(tz=UTC)
        rows = traffic.run(DEMO, traffic.DEMO_SCRIPT, seconds)
        ended = datetime.now(tz=UTC)
        lab.end_traffic(_SETTLE_SECONDS)
        time.sleep(_SETTLE_SECONDS)
        exporters.stop(lab)
        for sink in sinks:
            sink.close()
        _copy(lab, demo)
    truth = {
        "began": began.isoformat(timespec="milliseconds"),
        "ended": ended.isoformat(timespec="milliseconds"),
        "versions": versions,
        "calls": traffic.as_json(rows),
    }
    (demo / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")
    midnight = began.replace(hour=0, minute=0, second=0, microsecond=0)
    (demo / "inventory.toml").write_text(inventory.render(DEMO, midnight))
    _write_counts(demo)


def _copy(lab: mesh.Mesh, demo: Path) -> None:
    captures = demo / "captures"
    shutil.rmtree(captures, ignore_errors=True)
    for cluster in lab.topology.clusters:
        folder = captures / cluster.name
        folder.mkdir(parents=True)
        shutil.copy2(exporters.capture(lab, cluster), folder / f"{cluster.flow_format}.pcap")
        for log in sorted((lab.directory / "logs" / cluster.name).glob("*.jsonl")):
            shutil.copy2(log, folder / log.name)
    for file in captures.rglob("*.*"):
        file.chmod(0o644)


def _versions() -> dict[str, str]:
    beside = Path(sys.executable).parent / "envoy"
    envoy = _first_line(str(beside) if beside.exists() else "envoy", "--version")
    softflowd = next(
        line for line in _lines("softflowd", "-h") if line.startswith("This is softflowd version")
    )
    return {
        "envoy": envoy.split("version:")[-1].split("/")[1],
        "softflowd": softflowd.split()[4].rstrip("."),
        "tcpdump": _first_line("tcpdump", "--version").split()[-1],
        "nfdump": _first_line("nfdump", "-V").split()[-1],
        "kernel": os.uname().release.split("-")[0],
    }


def _first_line(*command: str) -> str:
    return next(line.strip() for line in _lines(*command) if line.strip())


def _lines(*command: str) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).splitlines()


def _write_counts(demo: Path) -> None:
    readme = demo / "README.md"
    text = readme.read_text() if readme.exists() else f"# Demo data\n\n{_BEGIN}\n{_END}\n"
    before, _, rest = text.partition(_BEGIN)
    after = rest.partition(_END)[2]
    truth = json.loads((demo / "truth.json").read_text())
    versions = ", ".join(f"{name} {value}" for name, value in truth["versions"].items())
    recorded = f"Traffic from {truth['began']} to {truth['ended']}. Versions: {versions}.\n"
    counts = f"{_BEGIN}\n{recorded}\n{report.markdown(demo)}{_END}"
    readme.write_text(before + counts + after)


if __name__ == "__main__":
    record(Path(sys.argv[1]), *map(float, sys.argv[2:3]))
