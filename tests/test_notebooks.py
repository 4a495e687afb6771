"""Notebooks on the demo's lake: every cell runs, and shows what the notebook was kept with."""

import ast
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import nbformat
import pytest

from notebooks import run
from pipeline import schema


@pytest.fixture(scope="module")
def executed(demo: tuple[Path, str]) -> dict[Path, Any]:
    """All of them, in one kernel: it takes seconds to start."""
    notebooks = run.execute(run.NOTEBOOKS, demo[0] / "lake")
    return dict(zip(run.NOTEBOOKS, notebooks, strict=True))


def test_there_are_notebooks():
    """As many as people were promised, in order."""
    assert [path.stem for path in run.NOTEBOOKS] == [
        "01_tour",
        "02_gateway_cost",
        "03_incident",
        "04_policy",
        "05_address_space",
        "06_capacity",
    ]


@pytest.mark.parametrize("path", run.NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")  # the kernel's and the client's own
def test_a_notebook_shows_what_it_was_kept_with(path: Path, executed: dict[Path, Any]):
    """Every code cell shows something; texts are those in the repository, pictures are pictures."""
    kept = nbformat.read(path, as_version=4)
    code = [cell for cell in executed[path].cells if cell.cell_type == "code"]
    assert all(cell.outputs for cell in code)
    assert run.shown(executed[path]) == run.shown(kept), "if it should: python -m notebooks.run"
    assert executed[path].metadata == kept.metadata
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))


@pytest.mark.parametrize("path", run.NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_begins_with_the_one_line(path: Path):
    """It connects, and asks what data there is; pictures keep it small."""
    notebook = nbformat.read(path, as_version=4)
    title, first = notebook.cells[:2]
    assert title.source.startswith("# ")
    assert "pane = crosspane.connect()\nprint(pane.span())" in first.source
    assert path.stat().st_size < 250_000


@pytest.mark.parametrize("path", run.NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_knows_only_views(path: Path):
    """It reads no table, which may change between versions, and imports nothing of the pipeline."""
    cells = nbformat.read(path, as_version=4).cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    read = set(re.findall(r"\b(?:FROM|JOIN)\s+(\w+)", code))
    assert any(name.startswith("v_") for name in read)
    assert read & {table.name for table in schema.TABLES} == set()
    imported = {
        name.name for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import)
        for name in node.names
    }  # fmt: skip
    assert "ImportFrom" not in ast.dump(ast.parse(code))
    assert imported <= {"altair", "crosspane", "json", "polars", "subprocess", "sys"}


def test_what_varies_is_not_compared():
    """A cell with that tag is empty; of a picture there is only that it is one."""
    picture = nbformat.v4.new_output("display_data", {"image/png": "aGk="})
    text = nbformat.v4.new_output("stream", name="stdout", text="03:04\n")
    cells = [
        nbformat.v4.new_code_cell(outputs=[picture, text]),
        nbformat.v4.new_code_cell(outputs=[text], metadata={"tags": ["varies"]}),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    assert run.shown(notebook) == [["a picture", "03:04\n"], []]


def test_a_picture_compressed_is_the_same_picture():
    """Its pixels and its other chunks are kept, in their order, with the checksums PNG asks for."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    pixels = b"\x00" + b"\x10\x20\x30" * 400
    loose = zlib.compress(pixels, 0)
    head, size, end = b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", b"thirteen byte"), chunk(b"IEND", b"")
    halves = chunk(b"IDAT", loose[:500]) + chunk(b"IDAT", loose[500:])
    tight = run.compressed(head + size + halves + end)
    assert tight == head + size + chunk(b"IDAT", zlib.compress(pixels, 9)) + end
    assert len(tight) < 150
