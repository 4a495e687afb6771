"""
Notebooks executed, one after the other in one kernel, and their outputs kept.

    crosspane demo && python -m notebooks.run     # after a change of a notebook or a view

A kernel and its imports take seconds, so there is one; each notebook begins with no names.

Before: crosspane.py. After: tests/test_notebooks.py.
"""

import base64
import os
import struct
import sys
import zlib
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import nbformat
from nbclient import NotebookClient

import crosspane

FOLDER: Final = Path(__file__).parent
NOTEBOOKS: Final = sorted(FOLDER.glob("*.ipynb"))
TIMEOUT_S: Final = 60
"""Of a cell."""
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"


def execute(paths: Sequence[Path], lake: Path) -> list[Any]:
    """
    Return the notebooks with the outputs they have on this lake, cells numbered from 1.

    What a cell raises is its output, and the next go on.
    """
    read = [nbformat.read(path, as_version=4).cells for path in paths]
    cells = [cell for each in read for cell in (nbformat.v4.new_code_cell("%reset -f"), *each)]
    one = nbformat.v4.new_notebook(cells=cells)
    client = NotebookClient(
        one, kernel_name="python3", timeout=TIMEOUT_S, record_timing=False, allow_errors=True
    )
    modules = os.pathsep.join(filter(None, (str(FOLDER.parent), os.environ.get("PYTHONPATH"))))
    here = os.path.relpath(lake, FOLDER)
    environment = {**os.environ, "CROSSPANE_LAKE": here, "PYTHONPATH": modules}
    client.execute(cwd=str(FOLDER), env=environment)
    left = iter(one.cells)
    notebooks = []
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        notebook.cells = list(islice(left, 1, 1 + len(notebook.cells)))
        _number(notebook)
        notebooks.append(notebook)
    return notebooks


def _number(notebook: Any) -> None:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        cell.execution_count = number
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number


def shown(notebook: Any) -> list[list[str]]:
    """
    Text that each code cell shows; of a picture, that it is one.

    Cells with the tag ``varies`` show something else at each run, and are empty here.
    """
    return [
        [] if "varies" in cell.metadata.get("tags", ()) else [_text(one) for one in cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def _text(output: Any) -> str:
    if output.output_type == "stream":
        return str(output.text)
    if output.output_type == "error":
        return f"{output.ename}: {output.evalue}"
    return str(output.data.get("text/plain", "a picture"))


def compressed(png: bytes) -> bytes:
    """
    Return the same picture in fewer bytes: vl-convert writes them in a hurry, five times as large.

    Source: Portable Network Graphics (Third Edition), section 5: chunks of length, type, data
    and CRC; one stream of zlib in all of those that are IDAT.
    """
    chunks = []
    at = len(_SIGNATURE)
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        chunks.append((kind, png[at + 8 : at + 8 + length]))
        at += 12 + length
    pixels = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    first = next(n for n, (kind, _) in enumerate(chunks) if kind == b"IDAT")
    rest = [one for one in chunks if one[0] != b"IDAT"]
    rest.insert(first, (b"IDAT", zlib.compress(pixels, 9)))
    return _SIGNATURE + b"".join(
        struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in rest
    )


def main() -> None:
    """Execute all on the lake that is found, and write what they show."""
    executed = execute(NOTEBOOKS, crosspane.connect().lake.resolve())
    for path, notebook in zip(NOTEBOOKS, executed, strict=True):
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
        for output in outputs:
            if output.output_type == "error":
                sys.exit(f"{path.name}: {_text(output)}")
            if picture := output.get("data", {}).get("image/png"):
                smaller = compressed(base64.b64decode(picture))
                output.data["image/png"] = base64.b64encode(smaller).decode()
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
