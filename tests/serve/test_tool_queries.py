"""
What DBeaver, Metabase, Superset and pgAdmin ask of a catalog, run here and on a PostgreSQL.

The same columns come from both, so a query here is one of PostgreSQL's, and
what a tool looks for in its answer is there.
"""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import pq
from serving import Served

DESCRIBED = """LEFT OUTER JOIN pg_catalog.pg_description d
    ON d.objoid=c.oid AND d.objsubid=0 AND d.classoid='pg_class'::regclass"""
METABASE_FIELD = """CASE WHEN c.udt_schema IN ('public', 'pg_catalog') THEN FORMAT('%s', c.udt_name)
    ELSE FORMAT('"%s"."%s"', c.udt_schema, c.udt_name) END AS "database-type",
    COL_DESCRIPTION(CAST(CAST(FORMAT('%I.%I', CAST(c.table_schema AS TEXT),
        CAST(c.table_name AS TEXT)) AS REGCLASS) AS OID), c.ordinal_position) AS "field-comment" """

QUERIES = {
    "dbeaver schemas": """SELECT n.oid,n.*,d.description FROM pg_catalog.pg_namespace n
        LEFT OUTER JOIN pg_catalog.pg_description d
        ON d.objoid=n.oid AND d.objsubid=0 AND d.classoid='pg_namespace'::regclass
        ORDER BY nspname""",
    "dbeaver database": "SELECT db.oid,db.* FROM pg_catalog.pg_database db WHERE datallowconn",
    "sqlalchemy 1.4 indexes": """SELECT i.relname as relname, ix.indisunique, ix.indexprs, a.attname,
        a.attnum, c.conrelid, ix.indkey::varchar AS indkey, ix.indoption::varchar AS indoption, i.reloptions, am.amname,
        pg_get_expr(ix.indpred, ix.indrelid) AS predicate, ix.indnkeyatts as indnkeyatts
        FROM pg_class t join pg_index ix on t.oid = ix.indrelid join pg_class i on i.oid = ix.indexrelid
        left outer join pg_attribute a on t.oid = a.attrelid and a.attnum = ANY(ix.indkey)
        left outer join pg_constraint c on (ix.indrelid = c.conrelid and
            ix.indexrelid = c.conindid and c.contype in ('p', 'u', 'x'))
        left outer join pg_am am on i.relam = am.oid
        WHERE t.relkind IN ('r', 'v', 'f', 'm', 'p') and t.oid = 17013 and ix.indisprimary = 'f'
        ORDER BY t.relname, i.relname""",
    "dbeaver session": "SELECT current_schema(),session_user",
    "dbeaver relations": f"""SELECT c.oid,c.*,d.description,
        pg_catalog.pg_get_expr(c.relpartbound, c.oid) as partition_expr,
        pg_catalog.pg_get_partkeydef(c.oid) as partition_key
        FROM pg_catalog.pg_class c {DESCRIBED}
        WHERE c.relnamespace='public'::regnamespace AND c.relkind not in ('i','I','c')""",
    "dbeaver columns": """SELECT c.relname,a.*,
        pg_catalog.pg_get_expr(ad.adbin, ad.adrelid, true) as def_value,
        dsc.description,dep.objid
        FROM pg_catalog.pg_attribute a INNER JOIN pg_catalog.pg_class c ON (a.attrelid=c.oid)
        LEFT OUTER JOIN pg_catalog.pg_attrdef ad
            ON (a.attrelid=ad.adrelid AND a.attnum = ad.adnum)
        LEFT OUTER JOIN pg_catalog.pg_description dsc
            ON (c.oid=dsc.objoid AND a.attnum = dsc.objsubid)
        LEFT OUTER JOIN pg_depend dep on dep.refobjid = a.attrelid AND dep.deptype = 'i'
            and dep.refobjsubid = a.attnum and dep.classid = dep.refclassid
        WHERE NOT a.attisdropped AND c.relname = 'v_types' ORDER BY a.attnum""",
    "dbeaver types": """SELECT t.oid,t.*,c.relkind,
        format_type(nullif(t.typbasetype, 0), t.typtypmod) as base_type_name, d.description
        FROM pg_catalog.pg_type t LEFT OUTER JOIN pg_catalog.pg_type et ON et.oid=t.typelem
        LEFT OUTER JOIN pg_catalog.pg_class c ON c.oid=t.typrelid
        LEFT OUTER JOIN pg_catalog.pg_description d ON t.oid=d.objoid
        WHERE t.typname IS NOT NULL AND (c.relkind IS NULL OR c.relkind = 'c')
        AND (et.typcategory IS NULL OR et.typcategory <> 'C')""",
    "dbeaver no rows": "SELECT * FROM pg_catalog.pg_enum WHERE 1<>1 LIMIT 1",
    "dbeaver sizes": """select c.oid,pg_catalog.pg_total_relation_size(c.oid) as total_rel_size,
        pg_catalog.pg_relation_size(c.oid) as rel_size
        FROM pg_class c WHERE c.relnamespace='public'::regnamespace""",
    "dbeaver indexes": """SELECT i.*,i.indkey as keys,c.relname,c.relnamespace,c.relam,
        tc.relname as tabrelname,dsc.description,
        pg_catalog.pg_get_expr(i.indpred, i.indrelid) as pred_expr,
        pg_catalog.pg_stat_get_numscans(i.indexrelid) as index_num_scans
        FROM pg_catalog.pg_index i INNER JOIN pg_catalog.pg_class c ON c.oid=i.indexrelid
        INNER JOIN pg_catalog.pg_class tc ON tc.oid=i.indrelid
        LEFT OUTER JOIN pg_catalog.pg_description dsc ON i.indexrelid=dsc.objoid
        WHERE i.indrelid=1 ORDER BY tabrelname, c.relname""",
    "dbeaver constraints": """SELECT c.oid,c.*,t.relname as tabrelname,
        rt.relnamespace as refnamespace,d.description,
        case when c.contype='c' then "substring"(pg_get_constraintdef(c.oid), 7)
            else null end consrc_copy
        FROM pg_catalog.pg_constraint c INNER JOIN pg_catalog.pg_class t ON t.oid=c.conrelid
        LEFT OUTER JOIN pg_catalog.pg_class rt ON rt.oid=c.confrelid
        LEFT OUTER JOIN pg_catalog.pg_description d
        ON d.objoid=c.oid AND d.objsubid=0 AND d.classoid='pg_constraint'::regclass
        WHERE c.conrelid=1 ORDER BY c.oid""",
    "dbeaver roles": "SELECT a.oid,a.* FROM pg_catalog.pg_roles a ORDER BY a.rolname",
    "dbeaver sessions": "SELECT sa.* FROM pg_catalog.pg_stat_activity sa",
    "dbeaver procedures": """SELECT p.oid as poid,p.*,
        pg_catalog.pg_get_expr(p.proargdefaults, 0) as arg_defaults,d.description
        FROM pg_catalog.pg_proc p LEFT OUTER JOIN pg_catalog.pg_description d
        ON d.objoid=p.oid AND d.objsubid = 0
        WHERE p.pronamespace='public'::regnamespace ORDER BY p.proname""",
    "metabase tables": f"""SELECT n.nspname AS schema, c.relname AS name,
        CASE c.relkind WHEN 'r' THEN 'TABLE' WHEN 'p' THEN 'PARTITIONED TABLE'
            WHEN 'v' THEN 'VIEW' ELSE NULL END AS type,
        d.description AS description, stat.n_live_tup AS estimated_row_count
        FROM pg_catalog.pg_class AS c
        INNER JOIN pg_catalog.pg_namespace AS n ON c.relnamespace = n.oid {DESCRIBED}
        LEFT JOIN pg_stat_user_tables AS stat
            ON (n.nspname = stat.schemaname) AND (c.relname = stat.relname)
        WHERE (c.relnamespace = n.oid) AND (n.nspname !~ '^pg_')
        AND (n.nspname <> 'information_schema') AND c.relkind in ('r', 'p', 'v', 'f', 'm')
        AND (n.nspname IN ('public')) ORDER BY type ASC, schema ASC, name ASC""",
    "metabase fields": f"""SELECT c.column_name AS name, {METABASE_FIELD},
        pk.column_name IS NOT NULL AS "pk?"
        FROM information_schema.columns AS c LEFT JOIN (
            SELECT tc.table_schema, tc.table_name, kc.column_name
            FROM information_schema.table_constraints AS tc
            INNER JOIN information_schema.key_column_usage AS kc
                ON (tc.constraint_name = kc.constraint_name)
                AND (tc.table_schema = kc.table_schema)
            WHERE tc.constraint_type = 'PRIMARY KEY') AS pk
        ON (c.table_schema = pk.table_schema) AND (c.column_name = pk.column_name)
        WHERE c.table_schema !~ '^information_schema|catalog_history|pg_'
        AND (c.table_schema IN ('public'))""",
    "metabase enums": """SELECT nspname, typname FROM pg_type t
        JOIN pg_namespace n ON n.oid = t.typnamespace
        WHERE t.oid IN (SELECT DISTINCT enumtypid FROM pg_enum e)""",
    "metabase privileges": """SELECT table_schema, table_name,
        pg_catalog.has_table_privilege(current_user, '"' || table_schema || '"."' || table_name
            || '"', 'SELECT') AS select
        FROM information_schema.tables WHERE table_schema NOT LIKE 'pg@_%' ESCAPE '@'
        AND pg_catalog.has_schema_privilege(current_user, table_schema, 'USAGE')""",
    "metabase zone": "show timezone",
    "superset functions": """SELECT routine_name FROM information_schema.routines
        WHERE routine_schema = 'public'""",
    "pgadmin start": """SELECT db.oid as did, db.datname, db.datallowconn,
        pg_encoding_to_char(db.encoding) AS serverencoding,
        has_database_privilege(db.oid, 'CREATE') as cancreate, datistemplate
        FROM pg_catalog.pg_database db WHERE db.datname = current_database()""",
    "pgadmin role": """SELECT roles.oid as id, roles.rolname as name,
        roles.rolsuper as is_superuser, roles.rolcreaterole as can_create_role,
        pg_catalog.pg_is_in_recovery() as inrecovery
        FROM pg_catalog.pg_roles as roles WHERE rolname = current_user""",
}


@pytest.fixture(scope="module")
def both(served: Served, postgres: str) -> Iterator[tuple[psycopg.Connection, psycopg.Connection]]:
    """A connection to ours, and one to PostgreSQL with a view of the same name."""
    with served.connect() as ours, psycopg.connect(postgres, autocommit=True) as theirs:
        theirs.execute("CREATE OR REPLACE VIEW v_one AS SELECT 1::int8 AS number")
        yield ours, theirs


@pytest.mark.parametrize("name", QUERIES)
def test_the_columns_are_postgresqls(
    both: tuple[psycopg.Connection, psycopg.Connection], name: str
):
    """Answered, with the columns that a PostgreSQL answers with."""
    columns = []
    for connection in both:
        result = connection.pgconn.exec_(QUERIES[name].encode())
        assert result.status == pq.ExecStatus.TUPLES_OK, result.error_message.decode()
        names = [result.fname(i) or b"" for i in range(result.nfields)]
        columns.append([name.removesuffix(b"()") for name in names])  # DuckDB's names of calls
    assert columns[0] == columns[1]


def test_metabase_finds_fields_and_what_they_mean(served: Served):
    """Types by PostgreSQL's short names, and the documented meaning."""
    with served.connect() as connection:
        rows = connection.execute(QUERIES["metabase fields"] + " AND c.table_name = 'v_gateways'")
        assert rows.fetchall()[:3] == [
            ("network", "text", "network it is seen from", False),
            ("ip", "text", "address, text", False),
            ("port", "int4", "port", False),
        ]
