"""`crosspane lab`: up in one command, down in another, and what is between."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from . import mesh, netns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working directory in which a lab was brought up."""
    directory = tmp_path_factory.mktemp("up")
    try:
        done = crosspane(directory, "lab", "up", "--directory", "lab")
        assert done.returncode == 0, done.stderr
        assert "13 proxies in 4 clusters are up" in done.stderr
        yield directory
    finally:
        crosspane(directory, "lab", "down")


def crosspane(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.cli", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def test_it_stays_up(here: Path) -> None:
    """Another command finds 13 live proxies, all they call healthy, no fault on."""
    told = _json(crosspane(here, "lab", "status", "--format", "json"))
    assert told["directory"] == str(here / "lab")
    assert [row["live"] for row in told["proxies"]] == [True] * 13
    assert all(row["endpoints"] == row["healthy_endpoints"] for row in told["proxies"])
    assert told["faults"] == []


def test_configurations_that_watch_it_are_right(here: Path) -> None:
    """By each channel: five agents, three networks, four clusters, and the inventory beside."""
    for channel in ("als", "files"):
        done = crosspane(here, "check", "--config", f"lab/{channel}.toml")
        assert done.returncode == 0, done.stderr
        assert "configuration: 5 agents" in done.stdout
        assert "inventory: 3 networks, 4 clusters" in done.stdout
        assert "warning" not in done.stdout


def test_one_lab_at_a_time(here: Path, tmp_path: Path) -> None:
    """A second one is refused, by the command and by a test, and the first stays."""
    second = crosspane(here, "lab", "up", "--directory", str(tmp_path / "lab"))
    assert (second.returncode, str(here / "lab") in second.stderr) == (1, True)
    with pytest.raises(mesh.LabError, match="another lab is running"), mesh.up(tmp_path / "lab"):
        pass
    told = _json(crosspane(here, "lab", "status", "--format", "json"))
    assert sum(row["live"] for row in told["proxies"]) == 13


def test_a_fault_goes_on_and_off_from_other_commands(here: Path) -> None:
    """One command breaks the gateway, another sees it, a third mends it."""
    assert crosspane(here, "lab", "fault", "gateway_down").returncode == 0
    again = crosspane(here, "lab", "fault", "gateway_down")
    assert (again.returncode, "gateway_down is on already" in again.stderr) == (1, True)
    told = _json(crosspane(here, "lab", "status", "--format", "json"))
    assert told["faults"] == ["gateway_down"]
    assert [row["proxy"] for row in told["proxies"] if not row["live"]] == ["west-eastwest"]
    assert crosspane(here, "lab", "fault", "--undo").stdout == "gateway_down is off\n"
    told = _json(crosspane(here, "lab", "status", "--format", "json"))
    assert (told["faults"], {row["live"] for row in told["proxies"]}) == ([], {True})


def test_a_fault_that_is_none_is_refused(here: Path) -> None:
    """Asked wrongly is exit code 2, with the names there are."""
    done = crosspane(here, "lab", "fault", "rain")
    assert (done.returncode, "gateway_blackholed" in done.stderr) == (2, True)


def test_a_folder_of_others_is_not_deleted(here: Path) -> None:
    """Neither is a lab brought up over it."""
    (here / "mine").mkdir()
    (here / "mine" / "thesis.txt").write_text("precious")
    assert crosspane(here, "lab", "up", "--directory", "mine").returncode == 2
    assert (here / "mine" / "thesis.txt").read_text() == "precious"


def test_traffic_is_told_as_clients_saw_it(here: Path) -> None:
    """Every call of the script, with the status it is there for."""
    rows = _json(crosspane(here, "lab", "traffic", "--for", "1s", "--format", "json"))
    assert sum(row["count"] for row in rows) == 244
    assert {row["status"]: 0 for row in rows}.keys() == {200, 201, 403, 404, 500, 503}


def test_down_leaves_nothing(here: Path) -> None:
    """No namespace, no lab for other commands; a second time there is nothing to do."""
    assert "the lab is down" in crosspane(here, "lab", "down").stderr
    assert netns.namespaces() == []
    assert "no lab was up" in crosspane(here, "lab", "down").stderr
    status = crosspane(here, "lab", "status")
    assert (status.returncode, "no lab is up" in status.stderr) == (1, True)


def _json(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
