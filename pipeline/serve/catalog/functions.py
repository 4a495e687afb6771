"""
PostgreSQL's functions, types and settings that DuckDB lacks, as macros.

A macro is found before DuckDB's own function of the same name, since `SCHEMA`
comes first in the search path.

Before: kinds.py. After: rows.py.
Source: PostgreSQL 15 manual, 9.26 (system information functions), 20 (settings).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pipeline.schema.literals import literal
from pipeline.serve.catalog.kinds import Type
from pipeline.serve.roles import DATABASE

SCHEMA: Final = "memory.pg"
"""Where the macros, types and relations are; not ``pg_catalog``, which DuckDB keeps for itself."""
VERSION: Final = "15.0"
HIDDEN: Final = range(13_100, 14_000)
"""Numbers of the relations of ``information_schema``, which their names alone do not find."""

SETTINGS: Final = {
    "application_name": "",
    "array_nulls": "on",
    "block_size": "8192",
    "bytea_output": "hex",
    "client_encoding": "UTF8",
    "client_min_messages": "notice",
    "DateStyle": "ISO, MDY",
    "default_table_access_method": "heap",
    "default_transaction_deferrable": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "on",
    "extra_float_digits": "1",
    "in_hot_standby": "off",
    "integer_datetimes": "on",
    "IntervalStyle": "postgres",
    "is_superuser": "off",
    "jit": "off",
    "lc_collate": "C",
    "lc_ctype": "C",
    "lc_messages": "C",
    "lock_timeout": "0",
    "max_connections": "64",
    "max_identifier_length": "63",
    "max_index_keys": "32",
    "port": "5432",
    "search_path": "public",
    "server_encoding": "UTF8",
    "server_version": VERSION,
    "server_version_num": "150000",
    "standard_conforming_strings": "on",
    "statement_timeout": "0",
    "TimeZone": "UTC",
    "transaction_deferrable": "off",
    "transaction_isolation": "read committed",
    "transaction_read_only": "on",
    "work_mem": "4MB",
}
"""What ``SHOW`` and ``current_setting`` answer, whatever case they are asked in."""

TYPES: Final = {
    **dict.fromkeys(("name", "cstring", "aclitem", "pg_node_tree", "pg_lsn"), "VARCHAR"),
    **dict.fromkeys(("oid", "pg_oid", "xid", "cid"), "BIGINT"),
    "int2vector": "SMALLINT[]",
    "oidvector": "BIGINT[]",
    "bpchar": "VARCHAR",
    "jsonb": "JSON",
    "unknown": "VARCHAR",
    "_oid": "BIGINT[]",
    "_name": "VARCHAR[]",
    **{f"_{name}": f"{name}[]" for name in (
        "bool", "int2", "int4", "int8", "float4", "float8", "text", "varchar", "timestamp",
        "timestamptz", "date", "uuid", "json",
    )},
}  # fmt: skip
"""Types to cast to which DuckDB has no name for."""

_CONSTANTS: Final = {
    **{f"{name}_is_visible(oid)": "true" for name in (
        "pg_type", "pg_function", "pg_operator", "pg_opclass", "pg_opfamily",
        "pg_collation", "pg_conversion", "pg_statistics_obj", "pg_ts_config", "pg_ts_dict",
        "pg_ts_parser", "pg_ts_template",
    )},
    "pg_table_is_visible(oid)": f"oid::BIGINT NOT BETWEEN {HIDDEN.start} AND {HIDDEN.stop - 1}",
    "pg_backend_pid()": "0",
    "pg_is_in_recovery()": "false",
    "pg_is_wal_replay_paused()": "false",
    "pg_postmaster_start_time()": "current_timestamp",
    "pg_conf_load_time()": "current_timestamp",
    "pg_my_temp_schema()": "0::BIGINT",
    "pg_is_other_temp_schema(oid)": "false",
    "pg_jit_available()": "false",
    "current_database()": f"'{DATABASE}'",
    "current_catalog()": f"'{DATABASE}'",
    "current_schema()": "'public'",
    "current_schemas(implicit)": """CASE WHEN implicit THEN ['pg_catalog', 'public']
        ELSE ['public'] END""",
    "version()": f"'PostgreSQL {VERSION} (crosspane, on DuckDB ' || system.main.version() || ')'",
    "inet_server_addr()": "NULL::VARCHAR",
    "inet_server_port()": "NULL::INTEGER",
    "inet_client_addr()": "NULL::VARCHAR",
    "inet_client_port()": "NULL::INTEGER",
    "txid_current()": "1::BIGINT",
    "pg_advisory_unlock_all()": "NULL::VARCHAR",
    "pg_listening_channels()": "NULL::VARCHAR",
    "pg_notification_queue_usage()": "0.0::DOUBLE",
    # nothing here is stored by us, indexed, defaulted or constrained
    "pg_relation_size(oid)": "0::BIGINT",
    "pg_table_size(oid)": "0::BIGINT",
    "pg_total_relation_size(oid)": "0::BIGINT",
    "pg_indexes_size(oid)": "0::BIGINT",
    "pg_database_size(name)": "0::BIGINT",
    "pg_tablespace_size(name)": "0::BIGINT",
    "pg_tablespace_location(oid)": "''",
    "pg_relation_is_publishable(oid)": "false",
    "pg_relation_is_updatable(oid, whole)": "0",
    "pg_column_is_updatable(oid, number, whole)": "false",
    "pg_stat_get_numscans(oid)": "0::BIGINT",
    "pg_get_partkeydef(oid)": "NULL::VARCHAR",
    "pg_get_partition_constraintdef(oid)": "NULL::VARCHAR",
    "pg_get_serial_sequence(relation, attribute)": "NULL::VARCHAR",
    "pg_get_statisticsobjdef_columns(oid)": "NULL::VARCHAR",
    "pg_get_function_sqlbody(oid)": "NULL::VARCHAR",
    "pg_get_function_arg_default(oid, number)": "NULL::VARCHAR",
    "pg_encoding_to_char(encoding)": "'UTF8'",
    "pg_char_to_encoding(name)": "6",
    "pg_client_encoding()": "'UTF8'",
    "pg_tablespace_databases(oid)": "0::BIGINT",
    "acldefault(kind, owner)": "NULL::VARCHAR[]",
    "aclexplode(acl)": """NULL::STRUCT(grantor BIGINT, grantee BIGINT,
        privilege_type VARCHAR, is_grantable BOOLEAN)""",
    "row_security_active(oid)": "false",
    "mxid_age(id)": "0",
    # text
    "quote_ident(name)": """CASE WHEN regexp_full_match(name, '[a-z_][a-z0-9_$]*') THEN name
        ELSE '"' || replace(name, '"', '""') || '"' END""",
    "quote_literal(value)": "'''' || replace(value::VARCHAR, '''', '''''') || ''''",
    "quote_nullable(value)": """coalesce('''' || replace(value::VARCHAR, '''', '''''')
        || '''', 'NULL')""",
    "parse_ident(name)": """list_transform(regexp_extract_all(name, '"(?:[^"]|"")*"|[^."]+'),
        lambda part: CASE WHEN part[1] = '"' THEN replace(part[2:-2], '""', '"')
            ELSE lower(part) END)""",
    "pg_size_pretty(size)": "format_bytes(size::BIGINT)",
    "array_lower(list, dimension)": "CASE WHEN len(list) > 0 AND dimension = 1 THEN 1 END",
    "array_upper(list, dimension)": """CASE WHEN len(list) > 0 AND dimension = 1
        THEN len(list)::INTEGER END""",
    "array_remove(list, value)": "list_filter(list, lambda one: one IS DISTINCT FROM value)",
    "date_bin(stride, source, origin)": "time_bucket(stride::INTERVAL, source, origin)",
    "_pg_expandarray(list)": """unnest(list_transform(list,
        lambda value, number: {'x': value, 'n': number::INTEGER}))""",
    "_pg_truetypid(a, t)": "a.atttypid",
    "_pg_truetypmod(a, t)": "a.atttypmod",
    "_pg_char_max_length(type, modifier)": "NULL::INTEGER",
    "_pg_numeric_precision(type, modifier)": "NULL::INTEGER",
    "_pg_numeric_scale(type, modifier)": "NULL::INTEGER",
}  # fmt: skip
"""What is so for every argument, or follows from the arguments alone."""

LOOKED_UP: Final = (
    """CREATE TABLE pg_described (described_oid BIGINT, described_number INTEGER,
        described_as VARCHAR)""",
    "CREATE TABLE pg_defined (defined_oid BIGINT, defined_as VARCHAR)",
)
"""What macros read: an argument is looked up inside them first, and no caller has these columns."""
_PRIVILEGES: Final = (
    *("any_column", "column", "database", "foreign_data_wrapper", "function", "language"),
    *("schema", "sequence", "server", "table", "tablespace", "type"),
)


def macros(
    role: str,
    types: Sequence[Type],
    relations: Mapping[str, int],
    arguments: Mapping[int, str],
) -> Iterable[str]:
    """
    Statements that make them all.

    Parameters
    ----------
    role
        Who is connected.
    types
        PostgreSQL's.
    relations
        Name to number, of all that ``pg_class`` lists.
    arguments
        Number of a function to its arguments as text.
    """
    labels = {one.oid: one.label for one in types}
    type_names = {name: one.oid for one in types for name in (one.typname, one.label)}
    for signature, body in _CONSTANTS.items():
        yield _macro(signature, body)
    for name in ("current_user", "session_user", "user", "current_role"):
        yield _macro(f"{name}()", literal(role))
    for name in _PRIVILEGES:
        allowed = "upper(privilege) IN ('SELECT', 'USAGE', 'CONNECT', 'EXECUTE', 'READ')"
        yield _macro(
            f"has_{name}_privilege",
            *(f"({before} privilege) AS {allowed}" for before in ("a,", "a, b,", "a, b, c,")),
        )
    # how Superset bounds a time: any other format would have to be read, and is refused
    iso = "value::{kind} ELSE error('only the format {format}') END"
    time, day = "YYYY-MM-DD HH24:MI:SS.US", "YYYY-MM-DD"
    yield _macro(
        "to_timestamp",
        "(seconds) AS system.main.to_timestamp(seconds)",
        f"(value, format) AS CASE WHEN format IN ('{time}', '{day}') THEN "
        + iso.format(kind="TIMESTAMPTZ", format=time),
    )
    yield _macro(
        "to_date(value, format)",
        f"CASE WHEN format = '{day}' THEN " + iso.format(kind="DATE", format=day),
    )
    yield _macro("pg_has_role", "(role, privilege) AS true", "(name, role, privilege) AS true")
    settings = _map({name.lower(): value for name, value in SETTINGS.items()})
    setting = f"{settings}[lower(name)]"
    yield _macro("current_setting", f"(name) AS {setting}", f"(name, missing_ok) AS {setting}")
    yield _macro("set_config(name, value, local)", "value::VARCHAR")
    named = f"{_map(labels)}[type::BIGINT]"
    for name, to_number in (("regclass", relations), ("regtype", type_names)):
        plain = "regexp_replace(lower(value::VARCHAR), '^\"?(public|pg_catalog)\"?[.]|\"', '', 'g')"
        number = f"coalesce(try_cast(value AS BIGINT), {_map(to_number)}[{plain}])"
        text = _map(
            {number: name for name, number in to_number.items()} if name == "regclass" else labels
        )
        yield _macro(f"to_{name}(value)", number)
        yield _macro(f"{name}_text(value)", f"coalesce({text}[{number}], value::VARCHAR)")
    # a number of a function, operator, schema or role stands as it is
    for name in ("regproc", "regprocedure", "regoper", "regoperator", "regnamespace", "regrole"):
        yield _macro(f"to_{name}(value)", "try_cast(value AS BIGINT)")
        yield _macro(f"{name}_text(value)", "value::VARCHAR")
    yield _macro(
        "format_type(type, modifier)",
        f"""CASE WHEN type IS NULL THEN NULL WHEN type = 1700 AND modifier > 4
            THEN 'numeric(' || ((modifier - 4) >> 16) || ',' || ((modifier - 4) & 65535) || ')'
            ELSE coalesce({named}, '???') END""",
    )
    yield _macro(
        "pg_get_keywords()",
        "TABLE SELECT keyword_name AS word, upper(keyword_category[1]) AS catcode,"
        " keyword_category AS catdesc FROM duckdb_keywords()",
    )
    yield _macro("pg_get_userbyid(oid)", f"'{DATABASE}'")
    yield _macro("pg_get_function_arguments(oid)", f"{_map(arguments)}[oid::BIGINT]")
    yield _macro("pg_get_function_identity_arguments(oid)", f"{_map(arguments)}[oid::BIGINT]")
    yield _macro("pg_get_function_result(oid)", "'record'")
    yield _macro("pg_get_functiondef(oid)", "NULL::VARCHAR")
    described = """(SELECT any_value(described_as) FROM pg_described
        WHERE described_oid = a AND described_number = {})"""
    whole = described.format(0)
    yield _macro("obj_description", f"(a) AS {whole}", f"(a, b) AS {whole}")
    yield _macro("shobj_description", "(a, b) AS NULL::VARCHAR")
    yield _macro("col_description(a, b)", described.format("b"))
    defined = "(SELECT any_value(defined_as) FROM pg_defined WHERE defined_oid = a)"
    yield _macro("pg_get_viewdef", f"(a) AS {defined}", f"(a, b) AS {defined}")
    for name in ("indexdef", "constraintdef", "expr", "ruledef", "triggerdef"):
        yield _macro(
            f"pg_get_{name}",
            "(a) AS NULL::VARCHAR", "(a, b) AS NULL::VARCHAR", "(a, b, c) AS NULL::VARCHAR",
        )  # fmt: skip


def _macro(signature: str, *bodies: str) -> str:
    """A macro of one signature and body, or of one name and several `(arguments) AS body`."""
    name, bracket, arguments = signature.partition("(")
    text = f"({arguments} AS {bodies[0]}" if bracket else ", ".join(bodies)
    return f"CREATE OR REPLACE MACRO {SCHEMA}.{name}{text}"


def _map(values: Mapping[int, str] | Mapping[str, int] | Mapping[str, str]) -> str:
    if not values:
        return "MAP {0: ''}"
    entries = (f"{literal(key)}: {literal(value)}" for key, value in values.items())
    return f"MAP {{{', '.join(entries)}}}"
