"""The pane over the demo's lake: served once, asked by many tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.config import ServeConfig
from pipeline.serve import web
from pipeline.serve.engine import Engine


@pytest.fixture(scope="session")
def pane(demo: tuple[Path, str]) -> Iterator[str]:
    """Address of the page, without a slash at its end."""
    config = ServeConfig(web_listen="127.0.0.1:0")
    engine = Engine(demo[0] / "lake", config)
    page = web.start(engine, config)
    assert page
    yield page.url.rstrip("/")
    page.close()
    engine.close()
