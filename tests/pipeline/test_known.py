"""What the job knows: a file that changes under it, and one with a mistake."""

import logging
import os
from pathlib import Path

import polars as pl
import pytest

from pipeline.enrich import enrich_verdicts
from pipeline.inventory import file
from pipeline.known import Known

NETWORK = '[[networks]]\nname = "dc"\nmodel = "flat"\n'
LEDGER = '[[endpoints]]\nnetwork = "dc"\nip = "10.0.0.9"\nkind = "vm"\nworkload = "ledger"\n'


def known_of(path: Path, text: str) -> Known:
    path.write_text(text)
    return Known(file.load(path), path=path)


def rewrite(path: Path, text: str) -> None:
    """Another text at another time, however fast the test is."""
    path.write_text(text)
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000_000))


def resolution(known: Known) -> str:
    """What 10.0.0.9 of network dc is, at some time."""
    at = pl.Series(["2026-11-26T12:00:00Z"]).str.to_datetime(time_unit="us", time_zone="UTC")
    row = {"network_code": [known.network_codes["dc"]], "event_time": at}
    for side in ("src", "dst"):
        row |= {f"{side}_ip_hi": [0], f"{side}_ip_lo": [0xFFFF_0A00_0009]}
    types = {name: pl.UInt64 for name in row if "_ip_" in name}
    rows = pl.DataFrame(row).cast(types | {"network_code": pl.Int32})  # type: ignore[arg-type]
    found: str = enrich_verdicts(rows, known.identities)["dst_resolution"][0]
    return found


def test_a_file_that_changes_is_read_again(tmp_path: Path):
    """What it adds is found, what it takes away is not; what changed is remembered."""
    path = tmp_path / "inventory.toml"
    known = known_of(path, NETWORK)
    known.reload()
    assert not known.touched
    assert resolution(known) == "unknown"
    rewrite(path, NETWORK + LEDGER)
    known.reload()
    assert resolution(known) == "resolved"
    assert known.touched.addresses.rows() == [("dc", 0, 0xFFFF_0A00_0009)]
    assert known.pending()["endpoints"]["workload"].to_list() == ["ledger"]
    rewrite(path, NETWORK)
    known.reload()
    assert resolution(known) == "unknown"


def test_a_file_with_a_mistake_is_told_and_the_old_one_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """Named with row and key, once."""
    path = tmp_path / "inventory.toml"
    known = known_of(path, NETWORK + LEDGER)
    rewrite(path, NETWORK + LEDGER.replace("10.0.0.9", "10.0.0.999"))
    with caplog.at_level(logging.ERROR):
        known.reload()
        known.reload()
    (told,) = caplog.messages
    assert "endpoints[0].ip" in told
    assert resolution(known) == "resolved"
