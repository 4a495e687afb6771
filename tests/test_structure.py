"""What holds for the whole tree: who imports whom, sizes, reading order, generated pages."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path for folder in ("collectors", "pipeline") for path in (ROOT / folder).rglob("*.py")
)
ALLOWED = (
    *("collectors.envelope", "collectors.change", "collectors.log"),
    *("collectors.config", "collectors.toml"),
)


def imports(path: Path) -> set[str]:
    """Modules a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{name.name}" for name in node.names}
    return found


def test_the_sources_are_found():
    """The checks below look at something."""
    assert len(SOURCES) > 30


def test_collectors_know_nothing_of_the_pipeline():
    """An agent runs without the pipeline installed."""
    guilty = {
        str(path.relative_to(ROOT)): sorted(
            name for name in imports(path) if name.startswith("pipeline")
        )
        for path in SOURCES
        if path.is_relative_to(ROOT / "collectors")
    }
    assert {path: names for path, names in guilty.items() if names} == {}


def test_the_pipeline_knows_only_the_contracts_of_collectors():
    """Envelope, log and configuration are shared; only the command line starts agents."""
    guilty = {}
    for path in SOURCES:
        if path.is_relative_to(ROOT / "pipeline") and not path.is_relative_to(
            ROOT / "pipeline/cli"
        ):
            names = {name for name in imports(path) if name.startswith("collectors.")}
            bad = sorted(name for name in names if not name.startswith(ALLOWED))
            if bad:
                guilty[str(path.relative_to(ROOT))] = bad
    assert guilty == {}


def test_dashboards_know_only_the_views():
    """They are SQL over views, and how answers are drawn: nothing of what makes the rows."""
    guilty = {
        str(path.relative_to(ROOT)): sorted(
            name for name in imports(path) if name.startswith(("collectors", "pipeline"))
        )
        for path in (ROOT / "dashboards").rglob("*.py")
        if "node_modules" not in path.parts
    }
    assert {path: names for path, names in guilty.items() if names} == {}


def test_modules_are_short():
    """About 400 lines at most: a module is read in one sitting."""
    long = {
        str(p.relative_to(ROOT)): n
        for p in SOURCES
        if (n := len(p.read_text("utf-8").splitlines())) > 430
    }
    assert long == {}


def test_modules_say_where_they_stand_on_the_path():
    """Each module's docstring ends with its neighbours on the record's path."""
    packages = {"__init__.py", "__main__.py"}
    missing = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.name not in packages | {"errors.py", "toml.py"}
        and not (
            "Before:" in (doc := ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "")
            and "After:" in doc
        )
    ]
    assert missing == []


def test_reference_pages_are_what_the_definitions_say():
    """Schema, configuration and command line pages are never stale: as `make check` looks."""
    check = [sys.executable, "-m", "docs.generate", "--check"]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("page", ["docs/life-of-a-record.md", "README.md", "CONTRIBUTING.md"])
def test_files_a_page_names_exist(page: str):
    """Paths in backticks, and links, lead somewhere."""
    import re  # noqa: PLC0415

    text = (ROOT / page).read_text("utf-8")
    named = re.findall(
        r"`((?:collectors|pipeline|tests|bench|docs|dashboards)/[\w/.-]+\.\w+)`", text
    )
    linked = [link for link in re.findall(r"\]\(([^)#:]+)\)", text) if not link.startswith("http")]
    missing = [name for name in named if not (ROOT / name).exists()]
    missing += [link for link in linked if not ((ROOT / page).parent / link).exists()]
    assert missing == []
