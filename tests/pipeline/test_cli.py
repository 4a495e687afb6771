"""The command as its user meets it: help, output, and what each exit code says."""

import io
import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import click
import polars as pl
import pytest
from click.testing import CliRunner, Result

from pipeline import demo as recording
from pipeline import topology
from pipeline.cli import COMMANDS, main
from pipeline.topology import changes
from pipeline.topology.graph import EDGES, NODES

WEST = recording.FOLDER / "captures" / "cluster-west" / "ipfix.pcap"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def lake(demo: tuple[Path, str]) -> str:
    """The demo's lake."""
    return str(demo[0] / "lake")


def crosspane(*arguments: str, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(main, arguments, input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_examples(command: str):
    """`--help` of each command ends in commands to type."""
    result = crosspane(command, "--help")
    assert result.exit_code == 0
    examples = result.stdout.partition("Examples:\n")[2]
    assert f"crosspane {command}" in examples


@pytest.mark.parametrize(("command", "what"), [(one, what) for one, (_, what) in COMMANDS.items()])
def test_a_command_is_listed_as_it_explains_itself(command: str, what: str):
    """Its line in the list is the first of its own `--help`."""
    found = main.get_command(click.Context(main), command)
    assert found is not None
    assert found.get_short_help_str(limit=200) == what


def test_a_list_of_commands_and_tab_import_none_of_them(monkeypatch: pytest.MonkeyPatch):
    """They take no longer than Python does: nothing of a command's packages is loaded."""
    monkeypatch.setenv("_CROSSPANE_COMPLETE", "zsh_complete")
    monkeypatch.setenv("COMP_WORDS", "crosspane d")
    monkeypatch.setenv("COMP_CWORD", "1")
    ends = "import sys, atexit\nfrom pipeline.cli import main\n"
    told = "print({'polars', 'duckdb', 'pyarrow', 'grpc'} & sys.modules.keys())"
    for arguments, said in (([], "plain\ndashboards\nBring"), (["--help"], "Commands:\n  demo ")):
        run = f"atexit.register(lambda: {told})\nmain({arguments}, prog_name='crosspane')"
        done = subprocess.run(
            [sys.executable, "-c", ends + run], capture_output=True, text=True, check=True
        )
        assert said in done.stdout
        assert done.stdout.splitlines()[-1] == "set()"
        monkeypatch.delenv("_CROSSPANE_COMPLETE", raising=False)


def test_a_wrong_key_is_named_with_what_is_allowed(here: Path):
    """A configuration error is exit code 2 and names file, key and choices."""
    (here / "c.toml").write_text("[job]\npoll_bites = 1\n")
    result = crosspane("check", "--config", "c.toml")
    assert result.exit_code == 2
    assert "c.toml: job.poll_bites: no such key, allowed are checkpoint_s" in result.stderr
    assert "did you mean 'poll_bytes'?" in result.stderr


@pytest.mark.parametrize("command", [("check",), ("up", "--for", "1s")])
def test_a_format_that_cannot_be_used_is_named(here: Path, command: tuple[str, ...]):
    """A declared format of access logs is read before anything starts; exit code 2."""
    agent = '[[agents]]\nname = "a"\ncluster = "c"\nnetwork = "n"\n'
    tail = '[[agents.inputs]]\ntype = "access_log"\npaths = ["x"]\nformat = "%PROTOCOL%"\n'
    (here / "c.toml").write_text(agent + tail)
    result = crosspane(*command, "--config", "c.toml")
    assert result.exit_code == 2
    assert "agents[0].inputs[0].format: it has no %START_TIME%" in result.stderr


def test_a_wrong_inventory_row_is_named(here: Path):
    """An inventory error is exit code 2 and names row and key."""
    (here / "i.toml").write_text('[[endpoints]]\nnetwork = "n"\nip = "10.0.0.1"\nkind = "pod"\n')
    (here / "c.toml").write_text('inventory = "i.toml"\n')
    result = crosspane("check", "--config", "c.toml")
    assert result.exit_code == 2
    assert "i.toml: endpoints[0].network: 'n'" in result.stderr


def test_what_config_prints_is_a_configuration(here: Path):
    """The effective configuration, saved, checks, and prints the same again."""
    printed = crosspane("config").stdout
    (here / "c.toml").write_text(printed)
    assert crosspane("check", "--config", "c.toml").exit_code == 0
    assert crosspane("config", "--config", "c.toml").stdout == printed
    assert 'listen = "127.0.0.1:2055"' in printed


@pytest.mark.usefixtures("here")
def test_no_lake_is_exit_code_1_with_the_next_step():
    """Asking before anything ran says what to run."""
    result = crosspane("sql", "SELECT 1")
    assert (result.exit_code, "crosspane demo" in result.stderr) == (1, True)


@pytest.mark.usefixtures("here")
def test_decode_prints_rows_in_every_format():
    """904 records of the west's exporter, as nfdump counts them, in each format."""
    lines = crosspane("decode", str(WEST), "--format", "jsonl").stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 904
    assert sum(row["packets"] for row in rows) == 9_606
    assert sum(row["bytes"] for row in rows) == 5_909_369
    assert {row["exporter"] for row in rows} == {"198.19.0.20"}
    comma = pl.read_csv(io.BytesIO(crosspane("decode", str(WEST), "-f", "csv").stdout_bytes))
    assert (comma.height, comma["bytes"].sum()) == (904, 5_909_369)
    parquet = pl.read_parquet(
        io.BytesIO(crosspane("decode", str(WEST), "-f", "parquet").stdout_bytes)
    )
    assert (parquet.height, parquet["bytes"].sum()) == (904, 5_909_369)
    assert "shape: (904, " in crosspane("decode", str(WEST)).stdout


@pytest.mark.usefixtures("here")
def test_decode_accounts_for_every_datagram():
    """`--stats`: 47 datagrams received, 47 decoded, 904 records, nothing waiting or rejected."""
    result = crosspane("decode", str(WEST), "-f", "jsonl", "--stats")
    stats = json.loads(result.stderr)
    assert stats["payloads"] == {"received": 47, "decoded": 47, "partial": 0, "rejected": 0}
    assert stats["records"]["decoded"] == 904
    assert stats["sets"] == {"waiting_for_template": 0, "rejected": 0}
    assert stats["rejects"] == {}
    assert stats["sequence"]["units_expected"] == stats["sequence"]["units_received"]


def test_decode_of_two_kinds_of_rows(here: Path):
    """Hubble's lines are known by what they hold, and rows of each table stay apart."""
    flow = {"time": "2026-01-02T03:04:05Z", "verdict": "DROPPED"}
    call = {**flow, "Type": "L7", "l7": {"type": "REQUEST", "dns": {"query": "card.pay."}}}
    (here / "events.log").write_text(
        "".join(json.dumps({"flow": one}) + "\n" for one in (flow, call))
    )
    by_line = crosspane("decode", "events.log", "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line)["protocol"] for line in by_line] == [None, "DNS"]
    by_kind = crosspane("decode", "events.log", "--kind", "hubble_json", "--format", "jsonl")
    assert by_kind.stdout.splitlines() == by_line
    whole = pl.read_parquet(
        io.BytesIO(crosspane("decode", "events.log", "-f", "parquet").stdout_bytes)
    )
    assert whole.select("table", "verdict", "authz").rows() == [
        ("verdicts", "DROPPED", None),
        ("requests", None, "denied"),
    ]
    assert crosspane("decode", "events.log").stdout.count("shape: (1, ") == 2


def test_decode_of_damage_is_data(here: Path):
    """Junk is a counted reject and exit code 0; a file that is no capture at all is exit code 1."""
    (here / "junk.dat").write_bytes(b"\0\1junk")
    result = crosspane("decode", "junk.dat", "-f", "jsonl", "--stats")
    assert result.exit_code == 0
    assert json.loads(result.stderr)["rejects"] == {"version_unknown": 1}
    (here / "junk.pcap").write_bytes(b"no capture")
    assert crosspane("decode", "junk.pcap").exit_code == 1


def test_sql_answers_as_table_and_json_and_from_a_pipe(lake: str):
    """One query three ways; a wrong one is exit code 1 and DuckDB's words."""
    query = "SELECT count(*) AS flows FROM v_flows"
    assert "3548" in crosspane("sql", query, "--lake", lake).stdout
    assert json.loads(crosspane("sql", query, "--lake", lake, "-f", "json").stdout) == [
        {"flows": 3548}
    ]
    assert "3548" in crosspane("sql", "--lake", lake, stdin=query + ";\n").stdout
    wrong = crosspane("sql", "FROM nowhere", "--lake", lake)
    assert (wrong.exit_code, "nowhere" in wrong.stderr) == (1, True)


def test_sql_cannot_write(lake: str):
    """The lake is attached read-only."""
    result = crosspane("sql", "DELETE FROM flows", "--lake", lake)
    assert (result.exit_code, "read-only" in result.stderr) == (1, True)


def test_the_topology_is_a_graph(lake: str):
    """JSON with nodes and edges of calls; DOT with a box a cluster and a line a call."""
    result = crosspane("topology", "--lake", lake, "-f", "json")
    graph = json.loads(result.stdout)
    assert len(graph["edges"]) == 9
    assert sum(edge["requests"] for edge in graph["edges"]) == 1_948
    assert {"cluster-east/shop/frontend", "cluster-west/shop/reviews"} <= {
        node["entity"] for node in graph["nodes"]
    }
    assert "edges that flows alone tell of are left out: --traffic all" in result.stderr
    dot = crosspane("topology", "--lake", lake, "-f", "dot").stdout
    assert dot.count(" -> ") == 9
    assert dot.count("subgraph cluster_") == 4


def test_the_topology_of_a_level_and_a_time(lake: str):
    """The last 30 s by cluster, of flows; as of then or as of the newest record."""
    shown = crosspane("topology", "--lake", lake, "--level", "gateway").stdout
    assert re.search(
        r"^gateway:west-eastwest +cluster-west +via west-eastwest", shown, re.MULTILINE
    )
    window = ("--lake", lake, "--window", "30s", "--level", "cluster", "-f", "json")
    now = json.loads(crosspane("topology", *window, "--traffic", "flows").stdout)
    assert (now["since"], now["until"]) == (
        "2026-11-24T03:03:41.757959Z",
        "2026-11-24T03:04:11.757959Z",
    )
    assert {edge["source"] for edge in now["edges"] if edge["requests"] is None} == {
        *("cluster-east", "cluster-edge", "cluster-onprem", "cluster-west"),
        *("unknown in net-east", "unknown in net-flat"),
    }
    then = json.loads(crosspane("topology", *window, "--at", "2026-11-24T03:02:30").stdout)
    assert (then["until"], then["edges"]) == ("2026-11-24T03:02:30Z", [])


def test_what_changed_in_the_topology(lake: str):
    """Before the recording there is nothing, so nobody watched; within it nothing changes."""
    times = ("--lake", lake, "--level", "cluster", "--window", "30s")
    quiet = crosspane("topology", *times, "--since", "2026-11-24T03:03:30").stdout
    assert quiet.strip().endswith("2026-11-24 03:03:30 to 03:04:00 UTC: none")
    begins = crosspane(
        *("topology", *times, "-f", "json"),
        *("--diff", "2026-11-24T03:02:30", "2026-11-24T03:04:00"),
    )
    changes = json.loads(begins.stdout)["changes"]
    assert {row["change"] for row in changes} == {"unobserved"}
    assert {row["source"] for row in changes if row["requests_after"]} == {
        *("cluster-east", "cluster-edge", "cluster-onprem", "cluster-west"),
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--at", "2026-01-01", "--since", "2026-01-01"), "exclude each other"),
        (("--control-planes",), "--level cluster"),
        (("--since", "2026-01-01", "-f", "dot"), "a table, or json"),
        (("--since", "noon"), "ISO 8601"),
        (("--level", "galaxy"), "'provider', 'region', 'cluster'"),
    ],
)
def test_what_a_topology_cannot_be_is_said(lake: str, arguments: tuple[str, ...], message: str):
    """Options that exclude each other, times and levels that are none: exit code 2."""
    result = crosspane("topology", "--lake", lake, *arguments)
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr


def test_the_page_on_topology_is_right(here: Path, lake: str):
    """Its commands run; its levels, formats and changes are those there are, its thresholds too."""
    del here
    page = (Path(__file__).parents[2] / "docs/how-to/topology.md").read_text("utf-8")
    (block,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    lines = [line.partition("#")[0].partition(">")[0].split() for line in block.splitlines()]
    assert len(lines) == 8
    for name, *arguments in lines:
        assert name == "crosspane"
        result = crosspane(*arguments, "--lake", lake)
        assert (result.exit_code, bool(result.stdout)) == (0, True), arguments
    words, columns = page.split("## Columns\n")
    listed = re.findall(r"^\| (`.*?) \|", words, re.MULTILINE)
    names = [name for cell in listed for name in re.findall(r"`([a-z]+)`", cell)]
    kinds = changes.CHANGES["change"].split(", ")
    assert sorted(names) == sorted([*topology.LEVELS, *kinds, "table", *topology.EXPORTS])
    for name, meanings in {"nodes": NODES, "edges": EDGES, "changes": changes.CHANGES}.items():
        shown = columns.partition(f"### {name}\n")[2].partition("\n###")[0]
        assert re.findall(r"^\| `(\w+)` \| (.*) \|$", shown, re.MULTILINE) == [*meanings.items()]
    assert tuple(topology.THRESHOLDS) == (
        *(5, 20, 3, 0.05, 1.5, 10.0, 0.1),
        *(0.01, 1_000, 2.0, 100_000),
    )


def test_health_can_fail_a_script(lake: str):
    """`--fail-on failing` is exit code 1 where something fails, and prints it all the same."""
    assert crosspane("health", "--lake", lake).exit_code == 0
    result = crosspane("health", "--lake", lake, "--fail-on", "failing", "-f", "json")
    assert result.exit_code == 1
    failing = {row["entity"] for row in json.loads(result.stdout) if row["state"] == "failing"}
    assert "cluster-west/shop/recommendations" in failing


def test_the_past_before_the_lake_is_an_error_not_a_traceback(lake: str):
    """`--at` a time with no snapshot, or no time at all, says so."""
    assert crosspane("health", "--lake", lake, "--at", "2001-01-01").exit_code == 1
    wrong = crosspane("health", "--lake", lake, "--at", "yesterday")
    assert (wrong.exit_code, "ISO 8601" in wrong.stderr) == (2, True)


def test_replay_then_job_then_sql(here: Path):
    """The parts apart: a capture into the log, the log into the lake, a question to the lake."""
    (here / "job.toml").write_text("[job]\nwork_out = []\n")
    replayed = crosspane("replay", str(WEST), "--cluster", "cluster-west", "--network", "net-west")
    assert (replayed.exit_code, "47 netflow payloads" in replayed.stderr) == (0, True)
    assert crosspane("job", "--once", "--config", "job.toml").exit_code == 0
    asked = crosspane(
        "sql", "-f", "json", "SELECT count(*) AS n, any_value(src_resolution) AS r FROM v_flows"
    )
    assert json.loads(asked.stdout) == [{"n": 904, "r": "unknown"}]


def test_the_demo_deletes_nothing_of_others(here: Path):
    """A folder with something else in it is refused, and stays."""
    (here / "mine").mkdir()
    (here / "mine" / "thesis.txt").write_text("precious")
    assert crosspane("demo", "--directory", "mine").exit_code == 2
    assert (here / "mine" / "thesis.txt").read_text() == "precious"


def test_a_port_that_is_taken_is_named(here: Path):
    """The agent says which input cannot be opened, and why; no traceback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{other.getsockname()[1]}"
        (here / "c.toml").write_text(
            f"""[[agents]]
name = "node-1"
cluster = "here"
network = "here"
[agents.spool]
directory = "agent"
[[agents.inputs]]
type = "netflow"
listen = "{address}"
"""
        )
        result = crosspane("agent", "--config", "c.toml", "--for", "5s")
    assert result.exit_code == 1
    assert f"netflow on {address}: Address already in use" in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete(shell: str):
    """The completion script names the program."""
    assert "_CROSSPANE_COMPLETE" in crosspane("completion", shell).stdout
