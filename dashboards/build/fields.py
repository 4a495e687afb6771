"""
How a field of a frame is shown: unit, thresholds, words for values, links.

A `Field` is the default of a panel, or what differs for one column of it
(`Override`). Only what is set is written, so generated JSON shows what a board
says and nothing that Grafana would choose by itself.

Before: query.py. After: panels.py.
Source: Grafana's `FieldConfig` (kinds/dashboard/dashboard_kind.cue, schemaVersion 42).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

__all__ = [
    "HEALTH",
    "HEALTH_CODES",
    "SHARE_BAD",
    "SHARE_GOOD",
    "UNITS",
    "Field",
    "Json",
    "Link",
    "Override",
    "Step",
    "Unit",
    "Words",
    "to_edge",
    "to_service",
]

Json = dict[str, Any]

Unit = Literal[
    "none", "short", "string", "locale", "bool_yes_no",
    "percentunit", "percent",
    "reqps", "cps", "pps", "Bps", "binBps", "bps",
    "bytes", "decbytes",
    "ns", "µs", "ms", "s", "m", "h", "d", "dtdurations",
    "dateTimeAsIso", "dateTimeFromNow",
]  # fmt: skip
"""Units of Grafana that boards may use; the browser page knows each of them, too."""
UNITS: Final = frozenset(get_args(Unit))


@dataclass(frozen=True)
class Step:
    """A threshold: this colour from `value` on; None is the lowest step."""

    value: float | None
    color: str


SHARE_BAD: Final = (Step(None, "green"), Step(0.01, "yellow"), Step(0.05, "red"))
"""Of a share that should be 0: errors, losses. 1 % is worth a look, 5 % is trouble."""
SHARE_GOOD: Final = (Step(None, "red"), Step(0.95, "yellow"), Step(0.99, "green"))
"""Of a share that should be 1: what is encrypted, named, kept."""

Words = Mapping[str, tuple[str, str]]
"""Value to the word and the colour it is shown with."""

HEALTH: Final[Words] = {
    "healthy": ("healthy", "green"),
    "degraded": ("degraded", "orange"),
    "failing": ("failing", "red"),
    "unknown": ("unknown", "text"),
}
"""States of `v_health` and of what it is made of."""
HEALTH_CODES: Final[Words] = {
    "0": HEALTH["unknown"],
    "1": HEALTH["healthy"],
    "2": HEALTH["degraded"],
    "3": HEALTH["failing"],
}
"""As numbers, for timelines: ``list_position(['healthy', 'degraded', 'failing'], x)``, else 0."""


@dataclass(frozen=True)
class Link:
    """Where a click on a value leads; the URL may hold ``${__data.fields.<column>}``."""

    title: str
    url: str
    new_tab: bool = False

    def json(self) -> Json:
        """As Grafana's `DataLink`."""
        return {"title": self.title, "url": self.url, "targetBlank": self.new_tab}


_KEPT: Final = "${__url_time_range}&${cloud:queryparam}&${region:queryparam}&${network:queryparam}"


def to_service(column: str) -> Link:
    """Open the service whose entity is in `column`, at the same time and in the same clouds."""
    return Link("Service", f"/d/crosspane-service?var-service=${{__data.fields.{column}}}&{_KEPT}")


def to_edge(source: str, target: str) -> Link:
    """Open the edge whose ends are in two columns, at the same time and in the same clouds."""
    return Link(
        "Edge",
        f"/d/crosspane-edge?var-source=${{__data.fields.{source}}}"
        f"&var-target=${{__data.fields.{target}}}&{_KEPT}",
    )


@dataclass(frozen=True, kw_only=True)
class Field:
    """
    How values are shown.

    Parameters
    ----------
    unit, decimals, min, max, no_value
        As Grafana's; `no_value` is what stands where there is nothing.
    name
        Another name than the column's.
    thresholds
        Steps from low to high; colours by value unless `color` says otherwise.
    words
        Text and colour for given values.
    color
        ``thresholds``, ``palette-classic``, ``continuous-GrYlRd``..., or ``fixed:<colour>``.
    links
        Where a click leads.
    custom
        Options of the panel's kind, by their dotted path: ``{"cellOptions.type": "color-text"}``.
    """

    unit: Unit | None = None
    decimals: int | None = None
    min: float | None = None
    max: float | None = None
    no_value: str | None = None
    name: str | None = None
    thresholds: Sequence[Step] = ()
    words: Words = field(default_factory=dict)
    color: str | None = None
    links: Sequence[Link] = ()
    custom: Mapping[str, Any] = field(default_factory=dict)

    def json(self) -> Json:
        """As Grafana's `FieldConfig`: what is set, and nothing else."""
        made = self._plain()
        for path, value in self.custom.items():
            inner = made.setdefault("custom", {})
            *way, last = path.split(".")
            for key in way:
                inner = inner.setdefault(key, {})
            inner[last] = value
        return made

    def properties(self) -> list[Json]:
        """As the `properties` of an override."""
        made = [{"id": key, "value": value} for key, value in self._plain().items()]
        tops = dict.fromkeys(path.split(".")[0] for path in self.custom)
        nested = self.json().get("custom", {})
        return made + [{"id": f"custom.{top}", "value": nested[top]} for top in tops]

    def _plain(self) -> Json:
        color = self.color or ("thresholds" if self.thresholds else None)
        mode, _, fixed = (color or "").partition(":")
        plain: Json = {
            "displayName": self.name,
            "unit": self.unit,
            "decimals": self.decimals,
            "min": self.min,
            "max": self.max,
            "noValue": self.no_value,
            "color": {"mode": mode} | ({"fixedColor": fixed} if fixed else {}) if mode else None,
            "thresholds": self.thresholds
            and {
                "mode": "absolute",
                "steps": [{"value": step.value, "color": step.color} for step in self.thresholds],
            },
            "mappings": self.words
            and [
                {
                    "type": "value",
                    "options": {
                        value: {"text": text, "color": shade, "index": index}
                        for index, (value, (text, shade)) in enumerate(self.words.items())
                    },
                }
            ],
            "links": [link.json() for link in self.links],
        }
        return {key: value for key, value in plain.items() if value not in (None, (), [], {})}


@dataclass(frozen=True)
class Override:
    """What differs for one column; `by` is ``byName``, or ``byRegexp`` for several."""

    column: str
    field: Field
    by: Literal["byName", "byRegexp", "byFrameRefID"] = "byName"

    def json(self) -> Json:
        """As Grafana's override."""
        return {
            "matcher": {"id": self.by, "options": self.column},
            "properties": self.field.properties(),
        }
