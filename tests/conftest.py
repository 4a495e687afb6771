"""What every test may ask for, and the rule that in CI nothing is skipped."""

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from pipeline.lake import Lake

pytest_plugins = ["apiserver", "brokers", "demo_lake", "pane_page", "postgres", "serving"]

_IN_CI = os.environ.get("CI") == "true"
_CORPUS = Path(
    os.environ.get("CROSSPANE_CORPUS", Path(__file__).resolve().parents[2] / "shared" / "data")
)

_TOGETHER = {
    "tests/lab/": "namespaces",
    "tests/integration/test_live_export.py": "namespaces",
    "tests/collectors/test_sockets.py": "namespaces",
    "tests/integration/test_sockets_to_lake.py": "namespaces",
    "tests/collectors/log/": "kafka",
    "tests/integration/test_kill.py": "kafka",
    "tests/serve/": "serve",
    "tests/dashboards/test_board_answers.py": "demo",
    "tests/dashboards/test_dashboards_double.py": "demo",
    "tests/pane/": "demo",
    "tests/test_demo.py": "demo",
    "tests/test_notebooks.py": "demo",
    "tests/test_connect.py": "demo",
    "tests/test_tutorial.py": "demo",
    "tests/pipeline/stitch/test_stitch_demo.py": "demo",
    "tests/pipeline/test_cli.py": "demo",
    "tests/pipeline/findings/test_findings_command.py": "demo",
    "tests/pipeline/test_rollup.py": "demo",
    "tests/collectors/test_kubernetes": "kube-apiserver",
    "tests/integration/test_kubernetes_": "kube-apiserver",
}
"""
Files which one worker runs, where several do: they share a server that is set
up once, or names of this machine. A file of any other is one worker's, too.
"""
_MARKERS = {"root": "namespaces", "kafka": "kafka", "kubernetes": "kube-apiserver"}

# No test asserts a time, Hypothesis' neither. In CI the examples follow from the test alone, so
# that a commit passes or fails whenever it runs, and are half as many; on a desk they are new
# each time.
settings.register_profile(
    "crosspane",
    deadline=None,
    max_examples=50 if _IN_CI else 100,
    derandomize=_IN_CI,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("crosspane")


def shared(nodeid: str) -> str:
    """Return what a test has in common with those of other files; empty if it is nothing."""
    return next((name for start, name in _TOGETHER.items() if nodeid.startswith(start)), "")


@pytest.fixture(scope="session", autouse=True)
def lakes_begin_as_copies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """
    Let a lake that is not there yet begin as a copy of one that was just made.

    Making tables and views is a second and more of each new lake, and there are hundreds.
    Programs that tests start make their own.
    """
    make = Lake.__init__
    first = tmp_path_factory.mktemp("lake") / "first"

    def copying(lake: Lake, root: Path, *, threads: int = 1) -> None:
        if not first.exists():
            make(lake, first)
            lake.close()
        if not (root / "catalog.sqlite").exists():
            shutil.copytree(first, root, dirs_exist_ok=True)
        make(lake, root, threads=threads)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lake, "__init__", copying)
        yield


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Folder of other projects' captures and logs; nothing of it is bundled."""
    if not (_CORPUS / "MANIFEST.tsv").exists():
        pytest.skip(f"no corpus at {_CORPUS}: set CROSSPANE_CORPUS to the folder of captures")
    return _CORPUS


def require_program(name: str, debian_package: str) -> str:
    """Path of a program, or skip with what to install."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/bin")
    if path is None:
        pytest.skip(f"{name} is not installed: apt-get install {debian_package}")
    return path


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse a test whose marker says that it shares something, and whose file does not."""
    for item in items:
        together = shared(item.nodeid)
        for marker, resource in _MARKERS.items():
            if item.get_closest_marker(marker) and together != resource:
                raise pytest.UsageError(f"{item.nodeid} is {marker}: name its file in _TOGETHER")
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not shared(item.nodeid))  # what takes longest begins first


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Distribute tests over workers by what they share, else by file, in their order."""
    config.option.loadscopereorder = False
    return _ByShared(config, log)


class _ByShared(LoadFileScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return shared(nodeid) or super()._split_scope(nodeid)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, with what would make it run."""
    if item.get_closest_marker("root") and os.geteuid() != 0:
        pytest.skip("needs root for network namespaces: run the tests as root")
    if item.get_closest_marker("kafka"):
        require_program("java", "openjdk-17-jre-headless")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI everything a test needs is installed, so a skip there is a failure."""
    report = yield
    if _IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {call.excinfo and call.excinfo.value}"
    return report
