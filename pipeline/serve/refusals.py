"""
What DuckDB says when it cannot, as an SQLSTATE.

Programs decide by the five characters, people read the sentence. DuckDB's
errors begin with their kind, whether they come as an exception of its own or,
in the middle of a result, as one of Arrow's.

Before: engine.py. After: pgwire/.
Source: PostgreSQL manual, appendix A.
"""

from typing import Final

from pipeline.errors import ServeError
from pipeline.serve.limits import CANCELLED, OUT_OF_MEMORY

_STATES: Final = (
    ("Parser Error", "42601"),
    ("Syntax Error", "42601"),
    ("Catalog Error: Table with name", "42P01"),
    ("Catalog Error: Scalar Function", "42883"),
    ("Catalog Error: Table Function", "42883"),
    ("Catalog Error: Type with name", "42704"),
    ("Catalog Error: unrecognized configuration parameter", "42704"),
    ("Catalog Error", "42704"),
    ("Binder Error: Referenced column", "42703"),
    ("Binder Error: Table", "42703"),
    ("Binder Error: Referenced table", "42P01"),
    ("Binder Error: No function matches", "42883"),
    ("Binder Error: Could not choose", "42725"),
    ("Binder Error: Ambiguous", "42702"),
    ("Binder Error", "42804"),
    ("Conversion Error", "22P02"),
    ("Mismatch Type Error", "42804"),
    ("Out of Range Error", "22003"),
    ("Invalid Input Error: Values were not provided", "08P01"),
    ("Invalid Input Error", "22023"),
    ("Invalid Error", "22023"),
    ("Out of Memory Error", OUT_OF_MEMORY),
    ("INTERRUPT Error", CANCELLED),
    ("Permission Error", "42501"),
    ("Not implemented Error", "0A000"),
    ("TransactionContext Error", "25000"),
    ("IO Error", "58030"),
)
"""The first that a message begins with."""
_OF_VALUES: Final = frozenset({"22P02", "22003", "22023"})
"""What is said of a value says the value."""
_CHANGED: Final = "Contents of view were altered"
_CHANGED_STATE: Final = "0A000"
"""feature_not_supported: as PostgreSQL says of a plan whose result has changed."""
OTHER: Final = "XX000"
"""internal_error."""


def refused(error: Exception, *, confined: bool = False) -> ServeError:
    """
    An error of DuckDB's or Arrow's for the client.

    A confined role is not told which value it was: a condition may meet a row
    before the view drops it.
    """
    if isinstance(error, ServeError):
        return error
    message = str(error).strip() or type(error).__name__
    if _CHANGED in message:
        return ServeError(
            _CHANGED_STATE,
            "a newer crosspane has changed the lake's views: start this server again",
        )
    state = next((state for start, state in _STATES if message.startswith(start)), OTHER)
    if state == CANCELLED:
        return ServeError(state, "canceling statement due to user request")
    if confined and state in _OF_VALUES | {OTHER}:
        return ServeError(state, "a value is not what an expression takes (which, is not said)")
    return ServeError(state, message)
