"""What DuckDB says when it cannot, as an SQLSTATE."""

import duckdb
import pytest

from pipeline.errors import ServeError
from pipeline.serve.refusals import refused

CONNECTION = duckdb.connect()
CONNECTION.execute("CREATE TABLE words AS SELECT 1 AS number, 'x' AS word")


@pytest.mark.parametrize(
    ("query", "state"),
    [
        ("selec 1", "42601"),
        ("FROM nowhere", "42P01"),
        ("SELECT nothing FROM words", "42703"),
        ("SELECT other.number FROM words", "42P01"),
        ("SELECT nothing(1)", "42883"),
        ("FROM nothing(1)", "42883"),
        ("SELECT 1::nothing", "42704"),
        ("SELECT sqrt('a', 'b')", "42883"),
        ("SELECT word + 1 FROM words", "42883"),
        ("SELECT * FROM words a, words b WHERE number = 1", "42702"),
        ("SELECT word::INT FROM words", "22P02"),
        ("SELECT 'soon'::DATE", "22P02"),
        ("SELECT 9223372036854775807 + 1::BIGINT", "22003"),
        ("SELECT 300::TINYINT", "22P02"),
        ("SELECT error('why')", "22023"),
        ("SELECT number, count(*) FROM words", "42804"),
    ],
)
def test_errors_of_statements(query: str, state: str):
    """One that programs can decide by, for each kind of mistake."""
    with pytest.raises(duckdb.Error) as found:
        CONNECTION.execute(query).fetchall()
    assert refused(found.value).sqlstate == state


@pytest.mark.parametrize(
    ("message", "state", "said"),
    [
        ("INTERRUPT Error: Interrupted!", "57014", "canceling statement due to user request"),
        ("Out of Memory Error: no", "53200", "Out of Memory Error: no"),
        (
            "Binder Error: Contents of view were altered: types don't match!",
            "0A000",
            "a newer crosspane has changed the lake's views: start this server again",
        ),
        ("what nobody thought of", "XX000", "what nobody thought of"),
        ("", "XX000", "OSError"),
    ],
)
def test_errors_in_the_middle_of_rows(message: str, state: str, said: str):
    """They come as Arrow's, and begin with DuckDB's words."""
    found = refused(OSError(message))
    assert (found.sqlstate, str(found)) == (state, said)


@pytest.mark.parametrize(
    "message",
    ["Conversion Error: Could not convert 'secret'", "Invalid Input Error: secret", "secret"],
)
def test_a_value_is_not_said_to_who_may_not_see_it(message: str):
    """The state is, the value is not."""
    hidden = refused(OSError(message), confined=True)
    assert hidden.sqlstate == refused(OSError(message)).sqlstate
    assert "secret" not in str(hidden)


def test_ours_stays_what_it_is():
    """A limit is told as it was."""
    limit = ServeError("54000", "too many")
    assert refused(limit, confined=True) is limit
