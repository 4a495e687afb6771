"""
Who suffers from whom: the cause of each entity that is not well, followed to its root.

    calls that failed --blame--> gateway, service, workload or certificate
    slow calls        --time---> the gateway on the way, or the server
    a cluster         ---------> its gateways
    all that is left  ---------> what all its edges that are not well suffer from

An entity that is itself to blame has no cause; one of which nothing tells has none
either. A cause that suffers from another is not told: the other is.

Before: judge.py. After: stage.py.
"""

from typing import Final

import polars as pl

from pipeline.health.certificates import NOT_TRIED
from pipeline.health.figures import ENTITY, entities
from pipeline.schema.health import EDGE_KEY

_BLAMED_KIND: Final = {"network": "gateway", "server": "service", "client": "workload"}
"""Side that is blamed to the kind of entity it is."""
_OWN: Final = ("configuration", "limit", "injected", "proxy")
"""What a proxy did by itself: of the server's it is the service's, else its workload's."""
_SELF: Final = {"service": "service", "workload": "workload", "gateway": "gateway"}
_AT_SERVER: Final = 0.5
"""Share of a call's time from which the server's own is what makes it slow."""
_DEPTH: Final = 4
"""So many causes of causes are followed: client, edge, gateway, server are no more."""
_WORSE: Final = {"healthy": 0, "unknown": 0, "degraded": 1, "failing": 2}
_STATE: Final = (*ENTITY, "state")
_UNWELL: Final = pl.col("state").is_in(["degraded", "failing"])


def blamed(failed: pl.DataFrame) -> pl.DataFrame:
    """
    Flags, and whom most failed calls blame, for each entity they concern.

    Parameters
    ----------
    failed
        Rows of `views.failed.failed_sql`.

    Returns
    -------
    DataFrame
        One row an entity: ``flags``, ``blamed`` (side and entity), ``cause`` (kind and
        entity; null if it is the entity itself, or not known). Of calls that blame the
        same, those that were not even tried, since its health checks fail, do not tell why.
    """
    certificate = pl.col("blame_reason").str.contains("(?i)certificate")
    at_server = pl.col("blamed_entity") == pl.col("server_entity")
    kind = (
        pl.when(certificate & pl.col("blame").is_in(["server", "client"]))
        .then(pl.lit("certificate"))
        .when(pl.col("blame").is_in(_OWN))
        .then(pl.when(at_server).then(pl.lit("service")).otherwise(pl.lit("workload")))
        .otherwise(pl.col("blame").replace_strict(_BLAMED_KIND, default=None))
    )
    own = (
        pl.col("entity_kind").replace_strict(_SELF, default=None).eq_missing(kind)
        & kind.is_not_null()
        & (pl.col("entity") == pl.col("blamed_entity"))
    )
    down = pl.when(pl.col("blame") == "network").then("blamed_entity")
    rows = (
        entities(failed.filter("error").with_columns(pl.coalesce("gateway", down)))
        .filter((pl.col("entity_kind") != "gateway") | ~pl.col("server_seen"))
        .with_columns(
            blamed=pl.concat_str(["blame", "blamed_entity"], separator=" ", ignore_nulls=True),
            cause=pl.when(~own).then(pl.concat_str([kind, "blamed_entity"], separator=" ")),
            tells=certificate | ~NOT_TRIED,
        )
    )
    most = (
        rows.drop_nulls("blame")
        .group_by(*ENTITY, "blamed", "cause")
        .agg(pl.len(), pl.col("tells").sum())
        .with_columns(blames=pl.col("len").sum().over(*ENTITY, "blamed"))
        .sort(
            *("blames", "blamed", "tells", "len", "cause"),
            descending=[True, False, True, True, False],
            nulls_last=True,
        )
        .group_by(ENTITY, maintain_order=True)
        .first()
        .drop("len", "tells", "blames")
    )
    flags = rows.group_by(ENTITY).agg(
        flags=pl.col("response_flags").explode(empty_as_null=False).drop_nulls().unique().sort()
    )
    return flags.join(most, on=ENTITY, how="left")


def caused(judged: pl.DataFrame, edges: pl.DataFrame) -> pl.DataFrame:
    """
    Add ``caused_by``; clusters are made as bad as their gateways.

    Parameters
    ----------
    judged
        One row an entity: of `judge.judge`, with ``cause`` of `blamed`.
    edges
        The rollup's rows of the minute: which edges are whose, and by which gateway.
    """
    unwell = judged.filter(_UNWELL)
    if not unwell.height:
        return judged.with_columns(caused_by=pl.lit(None, pl.String)).drop("cause")
    few = judged.filter((pl.col("state") == "unknown") & (pl.col("errors") > 0))
    cause: dict[tuple[str, str], str] = {
        (kind, entity): cause
        for rows in (unwell, few)
        for kind, entity, cause in rows.select(*ENTITY, "cause").iter_rows()
        if cause is not None
    }
    states = {(kind, entity): state for kind, entity, state in unwell.select(_STATE).iter_rows()}
    _slow(cause, unwell, edges)
    raised = _gateways(cause, states, unwell, judged)
    _whole(cause, states, edges)
    suffers = [*states, *few.select(ENTITY).iter_rows()]
    roots = [(*key, _root(key, cause)) for key in suffers]
    told = pl.DataFrame(
        [row for row in roots if row[2]],
        {"entity_kind": pl.String, "entity": pl.String, "caused_by": pl.String},
        orient="row",
    )
    return _raise(judged.drop("cause").join(told, on=ENTITY, how="left"), raised)


def _slow(cause: dict[tuple[str, str], str], unwell: pl.DataFrame, edges: pl.DataFrame) -> None:
    """Edges and services that are slow, for the gateway on the way or for the server."""
    slow = unwell.filter("is_slow")
    names = {kind: set(rows["entity"]) for (kind,), rows in slow.group_by("entity_kind")}
    gateways, services = names.get("gateway", set()), names.get("service", set())
    at_server = {
        (kind, entity): server_ms is not None and server_ms >= _AT_SERVER * p95_ms
        for kind, entity, server_ms, p95_ms in slow.drop_nulls("p95_ms")
        .select(*ENTITY, "server_p95_ms", "p95_ms")
        .iter_rows()
    }
    asked = slow.filter(pl.col("entity_kind").is_in(["edge", "service"]))
    of_edges = entities(edges.select(EDGE_KEY)).join(asked, on=ENTITY, how="semi")
    ways = of_edges.select(*ENTITY, "gateway", "server_entity").unique().sort(pl.all())
    for kind, entity, gateway, server in ways.iter_rows():
        key = (kind, entity)
        if key not in at_server or key in cause:
            continue
        if gateway in gateways and not at_server[key]:
            cause[key] = f"gateway {gateway}"
        elif kind == "edge" and server in services:
            cause[key] = f"service {server}"


def _gateways(
    cause: dict[tuple[str, str], str],
    states: dict[tuple[str, str], str],
    unwell: pl.DataFrame,
    judged: pl.DataFrame,
) -> dict[str, tuple[str, str]]:
    """Clusters with a gateway that is worse than they are: the gateway, and its state."""
    own = dict(judged.filter(entity_kind="cluster").select("entity", "state").iter_rows())
    raised: dict[str, tuple[str, str]] = {}
    gateways = unwell.filter(entity_kind="gateway").sort("entity")
    for gateway, cluster, state in gateways.select("entity", "cluster", "state").iter_rows():
        worst = raised.get(cluster, ("", own.get(cluster, "failing")))[1]
        if _WORSE[state] > _WORSE[worst]:
            raised[cluster] = (gateway, state)
            cause[("cluster", cluster)] = f"gateway {gateway}"
            states[("cluster", cluster)] = state
    return raised


def _raise(judged: pl.DataFrame, raised: dict[str, tuple[str, str]]) -> pl.DataFrame:
    if not raised:
        return judged
    worse = pl.DataFrame(
        [("cluster", cluster, *of) for cluster, of in raised.items()],
        {"entity_kind": pl.String, "entity": pl.String, "gateway": pl.String, "worse": pl.String},
        orient="row",
    )
    told = judged.join(worse, on=ENTITY, how="left")
    reason = pl.format("gateway {} is {}", "gateway", "worse")
    is_raised = pl.col("worse").is_not_null()
    scores = dict(judged.filter(entity_kind="gateway").select("entity", "score").iter_rows())
    return told.with_columns(
        state=pl.coalesce("worse", "state"),
        reasons=pl.when(is_raised)
        .then(pl.concat_list(pl.col("reasons"), reason))
        .otherwise("reasons"),
        score=pl.min_horizontal(
            "score", pl.col("gateway").replace_strict(scores, default=None, return_dtype=pl.Float64)
        ),
    ).drop("gateway", "worse")


def _whole(
    cause: dict[tuple[str, str], str], states: dict[tuple[str, str], str], edges: pl.DataFrame
) -> None:
    """What consists of edges suffers from what all of those that are not well do."""
    keys = pl.DataFrame([*states], ["entity_kind", "entity"], orient="row")
    unwell = set(keys.filter(entity_kind="edge")["entity"])
    asked = keys.filter(pl.col("entity_kind").is_in(["workload", "cluster", "cloud_link"]))
    ends = entities(edges.select(EDGE_KEY)).join(asked, on=ENTITY, how="semi")
    parts: dict[tuple[str, str], set[str | None]] = {}
    for kind, entity, client, server in (
        ends.select(*ENTITY, "client_entity", "server_entity").unique().iter_rows()
    ):
        edge = f"{client or 'unknown'} -> {server}"
        if edge in unwell:
            parts.setdefault((kind, entity), set()).add(_root(("edge", edge), cause))
    for key, causes in parts.items():
        one = causes.pop() if len(causes) == 1 else None
        if key not in cause and one is not None and one != " ".join(key):
            cause[key] = one


def _root(key: tuple[str, str], cause: dict[tuple[str, str], str]) -> str | None:
    """The last of the causes of an entity; none where they go round."""
    seen = {key}
    found: str | None = None
    while (next_one := cause.get(key)) is not None:
        found = next_one
        kind, _, entity = next_one.partition(" ")
        key = (kind, entity)
        if key in seen or len(seen) > _DEPTH:
            return None
        seen.add(key)
    return found
