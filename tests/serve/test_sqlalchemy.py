"""SQLAlchemy's PostgreSQL dialect: what Superset and notebooks read of a database."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from serving import TYPES, Served

from pipeline import views


@pytest.fixture(scope="module")
def engine(served: Served) -> Iterator[sa.Engine]:
    """An engine of psycopg's."""
    made = sa.create_engine(f"postgresql+psycopg://{served.url()}")
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def inspector(engine: sa.Engine) -> sa.Inspector:
    """Reflection of the whole."""
    return sa.inspect(engine)


def test_views_are_all_there_is(inspector: sa.Inspector):
    """The stable views, in one schema; tables of the lake are not shown."""
    assert inspector.default_schema_name == "public"
    assert inspector.get_schema_names() == ["information_schema", "public"]
    assert inspector.get_table_names() == []
    names = {view.name for view in views.VIEWS}
    assert set(inspector.get_view_names()) == names | {"v_types"}
    assert (inspector.has_table("v_edges"), inspector.has_table("nothing")) == (True, False)
    assert inspector.get_materialized_view_names() == inspector.get_sequence_names() == []


def test_columns_have_types_and_meanings(inspector: sa.Inspector):
    """Each of our types is one of SQLAlchemy's; comments are the documented meanings."""
    found = {
        one["name"]: one["type"].compile(dialect=inspector.dialect)
        for one in inspector.get_columns("v_types")
    }
    shorter = {
        "timestamp without time zone": "TIMESTAMP WITHOUT TIME ZONE",
        "time without time zone": "TIME WITHOUT TIME ZONE",
        "timestamp with time zone": "TIMESTAMP WITH TIME ZONE",
        "timestamp with time zone[]": "TIMESTAMP WITH TIME ZONE[]",
        "numeric(2,1)": "NUMERIC(2, 1)",
    }
    assert found == {one.name: shorter.get(one.kind, one.kind.upper()) for one in TYPES}
    edges = next(view for view in views.VIEWS if view.name == "v_edges")
    columns = inspector.get_columns("v_edges", schema="public")
    assert {one["name"]: one["comment"] for one in columns} == edges.columns
    assert inspector.get_view_definition("v_edges") == f" {edges.sql.strip()};"
    assert inspector.get_table_comment("v_edges") == {"text": edges.meaning}


def test_there_are_no_keys_and_indexes(inspector: sa.Inspector):
    """Asked for every way, and answered: none."""
    assert inspector.get_pk_constraint("v_edges")["constrained_columns"] == []
    nothing = [
        inspector.get_foreign_keys("v_edges"),
        inspector.get_indexes("v_edges"),
        inspector.get_unique_constraints("v_edges"),
        inspector.get_check_constraints("v_edges"),
        inspector.get_enums(),
        inspector.get_domains(),
        inspector.get_temp_table_names(),
        inspector.get_temp_view_names(),
    ]
    assert nothing == [[]] * 8


def test_a_reflected_table_is_queried(engine: sa.Engine):
    """With its schema, its columns, parameters, and a limit."""
    types = sa.Table("v_types", sa.MetaData(), schema="public", autoload_with=engine)
    query = (
        sa.select(types.c.name, sa.func.count().label("n"))
        .where(
            types.c.status == 65_535,
            types.c.seen_time > sa.text("'2026-01-01T00:00:00Z'::timestamptz"),
        )
        .group_by(types.c.name)
        .limit(10)
    )
    with engine.connect() as connection:
        assert connection.execute(query).all() == [("Zürich ☃ 'quoted' \\ \"", 1)]
        with connection.begin_nested():
            assert connection.scalar(sa.text("SELECT 1")) == 1


def test_everything_is_reflected_at_once(engine: sa.Engine):
    """As a tool does that shows a whole database."""
    found = sa.MetaData()
    found.reflect(engine, views=True)
    assert len(found.tables) == len(views.VIEWS) + 1
