"""The page is what its sources say: types, tests of its parts, and the build that is checked in."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from cache import kept
from conftest import require_program

PANE = Path(__file__).parents[2] / "dashboards" / "pane"


def _install(folder: Path) -> None:
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(PANE / name, folder / name)
    subprocess.run(
        ["npm", "ci", "--ignore-scripts"], cwd=folder, check=True, capture_output=True, timeout=110
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources without anything built, and the packages that the lock names."""
    require_program("npm", "npm")
    lock = hashlib.sha256((PANE / "package-lock.json").read_bytes()).hexdigest()[:12]
    packages = kept(f"pane-packages-{lock}", _install) / "node_modules"
    folder = tmp_path_factory.mktemp("pane") / "pane"
    shutil.copytree(PANE, folder, ignore=shutil.ignore_patterns("node_modules", "dist", "built"))
    (folder / "node_modules").symlink_to(packages)
    return folder


def _run(copy: Path, script: str) -> None:
    done = subprocess.run(
        ["npm", "run", "--silent", script],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_checked_in_build_is_what_the_sources_make(copy: Path):
    """Byte for byte: nobody has to trust a bundle."""
    _run(copy, "build")
    made = {path.name: path.read_bytes() for path in (copy / "dist").iterdir()}
    there = {path.name: path.read_bytes() for path in (PANE / "dist").iterdir()}
    assert sorted(made) == sorted(there)
    stale = [name for name, content in made.items() if there[name] != content]
    assert stale == [], "run `npm run build` in dashboards/pane"


def test_types_hold(copy: Path):
    """TypeScript's strict rules."""
    _run(copy, "check")


def test_parts_of_the_page(copy: Path):
    """Units, links, spans and layouts, with expected values worked out by hand."""
    _run(copy, "test")


def test_packages_say_no_place_they_came_from():
    """The lock has each package's hash, which is enough, and no host's name."""
    assert "://" not in (PANE / "package-lock.json").read_text("utf-8")
