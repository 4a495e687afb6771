"""Values that clients send, and of which type they are."""

import struct
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ServeError
from pipeline.serve import statements
from pipeline.serve.pgwire import parameters, types, values
from pipeline.serve.statements import Scope

CONNECTION = duckdb.connect()
SCOPE = Scope(macros=frozenset(), confined=False)
RELATIONS = {
    "v_edges": {
        "minute": "TIMESTAMP WITH TIME ZONE",
        "client": "VARCHAR",
        "requests": "BIGINT",
        "share": "DOUBLE",
        "methods": "VARCHAR[]",
        "confidence": "DECIMAL(2,1)",
    },
    "other": {"requests": "INTEGER", "client": "VARCHAR"},
}
TEXT, INT8, TIMESTAMPTZ, TEXTS, NUMERIC = 25, 20, 1184, 1009, 1700


@pytest.mark.parametrize(
    ("text", "oids"),
    [
        ("SELECT $1::int, $2::timestamptz[]", [23, 1185]),
        ("SELECT CAST($1 AS DATE), $2::uuid, $3::bytea", [1082, 2950, 17]),
        ("FROM v_edges WHERE minute >= $1 AND $2 = client", [TIMESTAMPTZ, TEXT]),
        ("FROM v_edges e WHERE e.minute BETWEEN $1 AND $2", [TIMESTAMPTZ, TIMESTAMPTZ]),
        ("FROM v_edges WHERE requests IN ($1, $2)", [INT8, INT8]),
        ("FROM v_edges WHERE client = ANY($1)", [TEXTS]),
        ("FROM v_edges WHERE client LIKE $1 LIMIT $2 OFFSET $3", [TEXT, INT8, INT8]),
        ("FROM v_edges WHERE methods = $1 AND confidence > $2", [TEXTS, NUMERIC]),
        ("SELECT $1 > 5, $2 = 'x', $3 < 1.5", [INT8, TEXT, NUMERIC]),
        ("FROM v_edges, other WHERE client = $1", [TEXT]),
        ("SELECT $1 || $2", [0, 0]),
        ("FROM v_edges, other o WHERE o.requests = $1", [0]),
    ],
)
def test_a_statement_tells_types(text: str, oids: list[int]):
    """Casts, what is compared, LIMIT; nothing where it could be either of two."""
    tree = statements.check(CONNECTION, text, SCOPE)
    assert parameters.inferred(tree, [], len(oids), RELATIONS) == oids


def test_what_the_client_says_goes_first():
    """Its type stands, whatever the statement tells."""
    tree = statements.check(CONNECTION, "SELECT $1::int, $2::int", SCOPE)
    assert parameters.inferred(tree, [20], 2, {}) == [20, 23]


@pytest.mark.parametrize(
    ("data", "oid", "value"),
    [
        (b"t", 16, "t"),
        (b"12", 23, "12"),
        (b"1.50", 1700, Decimal("1.50")),
        (b"340282366920938463463374607431768211456", 1700, 3.402823669209385e38),
        (b"NaN", 1700, "nan"),
        (b"\\x00ff", 17, b"\x00\xff"),
        (b'{1,NULL,"a\\"b",{}}', 1009, ["1", None, 'a"b', []]),
        (b"{}", 1007, []),
        ("ü".encode(), 0, "ü"),
    ],
)
def test_values_as_text(data: bytes, oid: int, value: Any):
    """What DuckDB casts, and what it would read otherwise than PostgreSQL."""
    found = values.value(data, oid, binary=False)
    assert str(found) == value if value == "nan" else found == value


@pytest.mark.parametrize(
    ("data", "oid", "value"),
    [
        (b"\x01", 16, True),
        (b"\xff\xfe", 21, -2),
        (b"\x00\x00\x00\x05", 23, 5),
        (b"\x7f\xff\xff\xff\xff\xff\xff\xff", 20, 9_223_372_036_854_775_807),
        (b"\x3f\xf8\x00\x00\x00\x00\x00\x00", 701, 1.5),
        (b"\x00\x03\x00\x01\x40\x00\x00\x02\x00\x01\x09\x29\x1a\x2c", 1700, Decimal("-12345.67")),
        (b"\x00\x00\x00\x00\x00\x00\x00\x00", 1700, 0),
        (b"\x00\x01\xff\xff\x00\x00\x00\x04\x00\x01", 1700, Decimal("0.0001")),
        (b"\x00\x00\x00\x00\x00\x00\x00\x00", 1184, "2000-01-01 00:00:00.000000+00"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff", 1114, "1999-12-31 23:59:59.999999"),
        (b"\x7f\xff\xff\xff\xff\xff\xff\xff", 1184, "infinity"),
        (b"\x00\x00\x00\x01", 1082, "2000-01-02"),
        (struct.pack("!q", 3_723_000_004), 1083, "01:02:03.000004"),
        (struct.pack("!qi", 0, -9_000), 1266, "00:00:00.000000+02:30"),
        (struct.pack("!qii", 7, 2, 14), 1186, "14 months 2 days 7 microseconds"),
        (bytes(range(16)), 2950, "000102030405060708090a0b0c0d0e0f"),
        (b"\x01[1]", 3802, "[1]"),
        (b"a", 25, "a"),
        (
            struct.pack("!iiIiiii", 1, 1, 23, 2, 1, 4, 9) + struct.pack("!i", -1),
            1007,
            [9, None],
        ),
        (struct.pack("!iiI", 0, 0, 23), 1007, []),
    ],
)
def test_values_as_bytes(data: bytes, oid: int, value: Any):
    """The bytes PostgreSQL's documentation and sources give for each."""
    assert values.value(data, oid, binary=True) == value


@pytest.mark.parametrize(
    ("data", "oid", "binary", "state"),
    [
        (b"\x00", 23, True, "22P03"),
        (b"", 1184, True, "22P03"),
        (b"\x7f\xff\x00\x00\x00\x00\x00\x00", 1700, True, "22P03"),
        (struct.pack("!iiIii", 1, 0, 23, 1 << 30, 1), 1007, True, "22P03"),
        (b"\x01", 600, True, "0A000"),
        (b"\xff", 25, False, "22P02"),
        (b"a\x00", 25, False, "22P02"),
        (b"x", 1700, False, "22P02"),
        (b"{1", 1007, False, "22P02"),
        (b"1}", 1007, False, "22P02"),
        (b"{" * 100, 1007, False, "22P02"),
    ],
)
def test_what_is_no_value_is_refused(data: bytes, oid: int, binary: bool, state: str):
    """Short, long, deep, of a type that is not known, not UTF-8."""
    with pytest.raises(ServeError) as refused:
        values.value(data, oid, binary=binary)
    assert refused.value.sqlstate == state


OIDS = st.sampled_from([0, *types.BY_OID, *types.BY_ARRAY_OID, 600])


@given(st.binary(max_size=200), OIDS, st.booleans())
def test_any_bytes_are_a_value_or_refused(data: bytes, oid: int, binary: bool):
    """Nothing a client can send raises anything else, and no value grows without bound."""
    try:
        found = values.value(data, oid, binary=binary)
    except ServeError as error:
        found = error.sqlstate
    assert len(repr(found)) < 2_000


def test_places_are_not_those_in_literals():
    """Quotes, comments and dollar quotes hide what looks like a parameter."""
    text = "SELECT $2, '$3', \"$4\", $$ $5 $$, a$6 -- $7"
    assert (parameters.count(text), parameters.used(text)) == (2, {"2"})
    assert parameters.cast(text, [0, 23], known=True).startswith("SELECT CAST($2 AS INTEGER), '$3'")
