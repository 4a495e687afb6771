"""psql: what a person types, and what its backslash commands ask of the catalog."""

import subprocess

import psycopg
import pytest
from conftest import require_program
from serving import LONG, TYPES, Served

from pipeline import views


def _psql(dsn: str, *commands: str) -> subprocess.CompletedProcess[str]:
    program = require_program("psql", "postgresql-client")
    said = [part for command in commands for part in ("-c", command)]
    return subprocess.run(
        [program, "-X", "-v", "VERBOSITY=verbose", "-d", dsn, *said],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def _answer(dsn: str, *commands: str) -> str:
    done = _psql(dsn, *commands)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_description_is_what_postgresql_would_print(served: Served, postgres: str):
    r"""``\d`` of a view with a column of every type, beside a PostgreSQL that has such a view."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        columns = ", ".join(f'NULL::{one.kind} AS "{one.name}"' for one in TYPES)
        connection.execute(f"CREATE OR REPLACE VIEW v_types AS SELECT {columns}")
    ours, theirs = (_psql(dsn, r"\d v_types", r"\d nothing") for dsn in (served.dsn(), postgres))
    assert (ours.stdout, ours.stderr) == (theirs.stdout, theirs.stderr)
    assert ours.stdout.count("\n") == len(TYPES) + 4


def test_values_are_what_postgresql_would_print(served: Served):
    """Text of every type, and nothing for null."""
    program = require_program("psql", "postgresql-client")
    done = subprocess.run(
        [program, "-XAt", "-F", "\t", "-d", served.dsn(), "-c", "TABLE v_types ORDER BY number"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    values, nulls = done.stdout.splitlines()
    assert values.split("\t") == [one.text for one in TYPES]
    assert nulls == "\t" * (len(TYPES) - 1)


def test_lists_show_the_views_alone(served: Served):
    r"""``\d``, ``\dv``, ``\dt``, ``\dn``, ``\l``: one database, one schema, views, no tables."""
    listed = _answer(served.dsn(), r"\d")
    assert "| v_edges " in listed
    assert "| v_types " in listed
    assert "pg_" not in listed
    assert " requests " not in listed
    found = _psql(served.dsn(), r"\dt")
    assert "Did not find any relations." in found.stdout + found.stderr
    assert _answer(served.dsn(), r"\dn").split() == [
        *("List", "of", "schemas", "Name", "|", "Owner", "--------+-----------"),
        *("public", "|", "crosspane", "(1", "row)"),
    ]
    assert " crosspane | crosspane | UTF8 " in _answer(served.dsn(), r"\l")


def test_descriptions_are_the_documented_meanings(served: Served):
    r"""``\d+`` shows what a column means, ``\dv+`` which question a view answers."""
    assert "name of the gateway" in _answer(served.dsn(), r"\d+ v_gateways")
    assert "Who called whom" in _answer(served.dsn(), r"\dv+ v_edges")


def test_a_view_shows_what_it_is(served: Served):
    r"""``\sv`` and ``\d+`` print the query that a view is."""
    query = next(view.sql for view in views.VIEWS if view.name == "v_gateways").strip()
    shown = _answer(served.dsn(), r"\sv v_gateways")
    assert shown == f"CREATE OR REPLACE VIEW public.v_gateways AS\n {query}\n"
    assert query in _answer(served.dsn(), r"\d+ v_gateways")


@pytest.mark.parametrize(
    "command",
    [
        *(r"\df", r"\df+", r"\du", r"\dT", r"\dx", r"\di", r"\ds", r"\dm", r"\dp", r"\db", r"\dy"),
        *(r"\dL", r"\do", r"\dC", r"\dc", r"\dO", r"\dD", r"\dd", r"\det", r"\des", r"\dew"),
        *(r"\drds", r"\ddp", r"\dconfig work_mem", r"\da", r"\dFt", r"\dP", r"\dRp", r"\dRs"),
        *(r"\dX", r"\z v_edges", r"\dS pg_class", r"\dv public.v_ed*", r"\l+", r"\dn+"),
    ],
)
def test_no_command_fails(psql_said: dict[str, str], command: str):
    """Whatever else psql can ask of a catalog is answered, if only with nothing."""
    assert psql_said[command] == ""


@pytest.fixture(scope="module")
def psql_said(served: Served) -> dict[str, str]:
    """Errors of each command, of one psql that is given them all."""
    marks = next(mark for mark in test_no_command_fails.pytestmark if mark.name == "parametrize")
    commands = marks.args[1]
    program = require_program("psql", "postgresql-client")
    script = "".join(f"{command}\n\\warn --end\n" for command in commands)
    done = subprocess.run(
        [program, "-X", "-q", "-d", served.dsn()],
        input=script,
        capture_output=True,
        text=True,
        check=True,
        timeout=90,
    )
    said = done.stderr.split("--end\n")
    errors = ("".join(line for line in one.splitlines(True) if "ERROR" in line) for one in said)
    return dict(zip(commands, errors, strict=False))


def test_copy_is_refused(served: Served):
    r"""``\copy`` and ``COPY`` neither read nor write, and say why by their state."""
    for command in (r"\copy v_types TO STDOUT", "COPY v_types TO '/tmp/x'"):
        done = _psql(served.dsn(), command)
        assert done.returncode == 1
        assert done.stderr.startswith("ERROR:  25006:")


def test_settings_of_the_session(served: Served):
    """What psql and people set is taken; several statements of one text each answer."""
    text = "SET search_path TO public; SHOW search_path; SELECT 1 AS one"
    assert _answer(served.dsn(), text).split() == [
        *("SET", "search_path", "-------------", "public", "(1", "row)"),
        *("one", "-----", "1", "(1", "row)"),
    ]


def test_a_statement_too_long_says_so(served: Served):
    """The role's limit of time, as psql shows it."""
    done = _psql(served.dsn("brief"), LONG)
    assert done.stderr.startswith("ERROR:  57014: canceling statement due to statement timeout")
