"""Facts and offsets are written together, or not at all; readers see whole commits."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars as pl
import pytest

from collectors.log import Place
from pipeline import schema
from pipeline.errors import LakeError, StaleOffsetError
from pipeline.lake import Commit, Lake, connect, sync_inventory

PLACE = Place("crosspane.v1.flow.cluster-east", 0)
OTHER = Place("crosspane.v1.flow.cluster-west", 3)


def drops(count: int) -> pl.DataFrame:
    rows = [(None, PLACE.topic, "node-1", "cluster-east", "kernel", n) for n in range(count)]
    return pl.DataFrame(rows, schema.AGENT_DROPS.schema, orient="row")


def count(lake: Lake) -> int:
    return lake.read("SELECT count(*) AS n FROM agent_drops")["n"][0]


def test_rows_and_offsets_are_there_after_reopening(tmp_path: Path):
    """What was committed survives the process: rows, and the next offset of each place."""
    with Lake(tmp_path) as lake:
        lake.adopt(PLACE)
        lake.adopt(OTHER)
        lake.commit(Commit({"agent_drops": drops(3)}, {PLACE: (0, 10)}))
    with Lake(tmp_path) as lake:
        assert lake.offsets() == {PLACE: 10, OTHER: 0}
        assert count(lake) == 3


def test_a_table_without_rows_is_described_and_its_first_rows_count_from_there(tmp_path: Path):
    """DuckLake knows of every table that it has no rows, so it asks once; rows are as ever."""
    catalog = "__ducklake_metadata_lake.main.ducklake"
    not_described = (
        f"FROM {catalog}_table SELECT table_name"
        f" WHERE table_id NOT IN (SELECT table_id FROM {catalog}_table_stats)"
    )
    described = (
        "SELECT column_name, contains_null, min_value, max_value, record_count, next_row_id"
        f" FROM {catalog}_table JOIN {catalog}_table_stats USING (table_id)"
        f" JOIN {catalog}_column USING (table_id)"
        f" JOIN {catalog}_table_column_stats USING (table_id, column_id)"
        " WHERE table_name = 'agent_drops' AND column_name IN ('agent', 'payloads') ORDER BY ALL"
    )
    without_minute = "SELECT payloads FROM agent_drops WHERE minute IS NULL ORDER BY ALL"
    with Lake(tmp_path) as lake, connect(tmp_path) as reader:
        assert lake.read(not_described)["table_name"].to_list() == []
        assert lake.read(described).rows() == [
            ("agent", True, None, None, 0, 0),
            ("payloads", True, None, None, 0, 0),
        ]
        assert reader.execute(without_minute).fetchall() == []
        lake.commit(Commit({"agent_drops": drops(3)}))
        lake.commit(Commit({"agent_drops": drops(2)}))
        assert reader.execute(without_minute).fetchall() == [(0,), (0,), (1,), (1,), (2,)]
        assert lake.read(described).rows() == [
            ("agent", True, "node-1", "node-1", 5, 5),
            ("payloads", True, "0", "2", 5, 5),
        ]
        assert sorted(lake.read("SELECT rowid FROM agent_drops")["rowid"]) == [0, 1, 2, 3, 4]


def test_a_job_whose_offset_was_taken_writes_nothing(tmp_path: Path):
    """The offset is a fence: a commit from another offset than the lake's fails whole."""
    with Lake(tmp_path) as lake:
        lake.adopt(PLACE)
        lake.commit(Commit({"agent_drops": drops(1)}, {PLACE: (0, 10)}))
        with pytest.raises(StaleOffsetError, match="no longer at 0"):
            lake.commit(Commit({"agent_drops": drops(5)}, {PLACE: (0, 12)}))
        assert (count(lake), lake.offsets()) == (1, {PLACE: 10})
        lake.commit(Commit({"agent_drops": drops(1)}, {PLACE: (10, 12)}))
        assert (count(lake), lake.offsets()) == (2, {PLACE: 12})


def test_a_failed_insert_writes_nothing(tmp_path: Path):
    """A row the table cannot hold: neither it, nor the rows before it, nor the offset."""
    with Lake(tmp_path) as lake:
        lake.adopt(PLACE)
        bad = pl.DataFrame({"no_such_column": [1]})
        with pytest.raises(LakeError, match="no_such_column"):
            lake.commit(Commit({"agent_drops": drops(5), "rejects": bad}, {PLACE: (0, 1)}))
        assert (count(lake), lake.offsets()) == (0, {PLACE: 0})


def test_no_extension_but_ours_is_loaded_unsigned(tmp_path: Path):
    """Once a lake is open, what is loaded must be signed, whatever a statement says."""
    with Lake(tmp_path), connect(tmp_path) as reader:
        unsigned = "SELECT current_setting('allow_unsigned_extensions')"
        assert reader.execute(unsigned).fetchall() == [(False,)]
        with pytest.raises(duckdb.Error, match="Cannot change allow_unsigned_extensions"):
            reader.execute("SET allow_unsigned_extensions = true")


def test_another_process_reads_while_this_one_writes(tmp_path: Path):
    """Plain DuckDB in a second process sees what is committed, and not what is under way."""
    snippet = (
        "import duckdb, duckdb_extensions\n"
        "for name in ('ducklake', 'sqlite_scanner'):\n"
        "    duckdb_extensions.import_extension(name)\n"
        "lake = duckdb.connect()\n"
        "lake.execute('LOAD ducklake; LOAD sqlite_scanner')\n"
        f"lake.execute(\"ATTACH 'ducklake:sqlite:{tmp_path}/catalog.sqlite' AS lake (READ_ONLY)\")\n"
        "print(lake.execute('SELECT count(*) FROM lake.crosspane.agent_drops').fetchone()[0])\n"
    )
    with Lake(tmp_path) as lake:
        lake.commit(Commit({"agent_drops": drops(3)}))
        lake.connection.execute("BEGIN")
        lake.connection.execute("INSERT INTO agent_drops SELECT * FROM agent_drops")
        seen = subprocess.run(
            [sys.executable, "-c", snippet], capture_output=True, text=True, check=True
        )
        lake.connection.execute("COMMIT")
        assert seen.stdout.split()[-1] == "3"  # after the progress of what took long to load
        assert count(lake) == 6


def test_a_long_query_delays_no_commit(tmp_path: Path):
    """Who reads goes on with what was there; who writes waits for nobody."""
    with Lake(tmp_path) as lake, connect(tmp_path) as reader:
        reader.execute("BEGIN; SELECT count(*) FROM agent_drops")
        lake.commit(Commit({"agent_drops": drops(3)}))
        assert reader.execute("SELECT count(*) FROM agent_drops").fetchall() == [(0,)]
        reader.execute("COMMIT")
        assert reader.execute("SELECT count(*) FROM agent_drops").fetchall() == [(3,)]


def test_readers_cannot_write(tmp_path: Path):
    """A reader's connection is read-only."""
    Lake(tmp_path).close()
    with connect(tmp_path) as reader, pytest.raises(Exception, match="read-only"):
        reader.execute("DELETE FROM agent_drops")


def test_no_lake_says_how_to_get_one(tmp_path: Path):
    """Reading where nothing was written yet is an error with the next step in it."""
    with pytest.raises(LakeError, match="crosspane demo"):
        connect(tmp_path / "nowhere")


def test_maintenance_changes_no_answer(tmp_path: Path):
    """Merging files and moving inlined rows to Parquet leaves every row as it was."""
    with Lake(tmp_path) as lake:
        lake.adopt(PLACE)
        for number in range(5):
            lake.commit(Commit({"agent_drops": drops(2_000)}, {PLACE: (number, number + 1)}))
        lake.commit(Commit({"agent_drops": drops(3)}))
        before = lake.read("SELECT count(*) AS n, sum(payloads) AS s FROM agent_drops").row(0)
        files = len(list(tmp_path.rglob("*.parquet")))
        lake.maintain(keep_snapshots_s=0)
        assert before == (10_003, 9_995_003)
        assert (
            lake.read("SELECT count(*) AS n, sum(payloads) AS s FROM agent_drops").row(0) == before
        )
        assert len(list(tmp_path.rglob("*.parquet"))) < files
        assert lake.offsets() == {PLACE: 5}


def test_more_than_some_rows_go_to_a_file(tmp_path: Path):
    """50 rows stay in the catalog, 51 do not: a wide one costs more there than a file does."""
    rows = pl.DataFrame({"stale": [False] * 51})
    with Lake(tmp_path / "lake") as lake:
        for count, files in ((50, 0), (51, 1)):
            lake.commit(
                Commit({"windows": schema.complete(rows.head(count), schema.WINDOWS.schema)})
            )
            found = [*(tmp_path / "lake" / "data").rglob("windows/**/*.parquet")]
            assert len(found) == files
        assert lake.read("SELECT count(*) FROM windows").item() == 101


def test_hours_of_a_day_are_told_apart_in_its_file(tmp_path: Path):
    """A span of rollups reads the groups of its hours, not the day: 20,000 rows are three groups."""
    hours = pl.datetime_range(
        *(datetime(2026, 11, 24, hour, tzinfo=UTC) for hour in (0, 19)), "1h", eager=True
    )
    rows = pl.DataFrame({"bucket_start": hours.cast(schema.TIME).repeat_by(1_000).explode()})
    table = schema.rollups.EDGES_1H
    with Lake(tmp_path / "lake") as lake:
        lake.commit(Commit({table.name: schema.complete(rows, table.schema)}))
    (file,) = (tmp_path / "lake" / "data").rglob(f"{table.name}/**/*.parquet")
    sizes = (
        """SELECT DISTINCT row_group_id, row_group_num_rows FROM parquet_metadata(?) ORDER BY 1"""
    )
    assert [rows for _, rows in duckdb.execute(sizes, [str(file)]).fetchall()] == [
        8_192,
        8_192,
        3_616,
    ]


def test_inventory_rows_follow_the_inventory_and_facts_keep_theirs(tmp_path: Path):
    """Clusters become the new list; an endpoint that is gone stays, one that changed is replaced."""

    def tables(cluster: str, endpoints: list[tuple[int, str | None]]) -> dict[str, pl.DataFrame]:
        empty = {t.name: pl.DataFrame(schema=t.schema) for t in schema.TABLES}
        empty["clusters"] = pl.DataFrame([{"cluster": cluster}], schema=schema.CLUSTERS.schema)
        rows = [{"endpoint_id": number, "workload": workload} for number, workload in endpoints]
        empty["endpoints"] = pl.DataFrame(rows, schema=schema.ENDPOINTS.schema)
        return empty

    with Lake(tmp_path) as lake:
        sync_inventory(lake, tables("cluster-east", [(1, "cart"), (2, "frontend")]))
        sync_inventory(lake, tables("cluster-west", [(2, "frontend-v2"), (3, None)]))
        assert lake.read("SELECT cluster FROM clusters")["cluster"].to_list() == ["cluster-west"]
        found = lake.read("SELECT endpoint_id, workload FROM endpoints ORDER BY endpoint_id").rows()
        assert found == [(1, "cart"), (2, "frontend-v2"), (3, None)]


def test_every_view_has_its_documented_columns_and_no_others(tmp_path: Path):
    """The views' columns, in the lake, are those the reference documents, in that order."""
    from pipeline.views import VIEWS  # noqa: PLC0415

    with Lake(tmp_path) as lake:
        for view in VIEWS:
            found = lake.read(f"SELECT column_name FROM (DESCRIBE {view.name})")[
                "column_name"
            ].to_list()
            assert found == list(view.columns), view.name


def test_addresses_are_text_as_rfc_5952_writes_them(tmp_path: Path):
    """Two numbers to text: v4-mapped as v4, v6 with its longest run of zeros short."""
    cases = [
        (0, 0xFFFF_0A00_000B, "10.0.0.11"),
        (0, 0, "::"),
        (0, 1, "::1"),
        (0x2001_0DB8_0000_0000, 1, "2001:db8::1"),
        (0x2001_0DB8_0000_0001, 0x0000_0000_0001_0001, "2001:db8:0:1::1:1"),
        (0xFE80_0000_0000_0000, 0x0202_B3FF_FE1E_8329, "fe80::202:b3ff:fe1e:8329"),
        (None, None, None),
    ]
    frame = pl.DataFrame(cases, {"hi": pl.UInt64, "lo": pl.UInt64, "text": pl.String}, orient="row")
    with Lake(tmp_path) as lake:
        lake.connection.register("cases", frame.to_arrow())
        assert lake.read("SELECT ip_text(hi, lo) AS ip FROM cases")["ip"].to_list() == [
            c[2] for c in cases
        ]


def test_a_lake_of_an_older_version_gets_the_columns_it_lacks(tmp_path: Path):
    """Its rows stay, null in what they did not have; views are made anew; the second time nothing is."""
    with Lake(tmp_path) as lake:
        lake.commit(Commit({"agent_drops": drops(3)}))
        lake.connection.execute("ALTER TABLE agent_drops DROP COLUMN agent")
        lake.connection.execute("DROP VIEW v_rejects")
        lake.connection.execute("UPDATE lake_shape SET hash = 1")
    with Lake(tmp_path) as lake:
        assert lake.read("SELECT agent, count(*)::INT FROM agent_drops GROUP BY agent").rows() == [
            (None, 3)
        ]
        lake.read("FROM v_rejects")
        made = lake.read("SELECT max(snapshot_id) FROM ducklake_snapshots('lake')")
    with Lake(tmp_path) as lake:
        assert lake.read("SELECT max(snapshot_id) FROM ducklake_snapshots('lake')").equals(made)
