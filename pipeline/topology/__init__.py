"""
Who talks to whom, at any level, over any stretch of time, and what changed.

    span            the stretch
    covered         what tells of it: rollups, and records of what they do not have
    calls           logical calls of the stretch, by pair and path
    legs            octets on the wire of the stretch, by pair and path
    graph           both as one graph: nodes, edges, and who observed
    control_planes  who serves whose proxies, and which clusters each reads
    changes         two graphs in, what appeared, vanished, moved, got worse or better out
    export          a graph as JSON, CSV, Graphviz DOT, Mermaid, GraphML

Functions of a read-only connection to the lake, and of frames; the views of
`pipeline.views` say the same of all time.

Before: views/. After: cli/look.py.
"""

from pipeline.topology.changes import THRESHOLDS, Thresholds, diff
from pipeline.topology.export import EXPORTS
from pipeline.topology.graph import Graph, graph, graphs, newest
from pipeline.views.levels import LEVELS

__all__ = [
    "EXPORTS",
    "LEVELS",
    "THRESHOLDS",
    "Graph",
    "Thresholds",
    "diff",
    "graph",
    "graphs",
    "newest",
]
