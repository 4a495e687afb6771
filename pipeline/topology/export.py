"""
A graph as text: JSON, CSV, Graphviz DOT, Mermaid, GraphML.

Any name survives: each format's own quoting, and where a format cannot hold a
character (XML and control characters) U+FFFD stands for it. In pictures colour
is health, a dashed line is plaintext, a dotted one is of flows alone, and
thickness is the order of magnitude of octets.

Source: Graphviz DOT language; Mermaid flowchart syntax; GraphML 1.0, XML 1.0.
Before: graph.py. After: cli/look.py.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from xml.sax.saxutils import escape

import msgspec
import polars as pl

from pipeline.topology.graph import EDGES, NODES, Graph

Row = Mapping[str, Any]

_COLOURS: Final = {"healthy": "darkgreen", "degraded": "orange", "failing": "red"}
_OTHER: Final = "gray"
_GRAPHML: Final = "http://graphml.graphdrawing.org/xmlns"
_GRAPHML_HEAD: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>',
    f'<graphml xmlns="{_GRAPHML}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"',
    f'    xsi:schemaLocation="{_GRAPHML} {_GRAPHML}/1.0/graphml.xsd">',
)
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_json(graph: Graph) -> str:
    """One document: level, span, nodes, edges, observers; protocols as an object."""
    document = {
        "level": graph.level,
        "since": graph.span.since,
        "until": graph.span.until,
        "nodes": graph.nodes.to_dicts(),
        "edges": list(_edges(graph)),
        "observers": graph.observers.to_dicts(),
    }
    if graph.control_planes is not None:
        document["control_planes"] = graph.control_planes.to_dicts()
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def as_csv(graph: Graph) -> str:
    """Edges, a header first; lists and counts by protocol as JSON."""
    rows = [{name: _scalar(value) for name, value in edge.items()} for edge in _edges(graph)]
    columns = None if rows else dict.fromkeys(EDGES, pl.String)
    return pl.DataFrame(rows, columns, infer_schema_length=None).write_csv().rstrip("\n")


def as_dot(graph: Graph) -> str:
    """A Graphviz digraph, clusters as boxes."""
    lines = [
        "digraph crosspane {",
        '  rankdir=LR; node [shape=box, style=rounded, fontname="sans"];',
    ]
    for number, (cluster, members) in enumerate(_by_cluster(graph).items()):
        inside = [
            f"  {_dot(node['entity'])} [label={_dot(_label(node))}{_shape(node)}];"
            for node in members
        ]
        if cluster:
            lines.append(f"  subgraph cluster_{number} {{ label={_dot(_title(members[0]))};")
            lines += [*("  " + line for line in inside), "  }"]
        else:
            lines += inside
    for edge in _edges(graph):
        lines.append(
            f"  {_dot(edge['source'])} -> {_dot(edge['target'])} [label={_dot(_says(edge))},"
            f" color={_colour(edge)}, style={_line(edge)}, penwidth={_width(edge)}];"
        )
    return "\n".join([*lines, "}"])


def as_mermaid(graph: Graph) -> str:
    """A Mermaid flowchart, clusters as subgraphs."""
    ids = {node["entity"]: f"n{number}" for number, node in enumerate(graph.nodes.to_dicts())}
    lines = ["flowchart LR"]
    for number, (cluster, members) in enumerate(_by_cluster(graph).items()):
        inside = [f"  {ids[node['entity']]}[{_mermaid(_label(node))}]" for node in members]
        if cluster:
            lines.append(f"  subgraph c{number}[{_mermaid(_title(members[0]))}]")
            lines += [*("  " + line for line in inside), "  end"]
        else:
            lines += inside
    styles = []
    for number, edge in enumerate(_edges(graph)):
        source, target = ids[edge["source"]], ids[edge["target"]]
        lines.append(f"  {source} -->|{_mermaid(_says(edge))}| {target}")
        dashes = {"dashed": ",stroke-dasharray:6", "dotted": ",stroke-dasharray:2"}
        styles.append(
            f"  linkStyle {number} stroke:{_colour(edge)},stroke-width:{_width(edge)}px"
            + dashes.get(_line(edge), "")
        )
    return "\n".join([*lines, *styles])


def as_graphml(graph: Graph) -> str:
    """GraphML: every column that is not empty is a datum of its node or edge."""
    lines = [*_GRAPHML_HEAD]
    for kind, columns, frame in (
        ("node", NODES, graph.nodes),
        ("edge", EDGES, graph.edges),
    ):
        lines += [
            f'  <key id="{kind}_{name}" for="{kind}" attr.name="{name}"'
            f' attr.type="{_graphml_type(frame.schema[name])}"/>'
            for name in columns
        ]
    lines.append('  <graph id="crosspane" edgedefault="directed">')
    nodes = graph.nodes.to_dicts()
    ids = {node["entity"]: f"n{number}" for number, node in enumerate(nodes)}
    for node in nodes:
        lines.append(f'    <node id="{ids[node["entity"]]}">{_data("node", node)}</node>')
    for number, edge in enumerate(_edges(graph)):
        ends = f'source="{ids[edge["source"]]}" target="{ids[edge["target"]]}"'
        lines.append(f'    <edge id="e{number}" {ends}>{_data("edge", edge)}</edge>')
    return "\n".join([*lines, "  </graph>", "</graphml>"])


def _edges(graph: Graph) -> Iterator[dict[str, Any]]:
    """Edges as dicts, counts by protocol as a dict."""
    for edge in graph.edges.to_dicts():
        counts = edge["protocols"]
        yield edge | {"protocols": counts and {one["key"]: one["value"] for one in counts}}


def _by_cluster(graph: Graph) -> dict[str, list[Row]]:
    """Nodes by cluster; those of none last, and at levels that are wider, all."""
    found: dict[str, list[Row]] = {}
    boxed = graph.level in ("namespace", "service", "workload", "node")
    for node in graph.nodes.sort("cluster", "entity", nulls_last=True).to_dicts():
        found.setdefault((node["cluster"] or "") if boxed else "", []).append(node)
    return found


def _title(node: Row) -> str:
    """A cluster and where it is."""
    return f"{node['cluster']} {_place(node)}".strip()


def _place(node: Row) -> str:
    return " / ".join(filter(None, (node["provider"], node["region"])))


def _label(node: Row) -> str:
    """A node inside its cluster's box, without the cluster's name; a cluster with its place."""
    entity: str = node["entity"]
    if node["kind"] == "cluster":
        return "\n".join(filter(None, (entity, _place(node))))
    return entity.removeprefix(f"{node['cluster']}/") or entity


def _says(edge: Row) -> str:
    """What is written on an edge."""
    if edge["path_model"] in ("serves", "discovers"):
        return str(edge["path_model"])
    if edge["requests"] is None:
        octets = (edge["bytes"] or 0) + (edge["bytes_back"] or 0)
        return f"{edge['flows'] or 0} flows, {octets:.0f} bytes"
    hop = f"gateway:{edge['gateway']}" in (edge["source"], edge["target"])
    via = f"\nvia {edge['gateway']}" if edge["gateway"] and not hop else ""
    return f"{edge['requests']} req, {edge['errors']} err{via}"


def _colour(edge: Row) -> str:
    return _COLOURS.get(edge["state"], _OTHER)


def _line(edge: Row) -> str:
    """Dashed where some calls are plaintext, dotted where flows alone tell of it."""
    if edge["requests"] is None:
        return "dotted"
    return "dashed" if edge["tls_share"] is not None and edge["tls_share"] < 1 else "solid"


def _width(edge: Row) -> float:
    """
    Thickness: 1 up to 1 kB, and half more for each power of ten.

    >>> _width({"bytes": 5_000_000, "bytes_back": None, "bytes_received": 1, "bytes_sent": None})
    2.8
    """
    wire = (edge["bytes"] or 0) + (edge["bytes_back"] or 0)
    octets = wire or (edge["bytes_received"] or 0) + (edge["bytes_sent"] or 0)
    return round(1 + max(math.log10(max(octets, 1)) - 3, 0) / 2, 1)


def _shape(node: Row) -> str:
    shapes = {"external": "ellipse", "unknown": "ellipse", "gateway": "hexagon"}
    shape = shapes.get(node["kind"])
    return f", shape={shape}" if shape else ""


def _dot(text: str) -> str:
    r"""
    A DOT string: a quote is escaped, a backslash doubled, a line break ``\n``.

    >>> _dot('a "b"')
    '"a \\"b\\""'
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\0", "\ufffd")
    return '"' + escaped.replace("\r", "\\r").replace("\n", "\\n") + '"'


def _mermaid(text: str) -> str:
    """
    A Mermaid string: what is not a letter, digit or plain sign is a character code.

    >>> _mermaid('a "b"')
    '"a #34;b#34;"'
    """
    lines = re.split(r"\r\n|\r|\n", text)
    return (
        '"'
        + "<br/>".join(re.sub(r"[^\w ./:,()-]", lambda m: f"#{ord(m[0])};", one) for one in lines)
        + '"'
    )


def _graphml_type(dtype: pl.DataType) -> str:
    """GraphML's word for a type; times and lists are strings."""
    if dtype.is_integer():
        return "long"
    return "double" if dtype.is_float() else "string"


def _data(kind: str, row: Row) -> str:
    return "".join(
        f'<data key="{kind}_{name}">{_xml(_scalar(value))}</data>'
        for name, value in row.items()
        if value is not None
    )


def _xml(value: object) -> str:
    """Text of an element; carriage returns by number, since a parser would change them."""
    return escape(_NOT_XML.sub("\ufffd", str(value)), {"\r": "&#13;"})


def _scalar(value: Any) -> Any:
    """A value in one cell: times as ISO 8601, lists and objects as JSON."""
    if isinstance(value, (list, dict)):
        return msgspec.json.encode(value).decode()
    return value.isoformat() if hasattr(value, "isoformat") else value


EXPORTS: Final[dict[str, Callable[[Graph], str]]] = {
    "json": as_json,
    "csv": as_csv,
    "dot": as_dot,
    "mermaid": as_mermaid,
    "graphml": as_graphml,
}
"""Format to how a graph is written in it."""
