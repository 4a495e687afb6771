"""
The recording counted by other people's programs: nfdump for flows, jq for logs.

Nothing of crosspane takes part, so that its own numbers can be held against
these. nfcapd reads no capture file: each export is sent to one, datagram by
datagram, over the loopback interface.

Before: record_demo.py. After: pipeline/demo/README.md holds the text.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scapy.layers.inet import UDP
from scapy.utils import PcapReader

_JQ = (
    '[(input_filename | split("/") | .[-1] | rtrimstr(".access.jsonl")), .traffic_direction, '
    '(.upstream_cluster // "-"), .response_code, .response_flags] | @tsv'
)
_START_SECONDS = 0.5


def markdown(demo: Path) -> str:
    """Return the counts of a recorded folder as Markdown, with the commands."""
    captures = sorted(demo.glob("captures/*/*.pcap"))
    logs = sorted(demo.glob("captures/*/*.access.jsonl"))
    parts = [
        "### Flow records, by nfdump\n",
        "Each capture's UDP payloads sent to `nfcapd -p PORT -w DIR`, then `nfdump -r FILE -I`.\n",
        "| capture | datagrams | flow records | packets | bytes | first | last |",
        "|---|---:|---:|---:|---:|---|---|",
        *(_flow_row(demo, capture) for capture in captures),
        "\n### Proxy log lines, by jq\n",
        "```sh",
        f"jq -r '{_JQ}' captures/*/*.access.jsonl | sort | uniq -c",
        "```\n",
        "| proxy | direction | upstream cluster | code | flags | lines |",
        "|---|---|---|---:|---|---:|",
        *_log_rows(logs),
        "\n### The clients' truth (`truth.json`)\n",
        "| client | service | request | status | count | body bytes |",
        "|---|---|---|---:|---:|---:|",
        *_truth_rows(demo),
    ]
    return "\n".join(parts) + "\n"


def payloads(capture: Path) -> list[bytes]:
    """Return the UDP payloads of a capture, in order."""
    with PcapReader(str(capture)) as packets:
        return [bytes(packet[UDP].payload) for packet in packets if UDP in packet]


def nfdump_totals(datagrams: list[bytes]) -> dict[str, str]:
    """Send the datagrams to an nfcapd; return what `nfdump -I` says of its file."""
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        collector = subprocess.Popen(
            ["nfcapd", "-b", "127.0.0.1", "-p", str(port), "-w", folder, "-B", "4000000"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(_START_SECONDS)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for datagram in datagrams:
                sender.sendto(datagram, ("127.0.0.1", port))
                time.sleep(0.002)
        time.sleep(_START_SECONDS)
        collector.terminate()
        collector.wait()
        file = next(Path(folder).glob("nfcapd.*"))
        said = _output("nfdump", "-r", str(file), "-I")
    pairs = (line.split(":", 1) for line in said.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def _flow_row(demo: Path, capture: Path) -> str:
    datagrams = payloads(capture)
    totals = nfdump_totals(datagrams)
    cells = [
        f"`{capture.relative_to(demo / 'captures')}`",
        str(len(datagrams)),
        *(totals[name] for name in ("Flows", "Packets", "Bytes")),
        *(_utc(totals[name]) for name in ("First", "Last")),
    ]
    return f"| {' | '.join(cells)} |"


def _utc(seconds: str) -> str:
    whole = int(seconds.partition(".")[0])
    return time.strftime("%H:%M:%S", time.gmtime(whole))


def _log_rows(logs: list[Path]) -> list[str]:
    lines = _output("jq", "-r", _JQ, *map(str, logs)).splitlines()
    counted: dict[str, int] = {}
    for line in lines:
        counted[line] = counted.get(line, 0) + 1
    rows = []
    for line, count in sorted(counted.items()):
        cells = [cell.replace("|", "\\|") or "-" for cell in line.split("\t")]
        rows.append(f"| {' | '.join(cells)} | {count} |")
    return rows


def _truth_rows(demo: Path) -> list[str]:
    return [
        f"| {row['client']} | {row['direct'] or row['service']} | {row['method']} {row['path']} "
        f"| {row['status']} | {row['count']} | {row['response_body_bytes']} |"
        for row in json.loads((demo / "truth.json").read_text())["calls"]
    ]


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.stdout.write(markdown(Path(sys.argv[1])))
