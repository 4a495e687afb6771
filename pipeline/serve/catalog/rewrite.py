"""
What a statement says in PostgreSQL's words, said in DuckDB's.

A text is cut into tokens which, put together, are the text again; only tokens
that DuckDB would take otherwise are changed, so that a statement in DuckDB's
own words stays as it is, byte for byte:

    pg_catalog.pg_class           pg_class, found in `functions.SCHEMA`
    information_schema.tables     pg_information.tables
    x OPERATOR(pg_catalog.=) y    x = y
    attnum = ANY(ix.indkey)       list_contains(ix.indkey, attnum)
    'pg_class'::regclass          to_regclass('pg_class'), a number
    oid::regtype::text            regtype_text(oid), a name
    name COLLATE pg_catalog.default   name
    '{r,v}'::text[]               ['r', 'v']::text[]
    'now'::timestamptz            now()::timestamptz
    SHOW server_version           SELECT current_setting('server_version') AS ...

``~`` finds a part in PostgreSQL and matches the whole in DuckDB. It is changed
only beside names of ``pg_catalog``: elsewhere a statement is DuckDB's SQL.

Before: relations.py. After: engine.py.
Source: PostgreSQL 15 manual, 4.1 (lexical structure), 8.19 (object identifiers).
"""

import re
from typing import Final

from pipeline.serve.catalog.clients import KNOWN
from pipeline.serve.catalog.functions import SETTINGS

SCHEMAS: Final = ("pg_information",)
"""Schemas a rewritten statement names."""

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<string>[eE]'(?:[^'\\]|\\.|'')*(?:'|\\?\Z)|(?:[bBnNxX]|[uU]&)?'(?:[^']|'')*(?:'|\Z)
        |\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z))
    |(?P<name>[^\W\d][\w$]*|"(?:[^"]|"")*(?:"|\Z))
    |(?P<value>\$\d+|\d[\w.]*)
    |(?P<sign>::|[-+*/<>=~!@\#%^&|`?]+|.)""",
    re.VERBOSE | re.DOTALL,
)
"""What does not end, ends with the text."""
_HINT: Final = re.compile(
    r"pg_|information_schema|\breg[a-z]+|\boid\b|'\{|'now'|\bOPERATOR\s*\(|\bSHOW\b|COLLATE|build_object",
    re.IGNORECASE,
)
"""A text without one of these says nothing in PostgreSQL's words."""
_CATALOG: Final = "pg_catalog"
_IDENTIFIERS: Final = frozenset({
    "regclass", "regtype", "regproc", "regprocedure", "regoper", "regoperator",
    "regnamespace", "regrole",
})  # fmt: skip
_TEXTS: Final = frozenset({"text", "varchar", "name"})
_SERIES: Final = frozenset({"generate_series", "unnest"})
_LISTS: Final = frozenset({"string_to_array"})
"""Functions that PostgreSQL takes for a table, and DuckDB does not."""
_CLAUSES: Final = frozenset({
    "select", "from", "join", "where", "on", "using", "group", "having", "order", "by", "limit",
    "union", "cross", "inner", "left", "right", "full", "natural", "lateral",
})  # fmt: skip
_ELEMENT: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|([^,"]+)')
_SHOWN: Final = {
    "transaction isolation level": "transaction_isolation",
    "time zone": "timezone",
    "session authorization": "session_authorization",
}
_NAMES: Final = {name.lower(): name for name in SETTINGS}
_RENAMED: Final = {"json_build_object": "json_object", "jsonb_build_object": "json_object"}
"""Functions of any number of arguments, which no macro can be."""
_MATCHES: Final = {"~": "~", "!~": "!~", "~*": "~", "!~*": "!~"}


def rewrite(sql: str) -> str:
    """
    A text of statements as DuckDB can run it.

    >>> rewrite("SELECT 'pg_class'::pg_catalog.regclass::oid FROM pg_catalog.pg_class")
    "SELECT to_regclass('pg_class')::pg_oid FROM pg_class"
    >>> rewrite("SELECT caller  FROM v_edges -- regular")
    'SELECT caller  FROM v_edges -- regular'
    """
    if not _HINT.search(sql):
        return sql
    for known in KNOWN:
        if known.begins.match(sql):
            return known.meant
    text = _Text(sql)
    text.show()
    text.qualifiers()
    text.functions()
    text.operators()
    text.collations()
    text.members()
    text.tables()
    text.identifiers()
    text.literals()
    return text.joined()


class _Text:
    """
    Tokens of a text that are not space, each with what stands before it.

    Attributes
    ----------
    words
        What is put out of each token; empty where one is left out.
    kinds
        Name of each token's group in `_TOKEN`.
    """

    def __init__(self, sql: str) -> None:
        self.words: list[str] = []
        self.kinds: list[str] = []
        self._spaces: list[str] = []
        self._of_catalog = False
        space = ""
        for found in _TOKEN.finditer(sql):
            kind = found.lastgroup if found.lastgroup != "tag" else "string"
            if kind == "space":
                space += found[0]
                continue
            self.words.append(found[0])
            self.kinds.append(str(kind))
            self._spaces.append(space)
            space = ""
        self._end = space
        self._after = [*range(1, len(self.words) + 1)]
        self._before = [*range(-1, len(self.words) - 1)]
        self._partner = self._brackets()

    def _brackets(self) -> dict[int, int]:
        """Place of each bracket that has a partner to its partner's."""
        found: dict[int, int] = {}
        opened: list[int] = []
        for at, (word, kind) in enumerate(zip(self.words, self.kinds, strict=True)):
            if kind != "sign":
                continue
            if word in "([":
                opened.append(at)
            elif word in ")]" and opened:
                found[at] = opened.pop()
                found[found[at]] = at
        return found

    def joined(self) -> str:
        """The text as it is now."""
        pairs = zip(self._spaces, self.words, strict=True)
        return "".join(space + word for space, word in pairs) + self._end

    def _name(self, at: int) -> str:
        """Name that a token is, as PostgreSQL compares it; empty for another token."""
        if not 0 <= at < len(self.words) or self.kinds[at] != "name":
            return ""
        word = self.words[at]
        return word[1:-1] if word.startswith('"') else word.lower()

    def _is(self, at: int, *words: str) -> bool:
        return 0 <= at < len(self.words) and self.words[at] in words

    def _is_string(self, at: int) -> bool:
        return 0 <= at < len(self.words) and self.kinds[at] == "string"

    def _drop(self, *places: int) -> None:
        for at in places:
            self.words[at] = self._spaces[at] = ""
            before, after = self._before[at], self._after[at]
            if before >= 0:
                self._after[before] = after
            if after < len(self.words):
                self._before[after] = before

    def _next(self, at: int) -> int:
        """The next token that is still there; behind the last if none is."""
        return self._after[at] if 0 <= at < len(self.words) else len(self.words)

    def _last(self, at: int) -> int:
        """The last token before that is still there; -1 if none is."""
        return self._before[at] if 0 <= at < len(self.words) else -1

    def show(self) -> None:
        """``SHOW name`` of a setting asks for it."""
        starts = [0, *(at + 1 for at, word in enumerate(self.words) if word == ";")]
        for start in starts:
            if self._name(start) != "show":
                continue
            end = start + 1
            while end < len(self.words) and self.words[end] != ";":
                end += 1
            asked = " ".join(word.strip('"').lower() for word in self.words[start + 1 : end])
            name = _NAMES.get(_SHOWN.get(asked, asked), asked)
            if name == "all":
                said = "SELECT name, setting, '' AS description FROM pg_settings ORDER BY name"
            elif name in SETTINGS:
                said = f"SELECT current_setting('{name}') AS \"{name}\""
            else:
                continue
            self.words[start] = said
            self.kinds[start] = "value"
            self._drop(*range(start + 1, end))

    def qualifiers(self) -> None:
        """``pg_catalog.`` is left out, ``information_schema.`` is another's name."""
        for at in range(len(self.words) - 1):
            name = self._name(at)
            if not name.startswith(("pg_", "information_schema")):
                continue
            self._of_catalog = True
            if self.words[at + 1] == "." and not self._is(at - 1, "."):
                if name == _CATALOG or self._is(at + 3, "("):  # a function of either
                    space = self._spaces[at]
                    self._drop(at, at + 1)
                    if at + 2 < len(self.words):
                        self._spaces[at + 2] = space
                elif name == "information_schema":
                    self.words[at] = SCHEMAS[0]
        if self._of_catalog:
            for at in range(2, len(self.words)):
                if self._name(at) == "tableoid" and self._is(at - 1, "."):  # of nothing described
                    self._drop(at - 2, at - 1)
                    self.words[at], self._spaces[at] = "0", " "

    def functions(self) -> None:
        """Functions that have another name."""
        for at in range(len(self.words) - 2):
            if self.words[at + 1] != "(":
                continue
            name = self._name(at)
            self.words[at] = _RENAMED.get(name, self.words[at])
            if name == "format" and self._of_catalog and self.kinds[at + 2] == "string":
                self.words[at] = "printf"
                self.words[at + 2] = re.sub("%[IL]", "%s", self.words[at + 2])

    def operators(self) -> None:
        """``OPERATOR(pg_catalog.~)`` is ``~``; and ``~`` means what it does in PostgreSQL."""
        for at in range(len(self.words)):
            opening = self._next(at)
            if self._name(at) != "operator" or not self._is(opening, "("):
                continue
            sign = self._next(opening)
            closing = self._next(sign)
            if self._is(closing, ")") and self.kinds[sign] == "sign":
                self._drop(at, opening, closing)
                self._spaces[sign] = " "
        if not self._of_catalog:
            return
        for at, word in enumerate(self.words):
            pattern = self._next(at)
            if word in _MATCHES and self._is_string(pattern):
                self.words[at] = _MATCHES[word]
                self.words[pattern] = _whole(self.words[pattern], ignoring_case="*" in word)

    def tables(self) -> None:
        """A function among tables has one column, of the name it is given there."""
        if not self._of_catalog:
            return
        clauses = [""]
        for at in range(len(self.words)):
            name = self._name(at)
            if self._is(at, "("):
                clauses.append("")
            elif self._is(at, ")") and len(clauses) > 1:
                clauses.pop()
            elif name in _CLAUSES:
                clauses[-1] = name
            elif name in _SERIES | _LISTS and clauses[-1] in {"from", "join"}:
                self._table(at, name)

    def _table(self, at: int, name: str) -> None:
        closing = self._partner.get(self._next(at), -1)
        alias = self._next(closing)
        if self._name(alias) == "as":
            alias = self._next(alias)
        given = self._name(alias)
        if not given or given in _CLAUSES or self._is(self._next(alias), "("):
            return
        if name in _SERIES:
            self.words[alias] += f"({self.words[alias]})"
        else:
            self.words[at] = f"(SELECT {self.words[at]}"
            self.words[closing] += f" AS {self.words[alias]})"

    def collations(self) -> None:
        """The database's own collation is the only one."""
        for at in range(len(self.words)):
            name = self._next(at)
            if self._name(at) == "collate" and self._name(name) == "default":
                self._drop(at, name)

    def members(self) -> None:
        """``= ANY(column)`` asks the list itself: DuckDB cannot join on what it unnests."""
        if not self._of_catalog:
            return
        for at in range(len(self.words)):
            sign, opening = self._last(at), self._next(at)
            closing = self._partner.get(opening, -1)
            if self._name(at) != "any" or not self._is(sign, "=") or closing < opening:
                continue
            column = range(opening + 1, closing)
            if not column or any(not self._name(one) and self.words[one] != "." for one in column):
                continue  # a query, a parameter, a list
            end = self._last(sign)
            start = self._operand(end)
            named = "".join(self.words[one] for one in column)
            self.words[start] = f"list_contains({named}, {self.words[start]}"
            self.words[end] += ")"
            self._drop(sign, at, *range(opening, closing + 1))

    def identifiers(self) -> None:
        """Names of relations and types, cast to numbers, are looked up; oid is a type."""
        for at in range(len(self.words)):
            kind = self._name(at)
            before = self._last(at)
            if kind == "oid" and self._is(before, "::"):
                self.words[at] = "pg_oid"  # DuckDB takes oid for BIGINT, and it is not the same
            if kind not in _IDENTIFIERS:
                continue
            if self._is(before, "::"):
                end = self._last(before)
                start = self._operand(end)
                function = self._function(kind, self._next(at))
                self.words[start] = f"{function}({self.words[start]}"
                self.words[end] += ")"
                self._drop(before, at)
            elif self._name(before) == "as" and self._is(closing := self._next(at), ")"):
                cast = self._last(self._partner.get(closing, -1))
                if self._name(cast) == "cast":
                    self.words[cast] = self._function(kind, self._next(closing))
                    self._drop(before, at)
            elif self._is_string(text := self._next(at)):
                self.words[at] = f"to_{kind}("
                self._spaces[text] = ""
                self.words[text] += ")"

    def _function(self, kind: str, after: int) -> str:
        """Look up a name if the cast is cast to text again, else a number."""
        again = self._name(self._next(after))
        to_text = (self._is(after, "::") or self._name(after) == "as") and again in _TEXTS
        return f"{kind}_text" if to_text else f"to_{kind}"

    def _operand(self, end: int) -> int:
        """Where what is cast begins, of which the last token is at ``end``."""
        at = max(end, 0)
        while True:
            if (opening := self._partner.get(at, at)) < at:
                array = opening == self._last(at)  # a type: text[]
                called = self._name(self._last(opening))
                at = self._last(opening) if array or called else opening
                at = max(at, 0)
            while self._is(self._last(at), "."):
                at = max(self._last(self._last(at)), 0)
            if not self._is(self._last(at), "::"):
                return at
            at = max(self._last(self._last(at)), 0)

    def literals(self) -> None:
        """``'{a,b}'`` cast to an array, or after ANY, is a list; ``'now'`` is a time."""
        for at, word in enumerate(self.words):
            if word == "'now'" and self._is(self._next(at), "::"):
                self.words[at] = "now()"
            if self.kinds[at] != "string" or not word.startswith("'{") or not word.endswith("}'"):
                continue
            cast = self._next(at)
            array = self._is(cast, "::") and self._is(self._next(self._next(cast)), "[")
            bracket = self._last(at)
            among = self._is(bracket, "(") and self._name(self._last(bracket)) in {"any", "all"}
            if array or among:
                self.words[at] = _list(word)


def _list(array: str) -> str:
    """
    A literal of an array, of one dimension, as a list.

    >>> _list("'{r,x y,NULL}'"), _list("'{{1},{2}}'")
    ("['r', 'x y', NULL]", "'{{1},{2}}'")
    """
    if "{" in array[2:-2]:
        return array
    elements = []
    for quoted, plain in _ELEMENT.findall(array[2:-2]):
        element = re.sub(r"\\(.)", r"\1", quoted) if quoted else plain.strip()
        elements.append("NULL" if element == "NULL" and not quoted else f"'{element}'")
    return f"[{', '.join(elements)}]"


def _whole(pattern: str, *, ignoring_case: bool) -> str:
    """
    A literal of a pattern that finds a part, as one that matches the whole.

    >>> _whole("'^pg_|old'", ignoring_case=False), _whole("'b$'", ignoring_case=True)
    ("'(?s).*(?:^pg_|old).*'", "'(?si).*(?:b$).*'")
    """
    quote = pattern.index("'") + 1
    start, inside = pattern[:quote], pattern[quote:-1]
    flags = "si" if ignoring_case else "s"
    return f"{start}(?{flags}).*(?:{inside}).*'"
