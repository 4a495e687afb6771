"""
The smallest renumbering: which ranges to move so that clusters can share one network.

Ranges are the vertices of a graph, and each pair that is in the way
(`views.flat.CONFLICTS`) is an edge: of each at least one must move. The cheapest
such choice is a minimum vertex cover, weighted by addresses in use, and among
equals by addresses declared. It is found exactly, component by component, by
branch and bound; a component that would take more than `MAX_WORK` is covered as
well as was found by then, and said to be, with a bound below which no cover can be.

What moves is given the first range of its size that is free in a pool: the
pool less all that is declared anywhere.

Before: views/flat.py. After: ipspace_map.py, cli/ipspace.py.
"""

import ipaddress
from bisect import bisect_right
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

MAX_WORK: Final = 3_000_000
"""Edges looked at for a component: some seconds."""
POOL: Final = ("10.0.0.0/8", "100.64.0.0/10", "fd00::/8")

Range = ipaddress.IPv4Network | ipaddress.IPv6Network
Vertex = TypeVar("Vertex", bound=Hashable)
Graph = Mapping[Vertex, set[Vertex]]


class Cover(NamedTuple):
    """
    Vertices that touch every edge.

    Attributes
    ----------
    cost
        Sum of their weights.
    bound
        No cover costs less; the same as the cost if this one is exact.
    """

    vertices: frozenset[Any]
    cost: int
    bound: int


def cover(edges: Iterable[tuple[Vertex, Vertex]], weight: Mapping[Vertex, int]) -> list[Cover]:
    """
    Cheapest vertices that touch every edge, a `Cover` for each component.

    >>> [one.vertices for one in cover([("a", "b"), ("b", "c")], {"a": 1, "b": 1, "c": 1})]
    [frozenset({'b'})]
    """
    graph: dict[Vertex, set[Vertex]] = {}
    for one, other in edges:
        graph.setdefault(one, set()).add(other)
        graph.setdefault(other, set()).add(one)
    return [_cover({v: graph[v] for v in part}, weight) for part in _components(graph)]


def _components(graph: Graph[Vertex]) -> list[list[Vertex]]:
    seen: set[Vertex] = set()
    parts = []
    for start in graph:
        if start in seen:
            continue
        seen.add(start)
        part = [start]
        for vertex in part:  # grows while it is read
            new = graph[vertex] - seen
            seen |= new
            part += new
        parts.append(part)
    return parts


def _bound(graph: Graph[Vertex], weight: Mapping[Vertex, int]) -> int:
    """What every cover costs at least: of each edge in turn, what both ends have left to pay."""
    left = {vertex: weight[vertex] for vertex in graph}
    paid = 0
    for vertex, others in graph.items():
        for other in others:
            pay = min(left[vertex], left[other])
            left[vertex] -= pay
            left[other] -= pay
            paid += pay
    return paid


def _greedy(graph: Graph[Vertex], weight: Mapping[Vertex, int]) -> frozenset[Vertex]:
    """The vertex that costs least for each edge it covers, and again; then none that is spare."""
    left = {vertex: set(others) for vertex, others in graph.items()}
    chosen: set[Vertex] = set()
    while any(left.values()):
        best = min((v for v in left if left[v]), key=lambda v: weight[v] / len(left[v]))
        for other in left.pop(best):
            left[other].discard(best)
        chosen.add(best)
    for vertex in sorted(chosen, key=lambda v: -weight[v]):
        if graph[vertex] <= chosen:
            chosen.discard(vertex)
    return frozenset(chosen)


def _cover(graph: Graph[Vertex], weight: Mapping[Vertex, int]) -> Cover:
    best = _greedy(graph, weight)
    cost = sum(weight[vertex] for vertex in best)
    waiting: list[tuple[dict[Vertex, set[Vertex]], frozenset[Vertex], int]] = [
        ({vertex: set(others) for vertex, others in graph.items()}, frozenset(), 0)
    ]
    work = 0
    while waiting and work < MAX_WORK:
        left, chosen, paid = waiting.pop()
        left = {vertex: others for vertex, others in left.items() if others}
        work += 1 + sum(map(len, left.values()))
        if not left:
            if paid < cost:
                best, cost = chosen, paid
            continue
        if paid + _bound(left, weight) >= cost:
            continue
        vertex = max(left, key=lambda v: len(left[v]))
        for taken in ({vertex}, left[vertex]):  # an edge's other ends, if not the vertex itself
            rest = {v: others - taken for v, others in left.items() if v not in taken}
            more = sum(weight[v] for v in taken)
            waiting.append((rest, chosen | taken, paid + more))
    return Cover(best, cost, _bound(graph, weight) if waiting else cost)


class Pool:
    """
    Ranges nobody has.

    Parameters
    ----------
    pool
        What may be given out.
    taken
        What is declared already.
    """

    def __init__(self, pool: Iterable[Range], taken: Iterable[Range]) -> None:
        self._pool, known = list(pool), list(taken)
        self._taken: dict[int, list[Range]] = {
            version: [
                one
                for one in ipaddress.collapse_addresses(r for r in known if r.version == version)  # type: ignore[type-var]
                if one.prefixlen
            ]
            for version in (4, 6)
        }

    def give(self, like: Range) -> Range | None:
        """Take the first free range of the same size and family; None if there is none."""
        taken = self._taken[like.version]
        width = 1 << (like.max_prefixlen - like.prefixlen)
        firsts = [int(one.network_address) for one in taken]
        for pool in self._pool:
            if pool.version != like.version or pool.prefixlen > like.prefixlen:
                continue
            at, end = int(pool.network_address), int(pool.broadcast_address)
            while at + width - 1 <= end:
                last = bisect_right(firsts, at + width - 1) - 1
                if last < 0 or int(taken[last].broadcast_address) < at:
                    found = type(like)((at, like.prefixlen))
                    taken.insert(last + 1, found)
                    return found
                at = -(-(int(taken[last].broadcast_address) + 1) // width) * width
        return None


def renumbering(
    conflicts: Sequence[Mapping[str, Any]], declared: Iterable[str], pool: Iterable[str] = POOL
) -> dict[str, Any]:
    """
    What to renumber so that no pair is in the way of another.

    Parameters
    ----------
    conflicts
        Rows of `views.flat.CONFLICTS`.
    declared
        Every declared range, text.
    pool
        Ranges to take new ones from.

    Returns
    -------
    dict
        ``moves``: a row a range, with ``to``, None where the pool has no room;
        ``addresses_in_use`` of them all; ``exact``; and ``at_least``, the
        addresses in use that every renumbering moves.
    """
    ranges: dict[int, dict[str, Any]] = {}
    for row in conflicts:
        for side in ("a", "b"):
            names = ("network", "cluster", "kind", "name", "range", "in_use", "addresses")
            found = ranges.setdefault(
                row[f"prefix_id_{side}"], {name: row[f"{name}_{side}"] for name in names}
            )
            found.setdefault("clusters", set()).add(row[f"cluster_{side}"])
    in_use_counts = 1 + int(sum(one["addresses"] for one in ranges.values()))
    weight = {
        key: one["in_use"] * in_use_counts + int(one["addresses"]) for key, one in ranges.items()
    }
    covers = cover([(row["prefix_id_a"], row["prefix_id_b"]) for row in conflicts], weight)
    moving = sorted(
        (ranges[key] for one in covers for key in one.vertices),
        key=lambda one: (-one["addresses"], one["network"], one["range"]),
    )
    free = Pool(map(ipaddress.ip_network, pool), map(ipaddress.ip_network, declared))
    moves = []
    for one in moving:
        to = free.give(ipaddress.ip_network(one["range"]))
        clusters = sorted(one["clusters"])
        moves.append(
            {key: one[key] for key in ("network", "kind", "range", "name")}
            | {"clusters": clusters, "in_use": one["in_use"], "to": None if to is None else str(to)}
        )
    return {
        "moves": moves,
        "addresses_in_use": sum(one["in_use"] for one in moving),
        "exact": all(one.cost == one.bound for one in covers),
        "at_least": sum(one.bound // in_use_counts for one in covers),
    }
