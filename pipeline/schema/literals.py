"""
Values as SQL has them, for queries whose text goes where no parameters can.

Before: model.py. After: views/.
"""

from datetime import datetime


def literal(value: object) -> str:
    """
    A value as SQL has it.

    >>> literal("a'b"), literal(None), literal(3)
    ("'a''b'", 'NULL', '3')
    >>> literal(datetime.fromisoformat("2026-11-28T14:05:00+00:00"))
    "TIMESTAMPTZ '2026-11-28T14:05:00+00:00'"
    """
    match value:
        case None:
            return "NULL"
        case datetime():
            return f"TIMESTAMPTZ '{value.isoformat()}'"
        case bool() | int() | float():
            return str(value)
        case _:
            return "'{}'".format(str(value).replace("'", "''"))


def within(column: str, since: datetime, until: datetime) -> str:
    """SQL condition: the time in a column is of [since, until)."""
    return f"{column} >= {literal(since)} AND {column} < {literal(until)}"
