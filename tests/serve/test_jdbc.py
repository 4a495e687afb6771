"""PostgreSQL's JDBC driver: what DBeaver, Metabase and other tools of Java's do."""

import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
from cache import kept
from conftest import require_program
from serving import PASSWORD, TYPES, Served

_FOLDER = Path(__file__).parent / "jdbc"
_POM = _FOLDER / "pom.xml"


def _jars() -> Path:
    """Folder of the driver, fetched if it is not there."""
    version = _POM.read_text().split("<version>")[2].split("<")[0]
    return kept(f"postgresql-jdbc-{version}", _fetch)


def _fetch(folder: Path) -> None:
    if shutil.which("mvn") is None:
        pytest.skip("Maven is not installed, which fetches the driver: apt-get install maven")
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={folder}", "-DincludeScope=runtime"]
    subprocess.run(["mvn", "-q", "-B", "-f", _POM, *goal], check=True, timeout=240)


@pytest.fixture(scope="module")
def said(served: Served) -> dict[str, list[list[str]]]:
    """What the program printed: lines by their first word, each cut into values."""
    java = require_program("java", "openjdk-17-jdk-headless")
    url = f"jdbc:postgresql://{served.host}:{served.port}/crosspane"
    done = subprocess.run(
        [
            *(java, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
            *("-cp", f"{_jars()}/*", _FOLDER / "Matrix.java", url, PASSWORD),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = defaultdict(list)
    for line in done.stdout.splitlines():
        name, *values = line.split("|")
        found[name].append(values)
    return found


# Numbers of java.sql.Types, by what PostgreSQL calls a type in pg_type.
JDBC_TYPES = {
    "int8": "-5", "bool": "-7", "int2": "5", "int4": "4", "numeric": "2", "float4": "7",
    "float8": "8", "text": "12", "bytea": "-2", "date": "91", "time": "92", "timestamp": "93",
    "timestamptz": "93", "interval": "1111", "uuid": "1111", "json": "1111", "_text": "2003",
    "_numeric": "2003", "_timestamptz": "2003",
}  # fmt: skip
SHORT = {
    "bigint": "int8", "boolean": "bool", "smallint": "int2", "integer": "int4", "real": "float4",
    "double precision": "float8", "numeric(2,1)": "numeric", "time without time zone": "time",
    "timestamp without time zone": "timestamp", "timestamp with time zone": "timestamptz",
    "text[]": "_text", "numeric[]": "_numeric", "timestamp with time zone[]": "_timestamptz",
}  # fmt: skip


def test_metadata(said: dict[str, list[list[str]]]):
    """Databases, schemas, views, columns with their types and meanings; no keys, no indexes."""
    assert said["catalog and schema"] == [["crosspane", "public"]]
    assert said["version"] == [["15", "63", "true"]]
    assert said["schemas"] == [["information_schema"], ["pg_catalog"], ["public"]]
    assert ["v_types", "VIEW"] in said["tables"]
    assert {kind for _, kind in said["tables"]} == {"VIEW"}
    assert said["found by a part"] == [["true"]]
    kinds = [SHORT.get(one.kind, one.kind) for one in TYPES]
    assert said["columns"] == [
        [one.name, JDBC_TYPES[kind], kind, "YES"] for one, kind in zip(TYPES, kinds, strict=True)
    ]
    assert said["meaning"] == [["calls"]]
    assert said["keys"] == [["0", "0", "0", "0", "0"]]
    assert said["types"] == [["true", "0", "true"]]
    assert said["functions"][0][:3] == ["0", "0", "0"]


@pytest.mark.parametrize("form", ["text", "binary", "simple"])
def test_every_type_arrives(said: dict[str, list[list[str]]], form: str):
    """As text, as bytes, and by the simple protocol; a null of each is a null."""
    by_driver = {"raw": "00ff5c61"}  # as the program prints it
    if form == "binary":
        by_driver["seen_by"] = '{"a",NULL,"b,c","\\"",""}'  # as the driver writes arrays
    assert [(name, text) for name, _, text in said[form]] == [
        (one.name, by_driver.get(one.name, one.text)) for one in TYPES
    ]
    assert said[f"{form} instant"] == [
        [
            *("2026-11-20T01:02:03.456789Z", "9f8e7d6c-0000-4000-8000-00000000002a", "2026-11-20"),
            *("4", "5", "-170141183460469231731687303715884105727"),
        ]
    ]
    assert said[f"{form} nulls"] == [[str(len(TYPES)), str(len(TYPES)), "false"]]


def test_parameters(said: dict[str, list[list[str]]]):
    """Of each type, as text and as bytes, in a statement the driver prepares when it is asked often."""
    assert said["parameters"] == [["1"]] * 14
    assert said["array"] == said["timestamp"] == [["1"]] * 2


def test_portions(said: dict[str, list[list[str]]]):
    """A portal is read a thousand rows at a time; and no more rows than asked for."""
    assert said["portions"] == [["15122250"]]
    assert said["at most"] == [["3"]]


def test_refusals(said: dict[str, list[list[str]]]):
    """States by which Java tells what is wrong; the driver's own time limit cancels."""
    assert said["refused"] == [
        ["DELETE FROM v_types", "25006"],
        ["SELECT nothing FROM v_types", "42703"],
        ["COPY v_types TO STDOUT", "25006"],
    ]
    assert (said["given up"], said["and goes on"]) == ([["57014"]], [["1"]])
    assert said["wrong password"] == [["28P01"]]
