"""Notebooks run on the demo's lake, from the first cell to the last."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore")  # the kernel's and the client's own
def test_a_notebook_runs(path: Path, demo: tuple[Path, str], monkeypatch: pytest.MonkeyPatch):
    """Every cell runs, and every code cell but the first shows something."""
    monkeypatch.setenv("CROSSPANE_LAKE", str(demo[0] / "lake"))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs for cell in code[1:])
