"""Every capture of the corpus: nothing raises, and everything is accounted for."""

import csv
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from netflow_wire import capture, count, decode, decode_files, outcomes, reasons, rows

from pipeline import schema
from pipeline.cli import main
from pipeline.rejects import Reason

CORPUS = Path(
    os.environ.get("CROSSPANE_CORPUS", Path(__file__).resolve().parents[4] / "shared" / "data")
)
SUFFIXES = (".pcap", ".pcapng", ".dat", ".bin")


def _captures() -> list[str]:
    manifest = CORPUS / "MANIFEST.tsv"
    if not manifest.exists():
        return []
    with manifest.open(newline="") as file:
        lines = list(csv.reader(file, delimiter="\t"))
    named = {
        line[0]
        for line in lines
        if len(line) > 4 and line[4].startswith("netflow") and line[0].endswith(SUFFIXES)
    }
    return sorted(named)


CAPTURES = _captures()


def test_the_captures_are_found(corpus):
    """The tests below look at something."""
    assert (corpus / "MANIFEST.tsv").exists()
    assert len(CAPTURES) > 140


@pytest.mark.parametrize("name", CAPTURES)
def test_each_payload_has_one_outcome_and_each_record_a_row(name, corpus):
    """Received = decoded + partial + rejected; rows and reasons are those that are counted."""
    messages, times, exporters = capture(corpus / name)
    decoded = decode(messages, received_ns=times, exporters=exporters)
    flows = decoded.frames["flows"]
    assert flows.schema == schema.DECODED_FLOWS
    assert sum(outcomes(decoded)) == count(decoded, "received_payloads") == len(messages)
    assert count(decoded, "received_bytes") == sum(map(len, messages))
    reverse = flows.filter(flows["biflow_direction"].fill_null(0) >= 128).height
    assert flows.height - reverse == count(decoded, "decoded_records")
    assert set(reasons(decoded)) <= set(Reason)
    assert flows["vantage"].is_between(0, len(decoded.vantages) - 1).all()


@pytest.mark.parametrize("name", CAPTURES)
def test_a_capture_cut_anywhere_near_its_end_never_gives_more_flows(name, corpus):
    """Bytes that are missing make flows fewer, never more."""
    messages, _, _ = capture(corpus / name)
    whole = decode(messages).frames["flows"].height
    for cut in (1, 3, 8, 30):
        if messages and len(messages[-1]) > cut:
            shorter = decode([*messages[:-1], messages[-1][:-cut]])
            assert shorter.frames["flows"].height <= whole


@pytest.mark.parametrize(
    "name", [name for name in CAPTURES if any(w in name for w in ("invalid", "segv", "truncat"))]
)
def test_damaged_captures_invent_no_flows(name, corpus):
    """Files named invalid, segv or truncated give no rows."""
    assert decode_files(corpus / name).frames["flows"].height == 0


@pytest.mark.parametrize("name", [name for name in CAPTURES if "/sflow" in name])
def test_another_protocol_is_rejected_with_its_reason(name, corpus):
    """A capture of sFlow is no NetFlow: a version nobody knows, and no rows."""
    decoded = decode_files(corpus / name)
    assert reasons(decoded) == {"version_unknown": len(decoded.rejects)}
    assert rows(decoded) == []


@pytest.mark.parametrize(
    ("name", "records"),
    [
        ("logstash-codec-netflow/netflow5_test_microtik.dat", 30),
        ("logstash-codec-netflow/ipfix.dat", 12),
        ("graylog-netflow/pmacctd-netflow5.pcap", 42),
        ("akvorado/netflow/testdata/nat.pcap", 9),
        ("scapy/netflowv9.pcap", 24),
        ("telegraf-netflow/netflow_v9_example/netflow_v9.bin", 8),
    ],
)
def test_the_command_line_prints_a_row_a_record(name, records, corpus):
    """`crosspane decode --stats` exits with 0, prints rows, and counts them."""
    result = CliRunner().invoke(
        main, ["decode", str(corpus / name), "--format", "jsonl", "--stats"]
    )
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == records
    stats = json.loads(result.stderr.splitlines()[-1])
    assert stats["records"]["decoded"] == records
    assert stats["damaged_files"] == {}
