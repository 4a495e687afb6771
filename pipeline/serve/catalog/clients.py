"""
Texts of clients that no rule makes enough of, each with what it asks.

The last resort: `rewrite` and the macros come first. A text is recognised by
what its authors are unlikely to change.

Before: functions.py. After: rewrite.py.
"""

import re
from typing import Final, NamedTuple


class Known(NamedTuple):
    """A text that a client is known to send: how it begins, and what it is then."""

    client: str
    begins: re.Pattern[str]
    meant: str


KNOWN: Final = (
    # It knows no arrays but of oid and text, asks of which types they are, and asks of the types
    # of that answer before it reads it: so none of its columns may be an array of another type.
    Known(
        "asyncpg, of types it has not met",
        re.compile(r"\s*WITH RECURSIVE typeinfo_tree\(", re.IGNORECASE),
        """WITH found AS (SELECT t.*, 0 AS depth FROM pg_type AS t WHERE t.oid = ANY($1::pg_oid[])),
        needed AS (FROM found UNION ALL SELECT t.*, 1 AS depth FROM pg_type AS t
            WHERE t.oid IN (SELECT typelem FROM found WHERE typlen = -1))
        SELECT DISTINCT oid, 'pg_catalog' AS ns, typname AS name, typtype AS kind,
            NULL::oid AS basetype, typelem AS elemtype,
            CASE WHEN typlen = -1 AND typelem != 0 THEN ',' END AS elemdelim,
            NULL::oid AS range_subtype, NULL::text AS attrtypoids, NULL::text AS attrnames, depth,
            NULL::text AS basetype_name, format_type(typelem, NULL) AS elemtype_name,
            NULL::text AS range_subtype_name
        FROM needed ORDER BY depth DESC""",
    ),
)
