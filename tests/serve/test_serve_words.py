"""Statements that are answered without asking the lake."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ServeError
from pipeline.serve.pgwire import parameters, words
from pipeline.serve.pgwire.words import Declared, Fetched, Noted


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (";", []),
        ("-- ping", []),
        ("/* a; b */ ;", []),
        ("SELECT 1; SELECT 2", ["SELECT 1", " SELECT 2"]),
        ("SELECT ';', \";\" -- ;", ["SELECT ';', \";\" -- ;"]),
        ("SELECT 'it''s;'; x", ["SELECT 'it''s;'", " x"]),
        (r"SELECT E'\';'; x", [r"SELECT E'\';'", " x"]),
        ("SELECT $a$;$b$;$a$; x", ["SELECT $a$;$b$;$a$", " x"]),
        ("SELECT $$;", ["SELECT $$;"]),
        ("SELECT $1; x", ["SELECT $1", " x"]),
    ],
)
def test_a_text_is_cut_at_its_semicolons(text: str, found: list[str]):
    """Not at those in literals, names and comments; comments alone are no statement."""
    assert words.split(text) == found


@given(st.text(alphabet="ab;'\"$-/* \n\\E1", max_size=60))
def test_cutting_loses_nothing(text: str):
    """What is cut out is semicolons, spaces and comments."""
    kept = "".join(words.split(text))
    left = iter(text)
    assert all(letter in left for letter in kept)


@pytest.mark.parametrize("part", ["$t{}$", "/*{}", "e'\\'{}", '"', "'", "--{}", "$$"])
def test_reading_takes_time_by_length_alone(part: str):
    """What does not end is read once, not once a letter: much would take hours."""
    text = "".join(part.format(i) for i in range(300_000 // len(part)))
    assert len(words.split(text)) <= 1
    assert words.said(text) is None
    assert parameters.count(text) == 0


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("begin", Noted("BEGIN", begins=True)),
        ("-- x\nBEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY", Noted("BEGIN", begins=True)),
        ("START TRANSACTION", Noted("START TRANSACTION", begins=True)),
        ("COMMIT", Noted("COMMIT", ends=True)),
        ("ABORT", Noted("ROLLBACK", ends=True)),
        ("ROLLBACK TO SAVEPOINT a", Noted("ROLLBACK", back=True)),
        ("SAVEPOINT a", Noted("SAVEPOINT")),
        ("RELEASE SAVEPOINT a", Noted("RELEASE")),
        ("SET application_name = 'x'", Noted("SET")),
        ("SET SESSION extra_float_digits TO 3", Noted("SET")),
        ("SET TIME ZONE 'UTC'", Noted("SET")),
        ("SET DateStyle = ISO, MDY", Noted("SET")),
        ("set statement_timeout = '2s'", Noted("SET", max_time_s=2.0)),
        ("SET statement_timeout TO 1500", Noted("SET", max_time_s=1.5)),
        ("RESET ALL", Noted("RESET", max_time_s=0)),
        ("DISCARD ALL", Noted("DISCARD ALL", forgets="*", closes="*", max_time_s=0)),
        ('DEALLOCATE "A b"', Noted("DEALLOCATE", forgets="A b")),
        ("DEALLOCATE ALL", Noted("DEALLOCATE ALL", forgets="*")),
        ("CLOSE C", Noted("CLOSE CURSOR", closes="c")),
        ("UNLISTEN *", Noted("UNLISTEN")),
        (
            "SET TimeZone = 'Europe/Berlin'",
            Noted("SET", warning="times are given in UTC here, not in Europe/Berlin"),
        ),
        ('DECLARE "c 1" NO SCROLL CURSOR FOR SELECT 1', Declared("c 1", "SELECT 1")),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", Declared("c", "SELECT 1")),
        ("FETCH FORWARD 20 FROM c", Fetched("c", 20)),
        ("FETCH ALL IN c", Fetched("c", 0)),
        ("FETCH c", Fetched("c", 1)),
        ("SELECT 1", None),
        ("FROM v_edges", None),
        ("", None),
    ],
)
def test_what_is_answered(text: str, answer: words.Said | None):
    """Transactions, settings that change nothing, cursors; a query is the lake's."""
    assert words.said(text) == answer


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("SET memory_limit = '9GB'", "42501"),
        ("SET enable_external_access = true", "42501"),
        ("SET GLOBAL threads = 9", "42501"),
        ("SET ROLE other", "42501"),
        ("SET SESSION AUTHORIZATION other", "42501"),
        ("SET client_encoding = 'LATIN1'", "22023"),
        ("SET standard_conforming_strings = off", "22023"),
        ("SET bytea_output = 'escape'", "22023"),
        ("SET statement_timeout = 'soon'", "22023"),
        ("SET TRANSACTION READ WRITE", "25006"),
        ("SET", "42601"),
        ("LISTEN a", "0A000"),
        ("EXECUTE a", "0A000"),
        ("FETCH BACKWARD 1 FROM c", "0A000"),
        ("DECLARE c", "42601"),
    ],
)
def test_what_is_refused(text: str, state: str):
    """A client is not told that something holds which does not."""
    with pytest.raises(ServeError) as refused:
        words.said(text)
    assert refused.value.sqlstate == state


@given(
    st.text(max_size=60) | st.builds("{} {}".format, st.sampled_from([*words._WORDS]), st.text())
)
def test_any_statement_is_answered_or_refused(text: str):
    """Nothing a client can write ends in anything else."""
    try:
        words.said(text)
    except ServeError as error:
        state = error.sqlstate
    else:
        state = "00000"
    assert state in {"00000", "0A000", "22023", "25006", "42501", "42601"}
