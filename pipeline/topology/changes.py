"""
What changed between two graphs, with the numbers that say so.

A pair of nodes is compared over all its paths. That something is gone is said
only where somebody looked: where no cluster at its ends gave any record of that
kind in the other span, the pair is *unobserved*, not vanished. Rates are per
second, so spans may differ in length.

Before: graph.py. After: cli/look.py.
"""

from typing import Final, NamedTuple

import polars as pl

from pipeline.topology.graph import Graph


class Thresholds(NamedTuple):
    """
    From where on a difference is a change.

    Attributes
    ----------
    seen
        Calls (else flow records) without which a pair is not said to have come or gone.
    requests
        Calls both spans must have before shares, durations and rates are compared.
    errors, error_points
        Failed calls in the worse span, and difference of error shares: both.
    slower, slower_ms
        Ratio, and difference, of 95th percentiles: both.
    tls_points
        Difference of shares over TLS.
    lost_points, packets
        Difference of shares of packets sent again, or dropped; packets both spans must have.
    traffic
        Ratio of calls a second; of octets, where there are no calls.
    flow_bytes
        Octets the larger span must have for that.
    """

    seen: int = 5
    requests: int = 20
    errors: int = 3
    error_points: float = 0.05
    slower: float = 1.5
    slower_ms: float = 10.0
    tls_points: float = 0.1
    lost_points: float = 0.01
    packets: int = 1_000
    traffic: float = 2.0
    flow_bytes: int = 100_000


THRESHOLDS: Final = Thresholds()

_FIGURES: Final = {
    "path": "path that most of it took: path model, and gateway",
    "requests": "calls",
    "errors": "failed calls",
    "p95_ms": "95th percentile of the path that most of it took",
    "tls_share": "share over TLS",
    "flows": "flow records",
    "bytes": "octets of flows, both ways",
}

CHANGES: Final = {
    "change": "degraded, vanished, plaintext, moved, appeared, less, more, recovered, encrypted, unobserved",
    "source": "node it comes from",
    "target": "node it goes to",
    "measure": "what differs: edge (there or not), requests (told of or not), error_share, p95_ms, tls_share, retransmit_share, drop_share, path, requests_per_s, bytes_per_s",
    "before": "in the first span, as text; null: not there",
    "after": "in the second",
    **{
        f"{name}_{when}": f"{meaning}, in the {span} span"
        for name, meaning in _FIGURES.items()
        for when, span in (("before", "first"), ("after", "second"))
    },
}
"""Columns of `diff`."""

_ENDS: Final = ("source", "target")
_SPANS: Final = ("before", "after")
_LOST: Final = ("retransmit_share", "drop_share")
_ORDER: Final = CHANGES["change"].split(", ")


def diff(before: Graph, after: Graph, thresholds: Thresholds = THRESHOLDS) -> pl.DataFrame:
    """
    What is different in the second graph.

    Parameters
    ----------
    before, after
        Of the same level.

    Returns
    -------
    DataFrame
        Columns `CHANGES`; what is worst first, then what is largest. A pair has a row
        for each measure that differs.
    """
    earlier, later = (
        _pairs(graph).select(*_ENDS, pl.exclude(_ENDS).name.suffix(f"_{when}"))
        for graph, when in zip((before, after), _SPANS, strict=True)
    )
    pairs = earlier.join(later, on=_ENDS, how="full", coalesce=True).with_columns(
        watched_before=_watched(before, "after"), watched_after=_watched(after, "before")
    )
    found = pl.concat([rule.rows(pairs) for rule in _rules(thresholds)])
    return found.sort(
        pl.col("change").replace_strict(_ORDER, range(len(_ORDER)), return_dtype=pl.Int64),
        -pl.max_horizontal("requests_before", "requests_after").fill_null(0),
        -pl.max_horizontal("bytes_before", "bytes_after").fill_null(0.0),
        *_ENDS,
        "measure",
    )


def _pairs(graph: Graph) -> pl.DataFrame:
    """One row a pair: sums over its paths, and what the path says that most of it took."""
    seconds = _seconds(graph)
    told, by_tls = pl.col("requests").is_not_null(), pl.col("tls_share").is_not_null()
    seen = pl.col("bytes").is_not_null()
    path = pl.concat_str("path_model", "gateway", separator=" ", ignore_nulls=True)
    return (
        graph.edges.with_columns(
            bytes=pl.when(pl.any_horizontal(pl.col("bytes", "bytes_back").is_not_null())).then(
                pl.sum_horizontal("bytes", "bytes_back")
            ),
            path=pl.when(pl.col("path_model").is_not_null()).then(path),
        )
        .sort("requests", "bytes", descending=True, nulls_last=True)
        .group_by("source", "target", maintain_order=True)
        .agg(
            path=pl.col("path").first(),
            p95_ms=pl.col("p95_ms").first(),
            **{name: pl.col(name).first() for name in ("packets", *_LOST)},
            requests=pl.when(told.any()).then(pl.col("requests").sum()),
            errors=pl.when(told.any()).then(pl.col("errors").sum()),
            error_share=pl.when(told.any()).then(pl.col("errors").sum() / pl.col("requests").sum()),
            tls_share=pl.when(by_tls.any()).then(
                (pl.col("tls_share") * pl.col("requests")).sum()
                / pl.col("requests").filter(by_tls).sum()
            ),
            flows=pl.when(pl.col("flows").is_not_null().any()).then(pl.col("flows").sum()),
            bytes=pl.when(seen.any()).then(pl.col("bytes").sum()),
            clusters=pl.col("clusters").list.explode().unique(),
        )
        .with_columns(
            requests_per_s=pl.col("requests") / seconds, bytes_per_s=pl.col("bytes") / seconds
        )
    )


def _seconds(graph: Graph) -> float:
    """Length of the span; of one without ends, from its first record to its last."""
    since, until = graph.span
    for first, last in graph.edges.select(
        pl.col("first_time").min(), pl.col("last_time").max()
    ).iter_rows():
        since, until = since or first, until or last
    return max((until - since).total_seconds(), 1.0) if since and until else 1.0


def _watched(graph: Graph, other: str) -> pl.Expr:
    """Whether a cluster that saw a pair in the other span gave like records in this graph's."""
    seen = pl.col(f"clusters_{other}")
    giving = {
        fact: graph.observers.filter(pl.col(fact) > 0)["cluster"].to_list()
        for fact in ("requests", "flows")
    }
    looked = {
        fact: pl.when(seen.list.len() == 0)
        .then(pl.lit(bool(clusters)))
        .otherwise(seen.list.eval(pl.element().is_in(clusters)).list.any())
        for fact, clusters in giving.items()
    }
    called = pl.col(f"requests_{other}").is_not_null()
    return pl.when(called).then(looked["requests"]).otherwise(looked["flows"])


class _Rule(NamedTuple):
    """One kind of change: its name, what differs, the figure that shows it, and when it holds."""

    change: str
    measure: str
    shown: str
    holds: pl.Expr

    def rows(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """Rows of `CHANGES` for the pairs it holds for."""
        return pairs.filter(self.holds).select(
            pl.lit(self.change).alias("change"),
            *_ENDS,
            pl.lit(self.measure).alias("measure"),
            _text(self.shown, "before"),
            _text(self.shown, "after"),
            *(f"{name}_{when}" for name in _FIGURES for when in _SPANS),
        )


def _text(figure: str, when: str) -> pl.Expr:
    """A figure as text, numbers with three decimals at most."""
    value = pl.col(f"{figure}_{when}")
    if figure == "path":
        there = pl.col(f"clusters_{when}").is_not_null()
        return pl.when(there).then(value.fill_null("unknown")).alias(when)
    return value.round(3).cast(pl.String).alias(when)


def _rules(least: Thresholds) -> list[_Rule]:
    """Every rule, in no order."""
    rules = _presence(least)
    calls = pl.min_horizontal("requests_before", "requests_after")
    told = pl.col("requests_before").is_not_null() & pl.col("requests_after").is_not_null()
    compared = told & (calls >= least.requests)
    busy = told & (pl.max_horizontal("requests_before", "requests_after") >= least.requests)
    wire = pl.col("bytes_before").is_not_null() & pl.col("bytes_after").is_not_null()
    wire &= pl.col("requests_before").is_null() & pl.col("requests_after").is_null()
    large = wire & (pl.max_horizontal("bytes_before", "bytes_after") >= least.flow_bytes)
    carried = pl.min_horizontal("packets_before", "packets_after") >= least.packets
    other_path = pl.col("path_before") != pl.col("path_after")
    rules.append(_Rule("moved", "path", "path", (compared | large) & other_path))
    for low, high, worse, busier, safer in (
        ("before", "after", "degraded", "more", "encrypted"),
        ("after", "before", "recovered", "less", "plaintext"),
    ):
        rises = {
            name: pl.col(f"{name}_{high}") - pl.col(f"{name}_{low}")
            for name in ("error_share", "p95_ms", "tls_share", *_LOST)
        }
        times = {
            name: pl.col(f"{name}_{high}") / pl.col(f"{name}_{low}")
            for name in ("p95_ms", "requests_per_s", "bytes_per_s")
        }
        failing = (rises["error_share"] >= least.error_points) & (
            pl.col(f"errors_{high}") >= least.errors
        )
        slow = (rises["p95_ms"] >= least.slower_ms) & (times["p95_ms"] >= least.slower)
        rules += [
            _Rule(worse, "error_share", "error_share", compared & failing),
            _Rule(worse, "p95_ms", "p95_ms", compared & slow),
            *(
                _Rule(worse, name, name, carried & (rises[name] >= least.lost_points))
                for name in _LOST
            ),
            _Rule(
                safer, "tls_share", "tls_share", compared & (rises["tls_share"] >= least.tls_points)
            ),
            _Rule(
                busier,
                "requests_per_s",
                "requests_per_s",
                busy & (times["requests_per_s"] >= least.traffic),
            ),
            _Rule(
                busier,
                "bytes_per_s",
                "bytes_per_s",
                large & (times["bytes_per_s"] >= least.traffic),
            ),
        ]
    return rules


def _presence(least: Thresholds) -> list[_Rule]:
    """Pairs that are in one graph only, or of which one kind of record is."""
    here = {when: pl.col(f"clusters_{when}").is_not_null() for when in _SPANS}
    enough = {
        when: pl.coalesce(f"requests_{when}", f"flows_{when}") >= least.seen for when in _SPANS
    }
    came = here["after"] & ~here["before"] & enough["after"]
    gone = here["before"] & ~here["after"] & enough["before"]
    quiet = pl.col("requests_after").is_null() & (pl.col("requests_before") >= least.seen)
    unseen = (came & ~pl.col("watched_before")) | (gone & ~pl.col("watched_after"))
    return [
        _Rule("appeared", "edge", "path", came & pl.col("watched_before")),
        _Rule("vanished", "edge", "path", gone & pl.col("watched_after")),
        _Rule("unobserved", "edge", "path", unseen),
        _Rule("unobserved", "requests", "requests", here["before"] & here["after"] & quiet),
    ]
