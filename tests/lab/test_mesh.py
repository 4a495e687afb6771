"""What the lab says where it cannot run."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from . import mesh

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One error names all of it, before anything is made."""
    monkeypatch.setattr(os, "geteuid", lambda: 1_000)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with (
        pytest.raises(mesh.LabError, match="the lab needs root, ip, nft, openssl"),
        mesh.up(tmp_path / "lab"),
    ):
        pass
    assert not (tmp_path / "lab").exists()
