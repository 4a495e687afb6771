"""
The pane in Chromium, over the demo's lake: clicked through, and by keyboard alone.

With CROSSPANE_SCREENSHOTS=1 the pictures of `docs/images` are taken anew.
"""

import os
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import require_program
from playwright.sync_api import Browser, Page, expect, sync_playwright

UIDS = (
    "overview",
    "topology",
    "service",
    "edge",
    "clusters",
    "flows",
    "security",
    "ipspace",
    "pipeline",
)
_IMAGES = Path(__file__).parents[2] / "docs" / "images"
_WIDTH, _HEIGHT = 1400, 700
_PICTURED = 1_560
"""As much of a board as a picture shows."""
_CHOSEN = {
    "service": "?from=first&to=last&var-service=cluster-west/shop/reviews",
    "edge": "?from=first&to=last&var-source=cluster-east/shop/frontend"
    "&var-target=cluster-west/shop/reviews",
}
"""Boards of one thing: one with something to see."""
_PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = require_program("chromium", "chromium")
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as play:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        yield play.chromium.launch(executable_path=chromium, args=options)


class Opened(NamedTuple):
    """A tab, and what its console has said."""

    page: Page
    said: list[str]


def _tab(browser: Browser, pane: str) -> Opened:
    page = browser.new_page(
        base_url=pane,
        viewport={"width": _WIDTH, "height": _HEIGHT},
        color_scheme="light",
        timezone_id="UTC",
        reduced_motion="reduce",
    )
    page.set_default_timeout(_PATIENCE_MS)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    return Opened(page, said)


@pytest.fixture
def page(browser: Browser, pane: str) -> Iterator[Page]:
    """A tab of its own; what its console says is a failure."""
    page, said = _tab(browser, pane)
    yield page
    page.close()
    assert said == []


@pytest.fixture(scope="module")
def boards(browser: Browser, pane: str) -> Callable[[str], Opened]:
    """Boards with every panel answered, each loaded once: `boards(name)`."""

    @cache
    def opened(name: str) -> Opened:
        tab = _tab(browser, pane)
        tab.page.goto(f"/d/crosspane-{name}{_CHOSEN.get(name, '')}")
        expect(tab.page.locator("main .panel").first).to_be_visible()
        height = tab.page.evaluate("document.documentElement.scrollHeight")
        tab.page.set_viewport_size({"width": _WIDTH, "height": max(_HEIGHT, height)})
        waiting = tab.page.locator(".panel[aria-busy], .panel:not([data-state])")
        expect(waiting).to_have_count(0)
        return tab

    return opened


def _picture(page: Page, name: str, tmp_path: Path) -> None:
    """Keep what is seen: in the documentation if asked to."""
    folder = tmp_path
    if os.environ.get("CROSSPANE_SCREENSHOTS") == "1":
        folder = _IMAGES
        folder.mkdir(exist_ok=True)
    height = min(_PICTURED, page.viewport_size["height"])
    page.screenshot(
        path=folder / f"{name}.png", clip={"x": 0, "y": 0, "width": _WIDTH, "height": height}
    )


@pytest.mark.parametrize("name", UIDS)
def test_every_panel_of_every_board_shows_something(
    boards: Callable[[str], Opened], tmp_path: Path, name: str
):
    """Or says that there is no data; none fails, and the browser has nothing to complain of."""
    page, said = boards(name)
    panels = {
        panel.locator("h3").text_content(): (
            panel.get_attribute("data-state"),
            panel.locator(".panel-body").inner_text().strip(),
            panel.locator(".panel-body canvas, .panel-body svg").count(),
        )
        for panel in page.locator(".panel").all()
    }
    assert [
        (title, words) for title, (state, words, _) in panels.items() if state == "failed"
    ] == []
    assert [title for title, (_, words, drawn) in panels.items() if not words and not drawn] == []
    assert any(state == "drawn" for state, *_ in panels.values())
    assert said == []
    _picture(page, name, tmp_path)


@pytest.mark.parametrize("name", ["overview", "topology"])
def test_dark_as_the_system_says(boards: Callable[[str], Opened], tmp_path: Path, name: str):
    """Dark when the system is, at once, and light again by a switch, whatever the system says."""
    page, said = boards(name)
    ground = "getComputedStyle(document.body).backgroundColor"
    page.emulate_media(color_scheme="dark")
    expect(page.get_by_role("button", name="Light")).to_be_visible()
    assert page.evaluate(ground) == "rgb(15, 20, 25)"
    _picture(page, f"{name}-dark", tmp_path)
    page.get_by_role("button", name="Light").click()
    expect(page.get_by_role("button", name="Dark")).to_be_focused()
    assert page.evaluate(ground) == "rgb(243, 245, 247)"
    assert page.evaluate("localStorage.getItem('crosspane-theme')") == "light"
    page.evaluate("localStorage.clear()")
    assert said == []


def test_graph_is_walked_by_keys(boards: Callable[[str], Opened]):
    """Arrows go from node to node, Enter opens one and goes to its links, Escape comes back."""
    page, said = boards("overview")
    expect(page.locator('.graph-node[tabindex="0"]')).to_have_count(1)
    page.locator('.graph-node[tabindex="0"]').focus()
    focused = "document.activeElement.dataset.id"
    first = page.evaluate(focused)
    for key in ("ArrowRight", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
        if page.evaluate(focused) != first:
            break
    second = page.evaluate(focused)
    assert second not in (None, first)
    expect(page.locator('.graph-node[tabindex="0"]')).to_have_attribute("data-id", second)
    page.keyboard.press("Enter")
    expect(page.locator(".card")).to_be_visible()
    assert page.evaluate("document.activeElement.closest('.card') !== null")
    page.keyboard.press("Escape")
    expect(page.locator(".card")).to_have_count(0)
    assert page.evaluate(focused) == second
    assert said == []


def test_every_graph_is_a_table_too(boards: Callable[[str], Opened]):
    """What is drawn can be read: all nodes and edges, by their columns."""
    page, said = boards("topology")
    panel = page.locator('.panel[data-type="nodeGraph"]')
    expect(panel.locator(".graph-node")).to_have_count(4)
    button = panel.get_by_role("button", name="Show as a table")
    button.press("Enter")
    expect(panel.locator("table")).to_have_count(2)
    expect(panel.get_by_role("cell", name="cluster-onprem").first).to_be_visible()
    assert panel.get_by_role("columnheader", name="source", exact=True).count() == 1
    button.press("Enter")
    expect(panel.locator(".graph-node")).to_have_count(4)
    assert said == []


def test_calls_between_clusters_are_a_matrix(boards: Callable[[str], Opened]):
    """Who calls is a row, who is called a column; a cell without calls is empty."""
    page, said = boards("topology")
    matrix = page.locator(".panel").filter(has_text="Calls a second between clusters")
    expect(matrix.locator("thead th").first).to_have_text("from\\to")
    columns = matrix.locator("thead th").all_inner_texts()[1:]
    assert sorted(columns) == ["cluster-east", "cluster-onprem", "cluster-west"]
    row = matrix.get_by_role("row").filter(has=page.get_by_role("cell", name="cluster-edge"))
    cells = dict(zip(columns, row.locator("td").all_inner_texts()[1:], strict=True))
    assert cells["cluster-east"] == cells["cluster-west"] == ""
    assert cells["cluster-onprem"] != ""
    assert said == []


def test_rows_fold(boards: Callable[[str], Opened]):
    """A row's panels go and come back, and the button says which."""
    page, said = boards("topology")
    row = page.locator("section.row").nth(1)
    panel = row.locator(".panel").first
    expect(panel).to_be_visible()
    row.locator("h2 button").press("Enter")
    expect(panel).to_be_hidden()
    expect(row.locator("h2 button")).to_have_attribute("aria-expanded", "false")
    row.locator("h2 button").press("Enter")
    expect(panel).to_be_visible()
    assert said == []


def test_from_overview_to_a_service_to_an_edge(page: Page):
    """The way of an incident: a client of the worst edge, its graph, the edge that fails."""
    page.goto("/")
    worst = page.locator(".panel").filter(has_text="Edges: the least well")
    worst.scroll_into_view_if_needed()
    worst.get_by_role("link", name="cluster-east/shop/frontend").first.click()
    page.locator(".menu").get_by_role("link", name="Service").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Service")
    assert re.search(r"/d/crosspane-service\?from=first&to=last&.*shop%2Ffrontend", page.url)
    page.locator(".graph-edge .touch").first.dispatch_event("click")
    page.locator(".card").get_by_role("link", name="Edge").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Edge")
    assert "var-source=cluster-east%2Fshop%2Ffrontend" in page.url
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("Service")


def test_variables_and_time_by_keys(page: Page):
    """A list is searched and chosen from; the address keeps what was chosen, and so a reload."""
    page.goto("/d/crosspane-flows")
    page.get_by_role("button", name="Cluster: All").focus()
    page.keyboard.press("ArrowDown")
    choices = page.get_by_role("listbox").get_by_role("option")
    expect(choices.get_by_text("cluster-edge")).to_be_visible()
    page.keyboard.type("west")
    expect(choices).to_have_text(["cluster-west"])
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Cluster: cluster-west")).to_be_focused()
    assert "var-cluster=cluster-west" in page.url
    page.get_by_role("button", name="All data").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Last hour").press("Enter")
    page.wait_for_url(re.compile("from=now-1h&to=now&"))
    page.reload()
    expect(page.get_by_role("button", name="Last hour")).to_be_visible()
    expect(page.get_by_role("button", name="Cluster: cluster-west")).to_be_visible()


def test_names_are_text(page: Page):
    """Markup in an address becomes words on the page."""
    evil = "<img src=x onerror=alert(1)>"
    page.goto(f"/d/crosspane-service?from=first&to=last&var-service={evil}")
    expect(page.locator("h2").get_by_text(evil).first).to_be_visible()
    assert page.locator("img").count() == 0
