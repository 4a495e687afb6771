"""What the page's server answers, to whom, and what it does not."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from serving import LONG

from pipeline.config import RoleConfig, ServeConfig
from pipeline.errors import UsageError
from pipeline.serve import boards, web
from pipeline.serve.boards import Boards
from pipeline.serve.engine import Engine

FIRST_MS, LAST_MS = 1_795_489_320_000, 1_795_489_500_000
"""Of the demo's recording: 2026-11-24, 03:02 to 03:05."""


@pytest.fixture(scope="module")
def client(pane: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=pane, timeout=60) as made:
        yield made


def _board(client: httpx.Client, uid: str) -> dict[str, Any]:
    return client.get(f"/api/dashboards/{uid}").json()


def _ask(client: httpx.Client, uid: str, title: str, **more: Any) -> dict[str, Any]:
    panel = next(one for one in _board(client, uid)["panels"] if one.get("title") == title)
    body = {"dashboard": uid, "panel": panel["id"], "from": FIRST_MS, "to": LAST_MS, **more}
    answer = client.post("/api/query", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def _columns(result: dict[str, Any]) -> dict[str, list[Any]]:
    (frame,) = result["frames"]
    names = [field["name"] for field in frame["schema"]["fields"]]
    return dict(zip(names, frame["data"]["values"], strict=True))


def test_page_runs_its_own_script_and_nothing_else(client: httpx.Client):
    """No script or style stands in the page, and the browser is told to run none that does."""
    page = client.get("/d/crosspane-overview?from=first&to=last")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bon\w+=|\bstyle=", page.text)
    assert page.headers["x-content-type-options"] == "nosniff"


def test_files_are_packed_and_asked_for_again_only_when_they_change(client: httpx.Client):
    """780 kB of script travel once, packed."""
    first = client.get("/assets/pane.js")
    assert first.headers["content-encoding"] == "gzip"
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/assets/pane.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/assets/..%2f..%2f__init__.py", "/assets/none.js", "/etc", "/d/"]
)
def test_nothing_but_the_build_is_handed_out(client: httpx.Client, path: str):
    """A name is looked up among the files of the build; it is no path."""
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("host", ["attacker.example", "127.0.0.1.attacker.example", "", "::1]:80"])
def test_names_of_other_machines_are_refused(client: httpx.Client, host: str):
    """A page elsewhere whose name is made to lead here reads nothing (DNS rebinding)."""
    assert client.get("/api/dashboards", headers={"Host": host}).status_code == 400


def test_this_machine_has_two_names(client: httpx.Client):
    """Loopback's name serves as well as its number."""
    assert client.get("/api/dashboards", headers={"Host": "localhost:8400"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://attacker.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
)
def test_pages_of_other_sites_ask_nothing(client: httpx.Client, headers: dict[str, str]):
    """Neither a script nor a form of another site makes the lake work."""
    body = json.dumps({"dashboard": "crosspane-overview", "panel": 1, "from": 0, "to": 1})
    sent = {"Content-Type": "application/json"} | headers
    assert client.post("/api/query", content=body, headers=sent).status_code == 403


def test_dashboards_are_those_grafana_gets(client: httpx.Client):
    """One definition: the page reads the generated files, in the order of its navigation."""
    listed = [one["uid"] for one in client.get("/api/dashboards").json()["dashboards"]]
    assert listed == [
        f"crosspane-{name}"
        for name in (
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
    ]
    for uid in listed:
        path = boards.DASHBOARDS / f"{uid.removeprefix('crosspane-')}.json"
        assert _board(client, uid) == json.loads(path.read_text("utf-8"))


def test_range_is_where_the_lake_has_data(client: httpx.Client):
    """The recording is three minutes, days ago; a page that began at now would be empty."""
    assert client.get("/api/range").json() == {"first_ms": FIRST_MS, "last_ms": LAST_MS}


def test_panel_answers_with_figures_of_the_lake(client: httpx.Client):
    """The calls of the demo between its clusters; counted in the recording's access logs."""
    level = {"level": ["cluster"], "show": ["call"]}
    edges = _columns(
        _ask(client, "crosspane-topology", "Edges, path by path", variables=level)["A"]
    )
    pairs = dict(
        zip(zip(edges["source"], edges["target"], strict=True), edges["requests"], strict=True)
    )
    assert pairs == {
        ("cluster-east", "cluster-east"): 474,
        ("cluster-east", "cluster-west"): 411,
        ("cluster-edge", "cluster-onprem"): 388,
        ("cluster-west", "cluster-west"): 270,
        ("cluster-east", "cluster-onprem"): 210,
        ("cluster-west", "cluster-east"): 120,
        ("cluster-onprem", "cluster-east"): 75,
    }


def test_variables_narrow(client: httpx.Client):
    """What was chosen is put into the query, and All is no condition."""
    chosen = {"level": ["cluster"], "show": ["call"], "cluster": ["cluster-edge"]}
    edges = _columns(
        _ask(client, "crosspane-topology", "Edges, path by path", variables=chosen)["A"]
    )
    assert list(zip(edges["source"], edges["target"], strict=True)) == [
        ("cluster-edge", "cluster-onprem")
    ]


@pytest.mark.parametrize(
    "value", ["x'); DROP TABLE flows; --", "x' OR '1'='1", "'\\", "$__all", "$__timeFilter(x)"]
)
def test_values_are_values(client: httpx.Client, value: str):
    """What comes as a value stays one: quoted, and whatever it says, nothing is written."""
    chosen = {"level": ["cluster"], "show": ["call"], "cluster": ["none", value]}
    result = _ask(client, "crosspane-topology", "Edges, path by path", variables=chosen)["A"]
    assert result.get("error") or result["frames"][0]["data"]["values"] == []


def test_browser_sends_no_sql(client: httpx.Client):
    """Not even by a key that is ours elsewhere."""
    body = {"dashboard": "crosspane-overview", "panel": 1, "from": 0, "to": 1, "rawSql": "SELECT 1"}
    answer = client.post("/api/query", json=body)
    assert (answer.status_code, "rawSql" in answer.json()["error"]) == (400, True)


def test_choices_are_chained(client: httpx.Client):
    """Clusters are those of the cloud that was chosen before them."""
    body = {
        "dashboard": "crosspane-overview",
        "variable": "cluster",
        "from": FIRST_MS,
        "to": LAST_MS,
        "variables": {"cloud": ["aws"], "region": ["$__all"], "network": ["$__all"]},
    }
    answer = client.post("/api/variables", json=body)
    assert answer.json() == {"options": [{"text": "cluster-east", "value": "cluster-east"}]}


def test_marks_are_in_their_time(client: httpx.Client):
    """Findings of the demo, none outside what was asked, earliest first."""
    body = {"dashboard": "crosspane-overview", "from": FIRST_MS, "to": LAST_MS}
    marks = client.post("/api/annotations", json=body).json()["annotations"]
    assert marks
    times = [mark["time"] for mark in marks]
    assert times == sorted(times)
    assert FIRST_MS <= times[0] <= times[-1] <= LAST_MS
    assert {mark["color"] for mark in marks} <= {"red", "blue"}


def test_more_rows_than_a_browser_wants_are_cut_and_said(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
):
    """Of 1,563 calls two are shown, and that there are more."""
    monkeypatch.setattr(boards, "ROWS_MAX", 2)
    result = _ask(
        client, "crosspane-topology", "Edges, path by path", variables={"level": ["cluster"]}
    )["A"]
    assert result["notices"] == [
        "Only the first 2 rows are here; narrow the time or the variables."
    ]
    assert {len(values) for values in _columns(result).values()} == {2}


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({}, 400, "dashboard"),
        ({"dashboard": "none", "panel": 1, "from": 0, "to": 1}, 404, "no dashboard none"),
        ({"dashboard": "crosspane-edge", "panel": -1, "from": 0, "to": 1}, 404, "no panel -1"),
        ({"dashboard": "crosspane-edge", "panel": 1, "from": -1, "to": 1}, 400, "from"),
        ({"dashboard": "crosspane-edge", "panel": 1, "from": 0, "to": 1e300}, 400, "to"),
    ],
)
def test_wrong_questions_are_told_what_is_wrong(
    client: httpx.Client, body: dict[str, Any], status: int, says: str
):
    """With a reason a person can use."""
    answer = client.post("/api/query", json=body)
    assert answer.status_code == status
    assert says in answer.json()["error"]


@settings(max_examples=40)
@given(
    path=st.sampled_from(["query", "variables", "annotations"]),
    body=st.binary(max_size=300)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["dashboard", "panel", "from", "to", "variables", "x"]), inner
            )
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
)
def test_any_bytes_are_answered(client: httpx.Client, path: str, body: bytes):
    """Nothing that is sent is a fault of the server's."""
    headers = {"Content-Type": "application/json"}
    answer = client.post(f"/api/{path}", content=body, headers=headers)
    assert 400 <= answer.status_code < 500


def test_long_questions_are_refused(client: httpx.Client):
    """A body has a size, whatever its header says of it."""
    headers = {"Content-Type": "application/json"}
    chunks = (b" " * 65_536 for _ in range(5))
    assert client.post("/api/query", content=chunks, headers=headers).status_code == 413


def test_nobody_waits_for_what_nobody_reads(
    demo: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """
    Questions whose asker has gone are cancelled, and leave their places.

    All places are taken by questions that run for days, and left: the next is
    answered. One that finds nobody may even wait is refused.
    """
    panel = {"id": 1, "targets": [{"refId": "A", "format": "table", "rawSql": LONG}]}
    (tmp_path / "long.json").write_text(json.dumps({"uid": "long", "title": "", "panels": [panel]}))
    monkeypatch.setattr(web, "Boards", lambda: Boards(tmp_path))
    monkeypatch.setattr(web, "WAITING_MAX", web.AT_ONCE)
    config = ServeConfig(web_listen="127.0.0.1:0")
    engine = Engine(demo[0] / "lake", config)
    page = web.start(engine, config)
    assert page
    body = json.dumps({"dashboard": "long", "panel": 1, "from": 0, "to": 1}).encode()
    host, port = page.url.removeprefix("http://").rstrip("/").split(":")
    head = f"POST /api/query HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    askers = [socket.create_connection((host, int(port))) for _ in range(web.AT_ONCE)]
    with httpx.Client(base_url=page.url, timeout=60) as client:
        for asker in askers:
            asker.sendall(request)
        while (refused := client.get("/api/range")).status_code != 503:
            pass
        assert "too many questions are waiting" in refused.json()["error"]
        for asker in askers:
            asker.close()
        while (answer := client.get("/api/range")).status_code == 503:
            pass
        assert answer.json() == {"first_ms": FIRST_MS, "last_ms": LAST_MS}
    page.close()
    engine.close()


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (ServeConfig(web_listen="0.0.0.0:0"), "loopback only"),
        (ServeConfig(web_listen="127.0.0.1:99999"), "ports end at 65535"),
        (ServeConfig(roles={"grafana": RoleConfig()}), "there is neither"),
        (ServeConfig(roles={"crosspane": RoleConfig(password_env="P")}), "it has a password"),  # noqa: S106
    ],
)
def test_page_is_this_machines_alone(demo: tuple[Path, str], config: ServeConfig, says: str):
    """It has no logins: it neither listens elsewhere nor asks as somebody with a password."""
    engine = Engine(demo[0] / "lake", config)
    with pytest.raises(UsageError, match=says):
        web.start(engine, config)
    engine.close()


def test_taken_address_is_said(demo: tuple[Path, str], pane: str):
    """With the setting to change."""
    config = ServeConfig(web_listen=pane.removeprefix("http://"))
    engine = Engine(demo[0] / "lake", config)
    with pytest.raises(UsageError, match="serve.web_listen 127.0.0.1:"):
        web.start(engine, config)
    engine.close()


def test_page_may_be_off(demo: tuple[Path, str]):
    """An empty address means none."""
    config = ServeConfig(web_listen="")
    engine = Engine(demo[0] / "lake", config)
    assert web.start(engine, config) is None
    engine.close()
