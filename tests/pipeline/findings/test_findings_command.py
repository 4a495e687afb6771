"""`crosspane findings` over the demo's lake: what is open there, and its evidence."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline.cli import main
from pipeline.findings.stage import findings
from pipeline.lake import Lake
from pipeline.windows import Window

MINUTE = Window(datetime(2026, 11, 24, 3, 4, tzinfo=UTC), datetime(2026, 11, 24, 3, 5, tzinfo=UTC))


@pytest.fixture(scope="module")
def lake(demo: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A copy of the demo's lake, with what is found in its last minute, and nothing found before."""
    folder = tmp_path_factory.mktemp("findings") / "lake"
    shutil.copytree(demo[0] / "lake", folder)
    with Lake(folder) as opened:
        for table in ("findings", "finding_runs"):
            opened.connection.execute(f"DELETE FROM {table}")
        done = findings(opened, MINUTE)
        assert done is not None
        opened.commit(done)
    return str(folder)


def crosspane(*arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def listed(lake: str, *options: str) -> list[dict[str, str]]:
    return json.loads(crosspane("findings", "--lake", lake, "--format", "json", *options).stdout)


def test_what_is_wrong_in_the_demo(lake: str):
    """Its script's faults, and an address of two owners that its inventory declares; nothing else."""
    found = [(row["severity"], row["kind"], row["entity"]) for row in listed(lake)]
    assert found == [
        ("error", "ip_conflict", "net-flat 10.20.0.50/32"),
        ("error", "unhealthy_service", "cluster-west/shop/recommendations"),
        (
            "warning",
            "policy_denials",
            "cluster-edge/shop/telemetry -> cluster-onprem/shop/billing:8080",
        ),
        ("warning", "unhealthy_service", "cluster-east/shop/cart"),
        ("warning", "unhealthy_service", "cluster-west/shop/reviews"),
    ]


def test_findings_are_chosen(lake: str):
    """By severity and worse, by kind, by part of the name; none is none."""
    assert len(listed(lake, "--severity", "error")) == 2
    assert len(listed(lake, "--kind", "unhealthy_service", "--entity", "SHOP/C")) == 1
    assert listed(lake, "--entity", "' OR true --") == []
    assert "No findings." in crosspane("findings", "--lake", lake, "--entity", "nobody").stdout


def test_findings_for_people(lake: str):
    """Severity, kind, entity and id; what is wrong; what to do."""
    printed = crosspane("findings", "--lake", lake, "--kind", "ip_conflict").stdout
    assert printed.splitlines() == [
        "error ip_conflict net-flat 10.20.0.50/32  5334902553b214db",
        "    vm cluster-edge/legacy-vm and pod cluster-onprem/shop/batch-0 have this address at one time",
        "    Give one of the two another address; until then, traffic of both cannot be told apart.",
        "    2026-11-24 03:05 to now UTC",
    ]


def test_what_suffers_is_listed_with_its_cause(lake: str):
    """And is no finding of its own."""
    printed = crosspane("findings", "--lake", lake, "--entity", "recommendations").stdout
    assert printed.splitlines()[3].split(", ") == [
        "    Suffer: cloud_link aws/us-east-1 -> gcp/us-west1",
        "cluster cluster-west",
        "edge cluster-east/shop/frontend -> cluster-west/shop/recommendations",
        "workload cluster-east/shop/frontend",
    ]


def test_the_exit_code_is_for_scripts(lake: str):
    """0 unless asked for; then 1 if any that is shown is so severe."""
    arguments = ("findings", "--lake", lake)
    assert crosspane(*arguments).exit_code == 0
    assert crosspane(*arguments, "--fail-on", "error").exit_code == 1
    cart = (*arguments, "--entity", "shop/cart")
    assert crosspane(*cart, "--fail-on", "error").exit_code == 0
    assert crosspane(*cart, "--fail-on", "warning").exit_code == 1


def test_evidence_of_each_finding_has_rows(lake: str):
    """Each query runs as it stands, in a lake that goes on."""
    counts = {}
    for row in listed(lake):
        shown = crosspane("findings", "--lake", lake, "--evidence", row["id"], "--format", "json")
        counts[row["entity"]] = len(json.loads(shown.stdout)["rows"])
    assert counts == {
        "net-flat 10.20.0.50/32": 2,
        "cluster-west/shop/recommendations": 36,
        "cluster-edge/shop/telemetry -> cluster-onprem/shop/billing:8080": 1,
        "cluster-east/shop/cart": 100,
        "cluster-west/shop/reviews": 100,
    }
    shown = crosspane("findings", "--lake", lake, "--evidence", "5334902553b214db")
    assert shown.stdout.startswith("FROM v_endpoints WHERE network = 'net-flat' AND")
    assert "2 rows" in shown.stdout


@pytest.mark.parametrize("wrong", ["xyz", "00000000000000ff", "' OR true --", "f" * 40])
def test_an_id_that_is_none_is_said_so(lake: str, wrong: str):
    """Exit code 2, and which."""
    result = crosspane("findings", "--lake", lake, f"--evidence={wrong}")
    assert result.exit_code == 2
    assert wrong in result.stderr
