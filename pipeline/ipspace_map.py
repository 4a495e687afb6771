"""
The address space as a picture: a bar a network, ranges as boxes, what contends in red.

All networks share one axis, so ranges with the same addresses stand above each
other. It is cut wherever a range begins or ends, and a piece is as wide as the
logarithm of its addresses: a /8 and a /28 can both be seen, and are not to scale.

Before: views/ipspace.py. After: cli/ipspace.py.
Source: SVG 1.1.
"""

import ipaddress
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any, Final

_WIDTH: Final = 1_100
_LEFT: Final = 180
_ROW: Final = 16
_COLOURS: Final = {
    "vpc": "#dfe6ee",
    "subnet": "#b9cbe0",
    "node": "#8fb0d3",
    "pod": "#7fbf9b",
    "service": "#d9c27e",
}
_CONTENDS: Final = "#d9534f"

Range = ipaddress.IPv4Network | ipaddress.IPv6Network


def draw(ranges: Sequence[Mapping[str, Any]], contending: Iterable[tuple[str, str]]) -> str:
    """
    SVG of declared ranges.

    Parameters
    ----------
    ranges
        ``network``, ``range`` (text), ``kind``, ``cluster`` and ``name`` of each.
    contending
        Network and range of those to be red.
    """
    red = set(contending)
    boxes = [(row, ipaddress.ip_network(row["range"])) for row in ranges]
    place = {
        version: _axis(box for _, box in boxes if box.version == version) for version in (4, 6)
    }
    body: list[str] = []
    y = 20
    networks = sorted({(row["network"], box.version) for row, box in boxes})
    for network, version in networks:
        own = [(r, b) for r, b in boxes if (r["network"], b.version) == (network, version)]
        own.sort(key=lambda one: (int(one[1].network_address), one[1].prefixlen))
        body.append(f'<text x="4" y="{y + 12}">{escape(network)} (IPv{version})</text>')
        open_until: list[int] = []
        deepest = 0
        for row, box in own:
            while open_until and open_until[-1] < int(box.network_address):
                open_until.pop()
            depth = len(open_until)
            deepest = max(deepest, depth)
            open_until.append(int(box.broadcast_address))
            body.append(_box(row, box, place[version], y + depth * _ROW, red))
        y += (deepest + 1) * _ROW + 14
    style = "text{font:11px sans-serif}rect{stroke:#fff}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 10}" height="{y}">'
    return "\n".join([head, f"<style>{style}</style>", *body, "</svg>\n"])


def _axis(ranges: Iterable[Range]) -> dict[int, float]:
    """Where each begin and end of a range is, from left to right."""
    edges = {edge for one in ranges for edge in (int(one[0]), int(one[-1]) + 1)}
    covered = sorted(edges)
    widths = [math.log2(after - before) + 1 for before, after in pairwise(covered)]
    scale = _WIDTH / (sum(widths) or 1)
    at, place = float(_LEFT), dict.fromkeys(covered[:1], float(_LEFT))
    for edge, width in zip(covered[1:], widths, strict=True):
        at += width * scale
        place[edge] = at
    return place


def _box(
    row: Mapping[str, Any],
    box: Range,
    place: Mapping[int, float],
    y: int,
    red: set[tuple[str, str]],
) -> str:
    left, right = place[int(box[0])], place[int(box[-1]) + 1]
    contends = (row["network"], row["range"]) in red
    colour = _CONTENDS if contends else _COLOURS.get(row["kind"], "#cccccc")
    about = [row["range"], row["kind"], row["cluster"], row["name"]]
    title = escape(" ".join(filter(None, about)))
    return (
        f'<rect x="{left:.1f}" y="{y}" width="{right - left:.1f}" height="{_ROW - 2}"'
        f' fill="{colour}"><title>{title}</title></rect>'
    )
