"""What the tutorial and the pages on notebooks and SQL tools tell people to type: it is typed here."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import click
import httpx
import pytest
import sqlalchemy as sa
from conftest import require_program
from ports import free_ports

import crosspane
from collectors.config import decode_toml
from pipeline.cli import main
from pipeline.config import Config

ROOT = Path(__file__).parents[1]
TUTORIAL = (ROOT / "docs/tutorial.md").read_text("utf-8")
JUPYTER = (ROOT / "docs/how-to/jupyter.md").read_text("utf-8")
SUPERSET = (ROOT / "docs/how-to/superset.md").read_text("utf-8")


def fenced(page: str) -> list[tuple[str, str]]:
    """Language and text of each code block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def blocks(page: str, language: str) -> list[str]:
    """Code blocks of one language."""
    return [text for of_language, text in fenced(page) if of_language == language]


def answered(page: str, language: str) -> list[tuple[str, str]]:
    """Code blocks of one language that are followed by their output, and that output."""
    pairs = zip(fenced(page), fenced(page)[1:], strict=False)
    return [
        (code, shown)
        for (first, code), (second, shown) in pairs
        if (first, second) == (language, "text")
    ]


class Served(NamedTuple):
    """`crosspane serve`, as the tutorial starts it, but on ports that are free."""

    folder: Path
    """Working folder: the demo's lake is where `make demo` puts it."""
    sql_port: int
    web_port: int


@pytest.fixture(scope="module")
def served(demo: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The demo's lake, found from a working folder and served."""
    folder = tmp_path_factory.mktemp("tutorial")
    (folder / "crosspane-data").mkdir()
    (folder / "crosspane-data/demo").symlink_to(demo[0])
    sql_port, web_port = free_ports(2)
    command = [sys.executable, "-m", "pipeline.cli", "serve", "--for", "100s"]
    command += ["--listen", f"127.0.0.1:{sql_port}", "--web-listen", f"127.0.0.1:{web_port}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    )
    assert server.stderr is not None
    with server, server.stderr:
        try:
            told = [server.stderr.readline(), server.stderr.readline()]
            assert f"postgresql://crosspane@127.0.0.1:{sql_port}/crosspane" in told[0], told
            assert f"http://127.0.0.1:{web_port}/" in told[1], told
            yield Served(folder, sql_port, web_port)
        finally:
            server.terminate()
            server.wait(20)


def typed(line: str, served: Served) -> str:
    """Standard output of a command of a page."""
    words = shlex.split(line)
    if words[0] == "crosspane":
        words[:1] = [sys.executable, "-m", "pipeline.cli"]
    else:
        words[0] = require_program(words[0], "postgresql-client")
        words[1] = words[1].replace("port=5433", f"port={served.sql_port}")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PAGER": "cat", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        words,
        check=False,
        cwd=served.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_commands_of_the_tutorial_print_what_it_shows(served: Served):
    """SQL in the terminal and by psql, as far as the page shows an answer."""
    pairs = answered(TUTORIAL, "sh")
    assert [line.partition(" ")[0] for line, _ in pairs] == ["crosspane", "psql"]
    for line, shown in pairs:
        assert typed(line, served).rstrip("\n") == shown.rstrip("\n")


def test_python_of_the_tutorial_prints_what_it_shows(
    served: Served, monkeypatch: pytest.MonkeyPatch
):
    """From the folder where the demo was made, nothing has to be named."""
    monkeypatch.chdir(served.folder)
    monkeypatch.delenv("CROSSPANE_LAKE", raising=False)
    ((code, shown),) = answered(TUTORIAL, "python")
    with contextlib.redirect_stdout(StringIO()) as printed:
        exec(code, names := {})  # noqa: S102 - the page's
    names["pane"].close()
    assert printed.getvalue().rstrip("\n") == shown.rstrip("\n")


def test_the_page_and_the_dashboards_of_the_tutorial_are_served(served: Served):
    """The address in it answers, and the dashboards it speaks of are there."""
    assert "<http://127.0.0.1:8400>" in TUTORIAL
    address = f"http://127.0.0.1:{served.web_port}"
    assert "<title>crosspane</title>" in httpx.get(f"{address}/", timeout=20).text
    dashboards = httpx.get(f"{address}/api/dashboards", timeout=20).json()["dashboards"]
    titles = [one["title"] for one in dashboards]
    assert {"Overview", "Topology", "Service"} <= set(titles)


def test_every_command_of_the_tutorial_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """With the options it has, also where it would need a Grafana, or run on."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crosspane.toml").touch()
    lines = [line for block in blocks(TUTORIAL, "sh") for line in block.splitlines()]
    ours = [shlex.split(line.partition(" > ")[0]) for line in lines if "crosspane " in line[:10]]
    assert [words[1] for words in ours] == ["sql", "serve", "dashboards", "up", "config", "check"]
    for _, *words in ours:
        command: click.Command | None = main
        while isinstance(command, click.Group):
            command = command.get_command(click.Context(command), words.pop(0))
        assert command is not None
        command.make_context("page", words).close()


def test_files_the_pages_name_exist():
    """Links lead somewhere, pictures too."""
    for page in ("docs/tutorial.md", "docs/how-to/jupyter.md", "docs/how-to/superset.md"):
        text = (ROOT / page).read_text("utf-8")
        links = re.findall(r"\]\(([^)#:]+)\)", text)
        missing = [link for link in links if not ((ROOT / page).parent / link).exists()]
        assert missing == [], page


def test_code_of_the_page_on_notebooks_runs(
    demo: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
):
    """Block after block, as in a notebook; octets are those of the flow records, by nfdump."""
    monkeypatch.setenv("CROSSPANE_LAKE", str(demo[0] / "lake"))
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(StringIO()):
        for code in blocks(JUPYTER, "python"):
            exec(code, names)  # noqa: S102 - the page's
    pane = names["pane"]
    assert isinstance(pane, crosspane.Pane)
    pane.close()
    assert names["octets"] == 7070190 + 2611106 + 5003528 + 5909369


def test_settings_of_the_page_on_sql_tools_are_valid():
    """As the configuration takes them."""
    (text,) = blocks(SUPERSET, "toml")
    config = decode_toml(text.encode(), Config)
    assert config.serve.require_tls
    assert config.serve.roles["superset"].clusters == ("cluster-east", "cluster-west")


@pytest.fixture(scope="module")
def engine(served: Served) -> Iterator[sa.Engine]:
    """SQLAlchemy on the URI of the page."""
    uri = "postgresql://crosspane@127.0.0.1:5433/crosspane"
    assert f"`{uri}`" in SUPERSET
    mine = uri.replace("5433", str(served.sql_port)).replace("postgresql:", "postgresql+psycopg:")
    one = sa.create_engine(mine)
    yield one
    one.dispose()


def test_sqlalchemy_finds_views_columns_and_their_meaning(engine: sa.Engine):
    """What a tool shows to choose from."""
    inspector = sa.inspect(engine)
    assert inspector.get_schema_names() == ["information_schema", "public"]
    assert inspector.get_table_names("public") == []
    assert {"v_edges_1m", "v_flows"} <= set(inspector.get_view_names("public"))
    first, *rest = inspector.get_columns("v_edges_1m", "public")
    assert first["name"] == "bucket_start"
    assert first["type"].timezone
    assert first["comment"] == "begin of the minute, UTC"
    assert {one["name"] for one in rest} > {"client_entity", "requests", "p95_ms"}
    question = inspector.get_table_comment("v_edges_1m", "public")["text"]
    assert question == "Who called whom, by the minute, and how well did it go?"
    assert inspector.get_pk_constraint("v_edges_1m", "public")["constrained_columns"] == []


@pytest.mark.parametrize("grain", ["second", "minute", "hour", "day", "week", "month", "quarter"])
def test_a_chart_of_superset_has_all_calls(engine: sa.Engine, grain: str):
    """Whatever the grain; bounds as its engine for PostgreSQL writes them (postgres.py)."""
    bound = "TO_TIMESTAMP('2026-11-{day} 00:00:00.000000', 'YYYY-MM-DD HH24:MI:SS.US')"
    query = (
        f"SELECT DATE_TRUNC('{grain}', bucket_start) AS __timestamp, sum(requests) AS calls"
        f" FROM public.v_edges_1m WHERE bucket_start >= {bound.format(day=24)}"
        f" AND bucket_start < {bound.format(day=25)}"
        f" GROUP BY DATE_TRUNC('{grain}', bucket_start) ORDER BY calls DESC LIMIT 1000"
    )
    with engine.connect() as connection:
        connection.exec_driver_sql('set search_path = "public"')
        rows = connection.exec_driver_sql(query).fetchall()
    assert sum(row.calls for row in rows) == 1948
    assert len(rows) == (3 if grain in {"second", "minute"} else 1)


def test_what_else_tools_ask_is_answered(engine: sa.Engine):
    """Databases (Superset), bucketing (Metabase), parameters, and the page's own query."""
    (page,) = blocks(SUPERSET, "sql")
    (quantile,) = re.findall(r"`(histogram_quantile\(.*?)`", SUPERSET)
    metabase = (
        'SELECT DATE_TRUNC(\'month\', CAST("public"."v_edges_1m"."bucket_start" AS timestamp))'
        ' AS "bucket_start", SUM("public"."v_edges_1m"."requests") AS "sum" FROM'
        ' "public"."v_edges_1m" GROUP BY 1 ORDER BY 1 ASC'
    )
    with engine.connect() as connection:
        databases = "SELECT datname FROM pg_database WHERE datistemplate = false"
        assert connection.exec_driver_sql(databases).scalars().all() == ["crosspane"]
        assert [row.sum for row in connection.exec_driver_sql(metabase)] == [1948]
        rows = connection.exec_driver_sql(page).fetchall()
        assert sum(row.requests for row in rows) == 1948
        slow = (
            f"SELECT {quantile} FROM v_edges_1m WHERE server_entity = 'cluster-west/shop/reviews'"
        )
        assert 120 < connection.exec_driver_sql(slow).scalar_one() < 130
        denied = sa.text("SELECT count(*) FROM v_calls WHERE status = :status")
        assert connection.execute(denied, {"status": 403}).scalar_one() == 28
        day = "SELECT TO_DATE('2026-11-24', 'YYYY-MM-DD')"
        assert str(connection.exec_driver_sql(day).scalar_one()) == "2026-11-24"
    with (
        engine.connect() as connection,
        pytest.raises(sa.exc.DatabaseError, match="only the format YYYY-MM-DD"),
    ):
        connection.exec_driver_sql("SELECT TO_TIMESTAMP('24 Nov', 'DD Mon')")
