"""The same values from a real PostgreSQL: each type's number, text and bytes are the same."""

import psycopg
import pytest
from psycopg import pq
from serving import Served

SAME = (
    "true", "false", "1::int2", "(-32768)::int2", "2147483647", "(-2147483648)::int4", "0::int8",
    "(-9223372036854775808)::int8", "9223372036854775807::int8",
    *(f"'{value}'::float8" for value in (
        "0", "-0", "0.1", "1", "-1.5", "100000", "1e15", "123456789012345.6", "1e16", "1e17",
        "1.5e300", "5e-324", "1e-4", "1e-5", "1.234e-7", "0.1234567890123456", "3.141592653589793",
        "NaN", "Infinity", "-Infinity", "1.7976931348623157e308", "1e21", "1e100", "12345678",
    )),
    *(f"'{value}'::float4" for value in (
        "0", "-0", "0.1", "1", "-1.5", "1e6", "1e7", "16777216", "3.4028235e38", "1e-5", "1e-45",
        "NaN", "Infinity", "-Infinity", "123456.7",
    )),
    *(f"({value})::numeric({limits})" for value, limits in (
        ("0", "1,0"), ("0", "5,2"), ("1", "5,0"), ("-1.50", "5,2"), ("10000", "9,0"),
        ("9999", "4,0"), ("0.0001", "9,4"), ("0.00012", "9,5"), ("123456789.123456", "18,6"),
        ("-0.01", "4,2"), ("100000000", "18,3"), ("99999999999999999999999999999999999999", "38,0"),
        ("0.00000000000000000000000000000000000001", "38,38"), ("12345678901234567890", "38,4"),
    )),
    "''::text", "'Zürich ☃'::text", "E'tab\\tnew\\nline'",
    *(f"date '{day}'" for day in (
        "2026-11-20", "2000-01-01", "1999-12-31", "1970-01-01", "0001-01-01", "9999-12-31",
        "20000-01-01", "infinity", "-infinity",
    )),
    *(f"time '{clock}'" for clock in (
        "00:00:00", "23:59:59.999999", "12:34:56.5", "01:02:03.000001", "24:00:00",
    )),
    *(f"timestamp '{moment}'" for moment in (
        "2026-11-20 01:02:03", "2026-11-20 01:02:03.1", "2026-11-20 01:02:03.456789",
        "1969-12-31 23:59:59.999999", "1999-12-31 23:59:59", "0001-01-01 00:00:00",
        "20000-01-01 00:00:00", "infinity", "-infinity",
    )),
    *(f"timestamptz '{moment}'" for moment in (
        "2026-11-20 01:02:03+00", "2026-11-20 01:02:03.25+05:30", "1969-12-31 23:59:59.999999+00",
        "infinity", "-infinity",
    )),
    *(f"interval '{span}'" for span in (
        "0 seconds", "1 second", "-1 seconds", "1.5 seconds", "25 hours", "-25 hours", "1 day",
        "-3 days", "2 days 03:04:05.5", "1 month", "13 months", "-13 months", "1 year",
        "1 month -2 days 03:00:00", "-1 year 2 days -00:00:01", "1000000 hours",
        "0.000001 seconds", "-1 months 1 day",
    )),
    "'9f8e7d6c-0000-4000-8000-00000000002a'::uuid", "'00000000-0000-0000-0000-000000000000'::uuid",
    "'{\"a\": [1, null]}'::json",
    "ARRAY[1, NULL, -3]::int4[]", "ARRAY[]::int8[]", "ARRAY[true, NULL, false]",
    "ARRAY['a', NULL, '', 'NULL', 'null', 'b,c', 'd e', '{f}', E'\"g\\\\', 'h', ' i ']::text[]",
    "ARRAY[0.5, NULL]::float8[]", "ARRAY[1.50, -2.25, NULL]::numeric(5,2)[]",
    "ARRAY[timestamptz '2026-11-20 01:02:03+00', NULL]", "ARRAY[date '2026-11-20']",
    "ARRAY['9f8e7d6c-0000-4000-8000-00000000002a'::uuid, NULL]", "ARRAY[interval '1 day 2 hours']",
    "ARRAY[time '01:02:03']", "ARRAY[timestamp '2026-11-20 00:00:00.5']",
    "NULL::int4", "NULL::text[]", "NULL::timestamptz",
)  # fmt: skip
"""Expressions that both understand."""

OURS_AND_THEIRS = (
    ("'\\x00\\xFF\\x5C'::BLOB", "'\\x00ff5c'::bytea"),
    ("''::BLOB", "''::bytea"),
    ("['\\x00'::BLOB, NULL]", "ARRAY['\\x00'::bytea, NULL]"),
    ("'a'::VARCHAR", "'a'::text"),
    ("200::UTINYINT", "200::int2"),
    ("(-5)::TINYINT", "(-5)::int2"),
    ("65535::USMALLINT", "65535::int4"),
    ("4294967295::UINTEGER", "4294967295::int8"),
    ("0::UBIGINT", "0::numeric"),
    ("18446744073709551615::UBIGINT", "18446744073709551615::numeric"),
    ("10000::UBIGINT", "10000::numeric"),
    (
        "(-170141183460469231731687303715884105727)::HUGEINT",
        "(-170141183460469231731687303715884105727)::numeric",
    ),
    (
        "(SELECT sum(x) FROM (VALUES (9223372036854775807), (9)) t(x))",
        "9223372036854775816::numeric",
    ),
    ("[1, 20000, NULL]::UBIGINT[]", "ARRAY[1, 20000, NULL]::numeric[]"),
    ("[1, NULL]::HUGEINT[]", "ARRAY[1, NULL]::numeric[]"),
    ("{'a': 1, 'b': [NULL, 'x']}", '\'{"a":1,"b":[null,"x"]}\'::json'),
    ("MAP {'ok': 7::UBIGINT}", "'{\"ok\":7}'::json"),
    ("[{'bucket': 3::SMALLINT, 'calls': 2::UBIGINT}]", '\'[{"bucket":3,"calls":2}]\'::json'),
    ("[[1, 2], []]", "'[[1,2],[]]'::json"),
    ("TIMESTAMP_NS '2026-11-20 01:02:03.456789'", "timestamp '2026-11-20 01:02:03.456789'"),
    ("TIMESTAMP_MS '2026-11-20 01:02:03.5'", "timestamp '2026-11-20 01:02:03.5'"),
    ("TIMESTAMP_S '2026-11-20 01:02:03'", "timestamp '2026-11-20 01:02:03'"),
    ("'on'::ENUM ('on', 'off')", "'on'::text"),
    ("TIMETZ '01:02:03.5+05:30'", "timetz '01:02:03.5+05:30'"),
)
"""What each calls it, where they differ."""


EXPRESSIONS = [*((one, one) for one in SAME), *OURS_AND_THEIRS]


def _sent(dsn: str, expressions: list[str], form: pq.Format) -> list[tuple[object, ...]]:
    """Number, width and modifier of each type, and the value, as they were sent in a row."""
    with psycopg.connect(dsn) as connection:
        query = f"SELECT {', '.join(expressions)}".encode()
        result = connection.pgconn.exec_params(query, None, result_format=form)
        assert result.status == pq.ExecStatus.TUPLES_OK, result.error_message.decode()
        return [
            (result.ftype(i), result.fsize(i), result.fmod(i), result.get_value(0, i))
            for i in range(len(expressions))
        ]


@pytest.mark.parametrize("form", [pq.Format.TEXT, pq.Format.BINARY], ids=["text", "binary"])
def test_values_are_sent_as_postgresql_sends_them(served: Served, postgres: str, form: pq.Format):
    """Number, width and modifier of the type, and the value's bytes, of each expression."""
    ours = _sent(served.dsn(), [one for one, _ in EXPRESSIONS], form)
    theirs = _sent(postgres, [one for _, one in EXPRESSIONS], form)
    differ = {
        expression: pair
        for (expression, _), *pair in zip(EXPRESSIONS, ours, theirs, strict=True)
        if pair[0] != pair[1]
    }
    assert differ == {}
