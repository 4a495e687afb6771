"""What is checked in is what the boards say."""

from dashboards.boards import BOARDS
from dashboards.write import ROOT, files
from pipeline.serve.boards import Boards


def test_generated_files_are_what_the_boards_say():
    """Grafana and the page read what the builder makes today."""
    made = files()
    stale = [
        name
        for name, text in made.items()
        if not (ROOT / name).exists() or (ROOT / name).read_text("utf-8") != text
    ]
    assert stale == [], "run `python -m dashboards`"


def test_nothing_else_is_among_the_generated():
    """A board that is gone is gone from what Grafana reads."""
    found = {str(path.relative_to(ROOT)) for path in (ROOT / "dashboards/grafana").iterdir()}
    assert found == {name for name in files() if name.startswith("dashboards/grafana/")}


def test_the_page_lists_dashboards_in_the_order_of_boards():
    """Its server reads what is generated, not the boards: they read every query when they start."""
    assert [one["uid"] for one in Boards().listed()] == [board.json()["uid"] for board in BOARDS]
