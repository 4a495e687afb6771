"""
What node graphs and maps ask of frames.

Source: Grafana's nodeGraph panel, `utils.ts`; geomap panel, `layers/data`.
Before: frame.py. After: pipeline/serve/web.py; tests.
"""

from collections.abc import Sequence

import pyarrow.compute as pc

from dashboards.frames.frame import Frame, FrameError

__all__ = ["check_places", "node_graph"]


def node_graph(frames: Sequence[Frame]) -> tuple[Frame, Frame | None]:
    """
    Find nodes and edges among the answers of a node graph's queries, and check them.

    A frame with a field ``source`` has edges; any other has nodes. Of several,
    the first counts. So an edges query without rows counts as nodes, if it
    stands first.

    Raises
    ------
    FrameError
        A node or an edge without an id, two nodes of one id, or an end of an
        edge that is no node: Grafana then draws nothing.
    """
    edges = next((frame for frame in frames if frame.field("source")), None)
    nodes = next((frame for frame in frames if not frame.field("source")), None)
    if nodes is None or not nodes.fields:
        if edges is not None and edges.fields:
            raise FrameError("there are edges and no nodes")
        return nodes or Frame("nodes", ()), None
    ids = _ids(nodes, "id")
    if len(set(ids)) != len(ids):
        raise FrameError("two nodes have the same id")
    for name in ("fixedx", "fixedy"):
        field = nodes.field(name)
        if field and 0 < field.values.null_count < len(field.values):
            raise FrameError(f"{name} is set for some nodes, and not for all")
    if edges:
        _ids(edges, "id")
        strangers = (set(_ids(edges, "source")) | set(_ids(edges, "target"))) - set(ids)
        if strangers:
            raise FrameError(f"an edge ends at what is no node: {min(strangers)}")
    return nodes, edges


def _ids(frame: Frame, name: str) -> list[str]:
    field = frame.field(name)
    if field is None:
        raise FrameError(f"{frame.ref_id}: no field {name}")
    if field.values.null_count:
        raise FrameError(f"{frame.ref_id}: {name} is null")
    return [str(value) for value in field.values.to_pylist()]


def check_places(frame: Frame) -> None:
    """
    Check a frame that a map's layers take places from.

    Raises
    ------
    FrameError
        ``latitude`` or ``longitude`` is missing, no number, null, or off the globe.
    """
    if not frame.fields:
        return
    for name, most in (("latitude", 90), ("longitude", 180)):
        field = frame.field(name)
        if field is None or field.kind != "number":
            raise FrameError(f"{frame.ref_id}: no numbers in {name}")
        if field.values.null_count:
            raise FrameError(f"{frame.ref_id}: {name} is null")
        reach = pc.max(pc.abs(field.values)).as_py()
        if reach > most:
            raise FrameError(f"{frame.ref_id}: {name} {reach} is off the globe")
