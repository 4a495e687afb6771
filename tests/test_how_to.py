"""Pages that show code or list what there is: they are run, or compared with it."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from small_lake import emptied

from collectors.aws_resources import RESOURCES
from collectors.config import AgentFile, decode_toml
from collectors.probe_attempt import Outcome
from pipeline.decode.access_log import operators
from pipeline.decode.access_log.format_string import compile_format
from pipeline.decode.meshes import MESHES, osm
from pipeline.errors import FormatError
from pipeline.inventory.rows import Network
from pipeline.schema.probes import OUTCOMES

ROOT = Path(__file__).parents[1]
ADD_A_MESH = (ROOT / "docs/how-to/add-a-mesh.md").read_text("utf-8")
CLOUDS = (ROOT / "docs/how-to/cloud-inventory.md").read_text("utf-8")
PROBES = (ROOT / "docs/how-to/probes.md").read_text("utf-8")
SOCKETS = (ROOT / "docs/how-to/sockets.md").read_text("utf-8")
ACCESS_LOGS = (ROOT / "docs/how-to/access-logs.md").read_text("utf-8")


def blocks(page: str, language: str) -> list[str]:
    """Code blocks of one language."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return [text for of_language, text in fenced if of_language == language]


def decoded(folder: Path, name: str, columns: Sequence[str], *options: str) -> list[list[object]]:
    """Columns of the rows that the command prints of a file."""
    command = [sys.executable, "-m", "pipeline.cli", "decode", name, "--format", "jsonl", *options]
    printed = subprocess.run(
        command,
        check=True,
        capture_output=True,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        timeout=60,
    ).stdout
    return [[json.loads(line)[column] for column in columns] for line in printed.splitlines()]


def test_the_dialect_shown_is_the_one_there_is():
    """One file and one line: the page's are the tree's."""
    whole, line = blocks(ADD_A_MESH, "python")
    assert whole == Path(osm.__file__).read_text("utf-8")
    table = (ROOT / "pipeline/decode/meshes/__init__.py").read_text("utf-8")
    assert table.count(line) == 1
    assert table.count("osm") == 4  # import, docstring, the line's key and its reader
    assert MESHES["osm"].read is osm.read


def test_the_dialect_shown_reads_the_lines_shown(tmp_path: Path):
    """The page's log, decoded by the command, gives what the page says."""
    (shell,) = blocks(ADD_A_MESH, "sh")
    log = re.search(r"<<'END'\n(.*?)END\n", shell, re.DOTALL)
    assert log is not None
    (tmp_path / "osm.log").write_text(log[1])
    names = ("mesh", "reporter", "service", "service_port")
    rows = decoded(tmp_path, "osm.log", names)
    assert rows == [json.loads(line) for line in blocks(ADD_A_MESH, "")[0].splitlines()]


def test_the_format_shown_reads_the_line_shown(tmp_path: Path):
    """A format is tried on a file as the page says."""
    (shell,) = blocks(ACCESS_LOGS, "sh")
    line, text = re.findall(r"'(\[.*?)'(?: >| \|)", shell)
    (tmp_path / "access.log").write_text(line + "\n")
    names = ("start_time", "method", "path", "status", "duration_ms")
    rows = decoded(tmp_path, "access.log", names, "--log-format", text)
    assert rows == [json.loads(blocks(ACCESS_LOGS, "")[1])]


def test_every_operator_is_on_the_page():
    """Each operator that fills a column is listed, and each that is listed fills one."""
    table = ACCESS_LOGS.partition("## Operators and their columns")[2].partition("| column")[2]
    listed = re.findall(r"`%([A-Z_]+)(?:\(([^`]*)\))?%`", table)
    assert [one for one in listed if operators.field(*one) is None] == []
    there = {(name, "") for name in operators.PLAIN} | {
        (name, header) for name, headers in operators.HEADERS.items() for header in headers
    }
    assert there - set(listed) == set()


@pytest.mark.parametrize("block", [b for b in blocks(ACCESS_LOGS, "toml") if "format =" in b])
def test_formats_shown_can_be_used(block: str):
    """Those of the page's examples."""
    tables = tomllib.loads(block)
    one = tables["agents"]["inputs"][0] if "agents" in tables else tables
    assert compile_format(one["format"]).strings


def test_the_error_shown_is_the_one_there_is():
    """As `crosspane check` prints it."""
    with pytest.raises(FormatError) as raised:
        compile_format("%PROTOCOL%")
    assert f"agents[0].inputs[0].format: {raised.value}" in ACCESS_LOGS


def test_the_policy_for_aws_allows_what_is_asked_and_no_more():
    """Each action is a call of the input, and each call is allowed."""
    (policy,) = blocks(CLOUDS, "json")
    actions = json.loads(policy)["Statement"][0]["Action"]
    services = {"elbv2": "elasticloadbalancing"}
    asked = {
        f"{services.get(service := name.partition('.')[0], service)}:{resource.operation}"
        for name, resource in RESOURCES.items()
    } | {"ec2:get_managed_prefix_list_entries", "ec2:describe_regions", "eks:describe_cluster"}
    snake = [re.sub(r"(?<!:)(?=[A-Z])", "_", action).lower() for action in actions]
    assert sorted(snake) == sorted(asked)


def test_the_configurations_for_clouds_are_valid():
    """Agents as the agent reads them, networks as the inventory file has them."""
    agents = [text for text in blocks(CLOUDS, "toml") if "[[agents]]" in text]
    kinds = {
        one.__struct_config__.tag
        for text in agents
        for agent in decode_toml(text.encode(), AgentFile).agents
        for one in agent.inputs
    }
    assert kinds == {"aws", "gcp", "azure", "netbox"}
    members = [text for text in blocks(CLOUDS, "toml") if "members" in text]
    assert members
    for text in members:
        msgspec.convert(tomllib.loads(text)["networks"], list[Network])


def test_probes_shown_are_valid_and_their_questions_have_answers():
    """The agent reads the targets, and the views have the columns."""
    (text,) = blocks(PROBES, "toml")
    (agent,) = decode_toml(text.encode(), AgentFile).agents
    (one,) = agent.inputs
    assert [target.kind for target in one.targets] == ["tcp", "tls", "http"]  # type: ignore[union-attr]
    questions = blocks(PROBES, "sql")
    assert [emptied().read(sql) for sql in questions] == [[], [], []]


def test_sockets_are_configured_and_asked_as_shown():
    """The agent of the page is read, and each question is one the lake answers."""
    (text,) = blocks(SOCKETS, "toml")
    (agent,) = decode_toml(text.encode(), AgentFile).agents
    assert [one.namespaces for one in agent.inputs] == [("/run/netns/cni-*",)]  # type: ignore[union-attr]
    (asked,) = blocks(SOCKETS, "sh")
    questions = re.findall(r'^crosspane sql "([^"]+)"$', asked, re.MULTILINE)
    assert [emptied().read(sql) for sql in questions] == [[], [], []]


def test_outcomes_of_probes_are_the_same_everywhere():
    """What an agent ships, what a column takes, and what the page explains."""
    listed = re.findall(r"^\| `(\w+)` \|", PROBES, re.MULTILINE)
    assert set(listed) == set(OUTCOMES) == set(get_args(Outcome))
