"""What `crosspane demo` makes of the bundled recording: made once, and asked by many tests."""

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder `crosspane demo` wrote, and what it printed."""
    directory = tmp_path_factory.mktemp("demo") / "demo"
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "demo", "--directory", str(directory)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        env={"COLUMNS": "220", "PATH": "/usr/bin:/bin"},
        cwd=_ROOT,
    )
    assert done.returncode == 0, done.stderr
    return directory, done.stdout
