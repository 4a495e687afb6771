"""
Statements that are answered without asking the lake.

A text is cut into statements here, before DuckDB's parser sees it: clients say
things that DuckDB has no words for. What is said about transactions is taken
note of: every statement here reads the newest commit, whether in a transaction
or not, for one that stayed open would keep the job from committing. Settings
are taken where they change nothing of what is answered, and refused where the
client would be told one thing and get another.

Before: session.py. After: engine.py.
Source: PostgreSQL 15 manual, part VI.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from pipeline.errors import ServeError

REFUSED: Final = "42501"
_NOT_HERE: Final = "0A000"
_BAD_VALUE: Final = "22023"
_NO_SETTING: Final = "42704"
_TEXT: Final = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*(?:.*?\*/|.*))
    |[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"
    |\$(?P<tag>[A-Za-z_]\w*|)\$(?:.*?\$(?P=tag)\$|.*)
    |(?P<end>;)|[\w$]+|.""",
    re.VERBOSE | re.DOTALL,
)
_SPACE: Final = re.compile(r"(?:\s+|--[^\n]*|/\*(?:.*?\*/|.*))*", re.DOTALL)

_TAKEN: Final = frozenset({
    "application_name", "array_nulls", "client_connection_check_interval", "client_min_messages",
    "cursor_tuple_fraction", "default_transaction_deferrable", "default_transaction_isolation",
    "default_transaction_read_only", "enable_bitmapscan", "enable_hashjoin", "enable_indexscan",
    "enable_mergejoin", "enable_nestloop", "enable_seqscan", "enable_sort", "extra_float_digits",
    "idle_in_transaction_session_timeout", "idle_session_timeout", "jit", "lock_timeout",
    "row_security", "search_path", "synchronize_seqscans", "synchronous_commit",
    "tcp_keepalives_idle", "transaction_isolation", "transaction_read_only", "work_mem",
    "xmloption",
})  # fmt: skip
"""Settings of PostgreSQL that change nothing of what is answered here."""
_ONLY: Final = {
    "bytea_output": ("hex",),
    "client_encoding": ("utf8", "utf-8", "unicode"),
    "datestyle": ("iso", "iso, mdy", "iso,mdy", "iso, dmy", "iso, ymd"),
    "escape_string_warning": ("on", "off", "true", "false"),
    "integer_datetimes": ("on",),
    "intervalstyle": ("postgres",),
    "standard_conforming_strings": ("on", "true", "1"),
}
"""Settings that have one value, or a few that are the same here."""
_UTC: Final = frozenset({"utc", "etc/utc", "gmt", "z", "zulu", "0", "default", "local"})
_UNITS_MS: Final = {"": 1, "ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000}
_SET: Final = re.compile(
    r"SET\s+(?:(?:SESSION|LOCAL)\s+)?(?P<name>TIME\s+ZONE|[\w.]+)\s*(?:=|\bTO\b|\s)\s*(?P<value>.*)",
    re.IGNORECASE | re.DOTALL,
)
_CURSOR: Final = re.compile(
    r'DECLARE\s+(?P<name>"(?:[^"]|"")+"|\w+)\s+(?:(?:BINARY|ASENSITIVE|INSENSITIVE|NO\s+SCROLL'
    r"|SCROLL)\s+)*CURSOR\s+(?:(?:WITH|WITHOUT)\s+HOLD\s+)?FOR\s+(?P<query>.*)",
    re.IGNORECASE | re.DOTALL,
)
_FETCH: Final = re.compile(
    r"FETCH\s+(?:(?:FORWARD|NEXT)\s*)?(?P<count>ALL|\d+)?\s*(?:(?:FROM|IN)\s+)?"
    r'(?P<name>"(?:[^"]|"")+"|\w+)',
    re.IGNORECASE,
)
_FIRST: Final = re.compile(r"\w+")


class Noted(NamedTuple):
    """
    An answer without rows.

    Attributes
    ----------
    tag
        What is said to be done.
    begins, ends, back
        Whether a transaction begins, ends, or goes back to where it was well.
    forgets
        Prepared statement that is forgotten; ``*``: all.
    closes
        Cursor that is closed; ``*``: all.
    warning
        What the client should know.
    max_time_s
        New limit of statements, 0 for the role's; None: as it was.
    """

    tag: str
    begins: bool = False
    ends: bool = False
    back: bool = False
    forgets: str = ""
    closes: str = ""
    warning: str = ""
    max_time_s: float | None = None


class Declared(NamedTuple):
    """A cursor, and the statement whose rows it is on."""

    name: str
    query: str


class Fetched(NamedTuple):
    """Rows of a cursor; 0: all that are left."""

    name: str
    rows: int


Said = Noted | Declared | Fetched


def split(text: str) -> list[str]:
    """
    Statements of a text; what has only spaces and comments is none.

    >>> split("SELECT ';' ; -- ping;")
    ["SELECT ';' "]
    """
    found, start, empty = [], 0, True
    for token in _TEXT.finditer(text + ";"):
        if not token["end"]:
            empty = empty and token["space"] is not None
            continue
        if not empty:
            found.append(text[start : token.start()])
        start, empty = token.end(), True
    if not empty:  # what does not end has taken the last semicolon too
        found.append(text[start:])
    return found


def said(statement: str) -> Said | None:
    """
    Answer to a statement that is none for the lake; None for one that is.

    Raises
    ------
    ServeError
        42501, 42704, 22023 or 0A000 for what is not done here.
    """
    space = _SPACE.match(statement)
    plain = statement[space.end() if space else 0 :].strip()
    word = _FIRST.match(plain)
    answer = _WORDS.get(word[0].upper()) if word else None
    return answer(plain) if answer else None


def _transaction(statement: str) -> Said:
    words = statement.upper().split()
    match words[0]:
        case "BEGIN" | "START":
            return Noted("BEGIN" if words[0] == "BEGIN" else "START TRANSACTION", begins=True)
        case "COMMIT" | "END":
            return Noted("COMMIT", ends=True)
        case "ROLLBACK" if "TO" in words:
            return Noted("ROLLBACK", back=True)
        case "SAVEPOINT" | "RELEASE":
            return Noted(words[0])
    return Noted("ROLLBACK", ends=True)


def _set(statement: str) -> Said:
    upper = " ".join(statement.upper().split())
    if upper.startswith(("SET TRANSACTION", "SET SESSION CHARACTERISTICS")):
        if "READ WRITE" in upper:
            raise ServeError("25006", "the lake is only read here")
        return Noted("SET")
    found = _SET.fullmatch(statement)
    if not found:
        raise ServeError("42601", "SET takes a name and a value")
    name = " ".join(found["name"].lower().split())
    return _setting(name, found["value"].strip().strip("'\""))


def _setting(name: str, value: str) -> Noted:
    """What follows from a setting."""
    if name in {"timezone", "time zone"}:
        utc = value.lower() in _UTC
        return Noted("SET", warning="" if utc else f"times are given in UTC here, not in {value}")
    if name == "statement_timeout":
        return Noted("SET", max_time_s=_milliseconds(value) / 1_000)
    if name in _ONLY:
        if value.lower() not in _ONLY[name]:
            allowed = ", ".join(_ONLY[name])
            raise ServeError(_BAD_VALUE, f"{name} can only be {allowed} here, not {value!r}")
        return Noted("SET")
    if name in _TAKEN:
        return Noted("SET")
    raise ServeError(REFUSED, f"SET {name} is refused: settings are the server's")


def _milliseconds(value: str) -> float:
    found = re.fullmatch(r"(\d{1,12})\s*(ms|s|min|h|)", value)
    if value.lower() == "default":
        return 0
    if not found:
        raise ServeError(_BAD_VALUE, f"invalid value for statement_timeout: {value!r}")
    return int(found[1]) * _UNITS_MS[found[2]]


def _reset(statement: str) -> Said:
    name = statement.rpartition(" ")[2].lower()
    return Noted("RESET", max_time_s=0 if name in {"all", "statement_timeout"} else None)


def _discard(statement: str) -> Said:
    everything = statement.upper().endswith("ALL")
    mark = "*" if everything else ""
    return Noted("DISCARD ALL", forgets=mark, closes=mark, max_time_s=0)


def _deallocate(statement: str) -> Said:
    name = re.sub(r"(?i)^DEALLOCATE\s+(PREPARE\s+)?", "", statement)
    everything = name.upper() == "ALL"
    tag = "DEALLOCATE ALL" if everything else "DEALLOCATE"
    return Noted(tag, forgets="*" if everything else _name(name))


def _close(statement: str) -> Said:
    name = statement[len("CLOSE") :].strip()
    everything = name.upper() == "ALL"
    return Noted(
        "CLOSE CURSOR ALL" if everything else "CLOSE CURSOR",
        closes="*" if everything else _name(name),
    )


def _unlisten(_: str) -> Said:
    return Noted("UNLISTEN")


def _declare(statement: str) -> Said:
    found = _CURSOR.fullmatch(statement)
    if not found:
        raise ServeError("42601", "DECLARE takes a name, CURSOR FOR, and a query")
    return Declared(_name(found["name"]), found["query"])


def _fetch(statement: str) -> Said:
    found = _FETCH.fullmatch(statement)
    if not found:
        raise ServeError(_NOT_HERE, "cursors go forward only here: FETCH [FORWARD] count FROM name")
    count = found["count"] or "1"
    return Fetched(_name(found["name"]), 0 if count.upper() == "ALL" else int(count))


def _refuse(statement: str) -> Said:
    raise ServeError(_NOT_HERE, f"{statement.partition(' ')[0].upper()} is not supported here")


def _name(said_name: str) -> str:
    """A name as PostgreSQL compares it."""
    if said_name.startswith('"'):
        return said_name[1:-1].replace('""', '"')
    return said_name.lower()


_WORDS: Final[dict[str, Callable[[str], Said]]] = {
    **dict.fromkeys(
        ("BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE"),
        _transaction,
    ),
    "SET": _set,
    "RESET": _reset,
    "DISCARD": _discard,
    "DEALLOCATE": _deallocate,
    "CLOSE": _close,
    "UNLISTEN": _unlisten,
    "DECLARE": _declare,
    "FETCH": _fetch,
    **dict.fromkeys(("LISTEN", "NOTIFY", "PREPARE", "EXECUTE", "MOVE", "LOCK", "PRAGMA"), _refuse),
}
"""First word of a statement to its answer."""
