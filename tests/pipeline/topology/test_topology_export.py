"""A graph as text, and back: what each format's own rules make of it."""

import csv
import io
import json
import re
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.topology import EXPORTS, Graph
from pipeline.topology.graph import EDGES, NODES
from pipeline.topology.span import Span

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
GRAPHML = "{http://graphml.graphdrawing.org/xmlns}"
NODE_TYPES = {"requests_in": pl.Int64, "errors_in": pl.Int64, "requests_out": pl.Int64}
NODE_TYPES |= dict.fromkeys(("bytes_in", "bytes_out"), pl.Float64)
EDGE_TYPES = dict.fromkeys(("requests", "errors", "client_errors", "denied", "flows"), pl.Int64)
EDGE_TYPES |= dict.fromkeys(("bytes_received", "bytes_sent"), pl.UInt64)
EDGE_TYPES |= {
    "protocols": pl.List(pl.Struct({"key": pl.String, "value": pl.UInt64})),
    "clusters": pl.List(pl.String),
}
EDGE_TYPES |= dict.fromkeys(
    *[
        (
            "error_share",
            "p50_ms",
            "p95_ms",
            "tls_share",
            "bytes",
            "packets",
            "bytes_back",
            "lost_share",
            "retransmit_share",
            "drop_share",
            "rtt_ms",
        )
    ],
    pl.Float64,
)
TIMES = dict.fromkeys(("first_time", "last_time"), pl.Datetime("us", "UTC"))


def made(
    nodes: list[dict[str, Any]], edges: list[dict[str, Any]], level: str = "workload"
) -> Graph:
    """A graph of rows; columns they lack are null."""
    frames = [
        pl.DataFrame(
            [dict.fromkeys(columns) | row for row in rows],
            {name: (types | TIMES).get(name, pl.String) for name in columns},
        )
        for rows, columns, types in ((nodes, NODES, NODE_TYPES), (edges, EDGES, EDGE_TYPES))
    ]
    return Graph(
        level, Span(NOON, None), *frames, pl.DataFrame({"cluster": ["east"], "requests": [3]})
    )


GRAPH = made(
    [
        {
            "entity": "east/shop/web",
            "kind": "pod",
            "cluster": "east",
            "provider": "aws",
            "region": "us",
        },
        {
            "entity": "east/shop/db",
            "kind": "pod",
            "cluster": "east",
            "provider": "aws",
            "region": "us",
        },
        {"entity": "west/shop/api", "kind": "pod", "cluster": "west", "requests_in": 7},
        {"entity": "unknown in net-a", "kind": "unknown"},
    ],
    [
        {
            "source": "east/shop/web",
            "target": "west/shop/api",
            "path_model": "gateway",
            "gateway": "west-gw",
            "state": "failing",
            "requests": 7,
            "errors": 2,
            "tls_share": 1.0,
            "bytes_received": 400,
            "bytes_sent": 600,
            "clusters": ["east", "west"],
            "protocols": [{"key": "HTTP/2", "value": 7}],
            "first_time": NOON,
        },
        {
            "source": "east/shop/web",
            "target": "east/shop/db",
            "state": "healthy",
            "requests": 5,
            "errors": 0,
            "tls_share": 0.8,
            "bytes": 90_000.0,
            "bytes_back": 10_000.0,
        },
        {"source": "unknown in net-a", "target": "east/shop/web", "flows": 3, "bytes": 1e7},
    ],
)


def test_dot():
    """Clusters are boxes; colour is health, dashes plaintext, dots flows alone, width octets."""
    assert EXPORTS["dot"](GRAPH).splitlines() == [
        "digraph crosspane {",
        '  rankdir=LR; node [shape=box, style=rounded, fontname="sans"];',
        '  subgraph cluster_0 { label="east aws / us";',
        '    "east/shop/db" [label="shop/db"];',
        '    "east/shop/web" [label="shop/web"];',
        "  }",
        '  subgraph cluster_1 { label="west";',
        '    "west/shop/api" [label="shop/api"];',
        "  }",
        '  "unknown in net-a" [label="unknown in net-a", shape=ellipse];',
        r'  "east/shop/web" -> "west/shop/api" [label="7 req, 2 err\nvia west-gw", color=red, style=solid, penwidth=1.0];',
        '  "east/shop/web" -> "east/shop/db" [label="5 req, 0 err", color=darkgreen, style=dashed, penwidth=2.0];',
        '  "unknown in net-a" -> "east/shop/web" [label="3 flows, 10000000 bytes", color=gray, style=dotted, penwidth=3.0];',
        "}",
    ]


def test_mermaid():
    """The same picture: links are styled by their number."""
    assert EXPORTS["mermaid"](GRAPH).splitlines() == [
        "flowchart LR",
        '  subgraph c0["east aws / us"]',
        '    n1["shop/db"]',
        '    n0["shop/web"]',
        "  end",
        '  subgraph c1["west"]',
        '    n2["shop/api"]',
        "  end",
        '  n3["unknown in net-a"]',
        '  n0 -->|"7 req, 2 err<br/>via west-gw"| n2',
        '  n0 -->|"5 req, 0 err"| n1',
        '  n3 -->|"3 flows, 10000000 bytes"| n0',
        "  linkStyle 0 stroke:red,stroke-width:1.0px",
        "  linkStyle 1 stroke:darkgreen,stroke-width:2.0px,stroke-dasharray:6",
        "  linkStyle 2 stroke:gray,stroke-width:3.0px,stroke-dasharray:2",
    ]


def test_json():
    """Everything there is; counts by protocol are an object."""
    found = json.loads(EXPORTS["json"](GRAPH))
    assert (found["level"], found["since"], found["until"]) == (
        "workload",
        "2026-11-24T12:00:00Z",
        None,
    )
    assert [node["entity"] for node in found["nodes"]] == GRAPH.nodes["entity"].to_list()
    assert found["edges"][0] == {
        **dict.fromkeys(EDGES),
        "source": "east/shop/web",
        "target": "west/shop/api",
        "path_model": "gateway",
        "gateway": "west-gw",
        "state": "failing",
        "requests": 7,
        "errors": 2,
        "tls_share": 1.0,
        "bytes_received": 400,
        "bytes_sent": 600,
        "clusters": ["east", "west"],
        "protocols": {"HTTP/2": 7},
        "first_time": "2026-11-24T12:00:00Z",
    }
    assert found["observers"] == [{"cluster": "east", "requests": 3}]


def test_csv():
    """Edges, one a line; what is null is empty, what is no single value is JSON."""
    rows = list(csv.DictReader(io.StringIO(EXPORTS["csv"](GRAPH))))
    assert len(rows) == 3
    assert rows[0] == {
        **dict.fromkeys(EDGES, ""),
        "source": "east/shop/web",
        "target": "west/shop/api",
        "path_model": "gateway",
        "gateway": "west-gw",
        "state": "failing",
        "requests": "7",
        "errors": "2",
        "tls_share": "1.0",
        "bytes_received": "400",
        "bytes_sent": "600",
        "clusters": '["east","west"]',
        "protocols": '{"HTTP/2":7}',
        "first_time": "2026-11-24T12:00:00+00:00",
    }


def graphml(text: str) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """
    Nodes and edges of a GraphML document, each rule of its schema checked on the way.

    Keys come first and have unique ids; ids of nodes are unique; edges lead from and to nodes
    that are there; data have a key that is declared for their element, one each, of its type.
    """
    root = ET.fromstring(text.encode())  # noqa: S314 - our own
    assert root.tag == f"{GRAPHML}graphml"
    tags = [child.tag.removeprefix(GRAPHML) for child in root]
    assert tags == ["key"] * (len(tags) - 1) + ["graph"]
    keys = {key.attrib["id"]: key.attrib for key in root if key.tag == f"{GRAPHML}key"}
    assert len(keys) == len(tags) - 1
    assert {key["attr.type"] for key in keys.values()} <= {"string", "long", "double"}
    (whole,) = root.findall(f"{GRAPHML}graph")
    assert whole.attrib["edgedefault"] == "directed"
    found: dict[str, list[dict[str, str]]] = {"node": [], "edge": []}
    ids = [node.attrib["id"] for node in whole.findall(f"{GRAPHML}node")]
    assert len(set(ids)) == len(ids)
    for element in whole:
        kind = element.tag.removeprefix(GRAPHML)
        if kind == "edge":
            assert {element.attrib["source"], element.attrib["target"]} <= set(ids)
        row = {}
        for datum in element:
            key = keys[datum.attrib["key"]]
            assert (key["for"], key["attr.name"] in row) == (kind, False)
            if key["attr.type"] != "string":
                float(datum.text or "")
            row[key["attr.name"]] = datum.text or ""
        found[kind].append(row)
    return found["node"], found["edge"]


def test_graphml():
    """Read back by the rules of its schema: the same nodes, edges and figures."""
    nodes, edges = graphml(EXPORTS["graphml"](GRAPH))
    assert [node["entity"] for node in nodes] == GRAPH.nodes["entity"].to_list()
    assert nodes[2] == {
        "entity": "west/shop/api",
        "kind": "pod",
        "cluster": "west",
        "requests_in": "7",
    }
    assert edges[2] == {
        "source": "unknown in net-a",
        "target": "east/shop/web",
        "flows": "3",
        "bytes": "10000000.0",
    }


@pytest.mark.parametrize("name", EXPORTS)
def test_nothing_can_be_written_too(name: str):
    """A graph without nodes is a document all the same."""
    text = EXPORTS[name](made([], []))
    if name == "json":
        assert json.loads(text)["edges"] == []
    elif name == "graphml":
        assert graphml(text) == ([], [])
    else:
        first = {"csv": ",".join(EDGES), "dot": "digraph crosspane {", "mermaid": "flowchart LR"}
        assert text.splitlines()[0] == first[name]


NAMES = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    min_size=2,
    max_size=4,
).filter(lambda names: len(set(names)) == len(names))


def pair(names: list[str]) -> Graph:
    """An edge from the first name to the last."""
    return made(
        [{"entity": name, "kind": "pod", "cluster": names[0]} for name in names],
        [
            {
                "source": names[0],
                "target": names[-1],
                "gateway": names[1],
                "requests": 1,
                "errors": 0,
            }
        ],
    )


@settings(max_examples=40)
@given(NAMES)
def test_any_name_survives_json_and_csv(names: list[str]):
    """Quotes, commas, line breaks, control characters: the same when read back."""
    found = json.loads(EXPORTS["json"](pair(names)))
    assert [node["entity"] for node in found["nodes"]] == names
    (row,) = csv.DictReader(io.StringIO(EXPORTS["csv"](pair(names)), newline=""))
    assert (row["source"], row["target"], row["gateway"]) == (names[0], names[-1], names[1])


@settings(max_examples=40)
@given(NAMES)
def test_any_name_survives_graphml(names: list[str]):
    """The same when read back; U+FFFD for each character that XML has no way to say."""
    forbidden = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
    nodes, (edge,) = graphml(EXPORTS["graphml"](pair(names)))
    expected = [forbidden.sub("\ufffd", name) for name in names]
    assert [node["entity"] for node in nodes] == expected
    assert (edge["source"], edge["target"]) == (expected[0], expected[-1])


@settings(max_examples=40)
@given(NAMES)
def test_any_name_survives_dot(names: list[str]):
    """A string ends at the first quote without a backslash before it, and at no other place."""
    text = EXPORTS["dot"](pair(names))
    strings = re.findall(r'"((?:\\.|[^"\\])*)"', text, re.DOTALL)
    bare = re.sub(r'"(?:\\.|[^"\\])*"', "", text, flags=re.DOTALL)
    assert bare.count('"') == 0
    assert bare.splitlines()[0] == "digraph crosspane {"
    assert bare.count("->") == 1
    escapes = {"\\n": "\n", "\\r": "\r", '\\"': '"', "\\\\": "\\"}
    read = {re.sub(r"\\.", lambda m: escapes[m[0]], one, flags=re.DOTALL) for one in strings}
    assert {name.replace("\0", "\ufffd") for name in names} <= read


@settings(max_examples=40)
@given(NAMES)
def test_any_name_survives_mermaid(names: list[str]):
    """Between its quotes is no sign that means something; codes and breaks give the name again."""
    labels = re.findall(
        r'^\s+n\d+\["([^"\[\]|{}\n]*)"\]$', EXPORTS["mermaid"](pair(names)), re.MULTILINE
    )
    read = [
        re.sub(r"#(\d+);", lambda m: chr(int(m[1])), label.replace("<br/>", "\n"))
        for label in labels
    ]
    inside = [name.removeprefix(f"{names[0]}/") or name for name in names]
    assert sorted(read) == sorted(re.sub("\r\n|\r", "\n", name) for name in inside)
