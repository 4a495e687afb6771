"""
The single pane, as text: what a person looks at first, from the views alone.

Before: views/. After: cli/.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import duckdb
from rich.console import Console
from rich.markup import escape
from rich.table import Table

_STATE_STYLE: Final = {
    "healthy": "green",
    "degraded": "yellow",
    "failing": "red",
    "unknown": "dim",
}

CLUSTERS: Final = """
    SELECT c.provider, c.region, c.cluster, c.network, n.model, c.mesh,
        coalesce(t.workloads, 0) AS workloads, coalesce(t.requests_in, 0) AS requests_in,
        coalesce(t.requests_out, 0) AS requests_out, coalesce(f.flows, 0) AS flows,
        coalesce(f.bytes, 0) AS flow_bytes
    FROM clusters c LEFT JOIN networks n USING (network)
    LEFT JOIN (SELECT cluster, count(*) FILTER (kind IN ('pod', 'vm')) AS workloads,
            sum(requests_in)::BIGINT AS requests_in, sum(requests_out)::BIGINT AS requests_out
        FROM v_topology_nodes GROUP BY cluster) t USING (cluster)
    LEFT JOIN (SELECT observer_cluster AS cluster, count(*) AS flows, sum(bytes)::BIGINT AS bytes
        FROM v_flows GROUP BY ALL) f USING (cluster)
    ORDER BY provider, region, cluster"""

EDGES: Final = """
    SELECT coalesce(e.source, 'unknown') AS client, e.target AS server, e.path_model AS path, e.gateway,
        e.requests, e.errors, e.client_errors, e.denied, e.p50_ms, e.p95_ms,
        e.bytes_received + e.bytes_sent AS bytes, e.tls_requests / e.requests AS tls_share,
        h.state, h.reasons
    FROM v_topology_edges e
    LEFT JOIN v_health h ON h.entity_kind = 'edge'
        AND h.entity = coalesce(e.source, 'unknown') || ' -> ' || e.target
    WHERE e.kind = 'call' ORDER BY e.requests DESC, client, server"""

_EDGES_SHOWN: Final = f"""
    SELECT client, server, CASE WHEN gateway IS NULL THEN path ELSE 'via ' || gateway END AS path,
        requests, errors, denied, p50_ms AS p50, p95_ms AS p95, bytes, tls_share AS tls, state
    FROM ({EDGES})"""

LEGS: Final = """
    SELECT source, target, flows, bytes, packets, exporters FROM v_topology_edges
    WHERE kind = 'leg' ORDER BY bytes DESC, source, target"""

SHARED_ADDRESSES: Final = """
    SELECT ip, string_agg(network || ': ' || entity, ',  ' ORDER BY network) AS who
    FROM v_endpoints WHERE kind IN ('pod', 'vm')
    GROUP BY ip HAVING count(DISTINCT network) > 1 ORDER BY ip"""

BLAMED: Final = """
    SELECT blame, blamed_entity AS who, client_entity AS client, server_entity AS server,
        blame_reason AS evidence, count(*) AS calls
    FROM v_calls WHERE blame IS NOT NULL GROUP BY ALL ORDER BY calls DESC, client, server LIMIT 12"""

HEALTH: Final = """
    SELECT entity_kind, entity, state, reasons, caused_by, requests, error_share, denied, p50_ms, p95_ms, flags
    FROM v_health
    ORDER BY list_position(['failing', 'degraded', 'unknown', 'healthy'], state), entity_kind, entity"""

_COMPLETENESS_SHOWN: Final = """
    SELECT observer_cluster AS cluster, format, count(*) AS sources,
        sum(received_payloads)::BIGINT AS payloads, sum(rows)::BIGINT AS rows,
        sum(rejected_payloads + partial_payloads)::BIGINT AS not_decoded,
        sum(waiting_sets)::BIGINT AS waiting, sum(greatest(sequence_units_lost, 0))::BIGINT AS lost,
        sum(unknown_share * sides) / sum(sides) AS unknown_share,
        sum(ambiguous_share * sides) / sum(sides) AS ambiguous_share
    FROM v_completeness GROUP BY ALL ORDER BY ALL"""


def rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    """Rows of a query as dicts, durations and shares as they are."""
    result = connection.execute(query)
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def screen() -> Console:
    """Standard output; wide enough for a pane where nobody says how wide it is."""
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, 132))


def show(connection: duckdb.DuckDBPyConnection, console: Console) -> None:
    """Print the whole pane."""
    topology(connection, console, legs=8)
    shared = rows(connection, SHARED_ADDRESSES)
    table(console, "One address, more than one workload", shared)
    table(
        console, "Failed and denied calls: whose fault, and how we know", rows(connection, BLAMED)
    )
    health(connection, console, all_states=False)
    complete = rows(connection, _COMPLETENESS_SHOWN)
    table(console, "Completeness: what every number above rests on", complete)


def topology(connection: duckdb.DuckDBPyConnection, console: Console, *, legs: int) -> None:
    """Print clusters, calls, and the largest legs."""
    table(console, "Clouds and clusters", rows(connection, CLUSTERS))
    calls = rows(connection, _EDGES_SHOWN)
    table(console, "Service edges: a row a call path, whichever hops it took (ms, octets)", calls)
    largest = rows(connection, f"{LEGS} LIMIT {legs}")
    table(console, f"Legs on the wire, the {legs} largest", largest)


def health(
    connection: duckdb.DuckDBPyConnection, console: Console, *, all_states: bool
) -> list[dict[str, Any]]:
    """Print who is not well and why; return all rows."""
    found = rows(connection, HEALTH)
    ill = [row for row in found if row["state"] != "healthy"]
    shown = [
        {
            key: row[key]
            for key in ("state", "entity_kind", "entity", "reasons", "caused_by", "requests")
            if all_states or key != "caused_by"
        }
        for row in (found if all_states else ill)
    ]
    table(console, f"Health: {len(found) - len(ill)} healthy, {len(ill)} not", shown)
    return found


def table(console: Console, title: str, found: Sequence[Mapping[str, Any]]) -> None:
    """Print rows, numbers to the right, columns that are empty everywhere left out."""
    if not found:
        console.print(f"[bold]{title}[/bold]: none\n")
        return
    names = [name for name in found[0] if any(row[name] not in (None, []) for row in found)]
    console.print(f"[bold]{title}[/bold]")
    out = Table(box=None, pad_edge=False, header_style="dim")
    for name in names:
        number = isinstance(next(row[name] for row in found if row[name] is not None), (int, float))
        out.add_column(_heading(name), justify="right" if number else "left", overflow="fold")
    for row in found:
        cells = [escape(_cell(name, row[name])) for name in names]
        out.add_row(*cells, style=_STATE_STYLE.get(str(row.get("state")), ""))
    console.print(out)
    console.print()


def _heading(name: str) -> str:
    return name.replace("_share", "").replace("_", " ")


def _cell(name: str, value: Any) -> str:  # noqa: PLR0911 - one a kind of value
    if value is None:
        return ""
    if name.endswith("_share") or name == "tls":
        return f"{value:.1%}"
    if name.endswith("bytes"):
        return _bytes(value)
    if isinstance(value, float):
        return f"{value:,.1f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return str(value)


def _bytes(count: float) -> str:
    """
    Octets with a decimal prefix.

    >>> _bytes(7070190)
    '7.07 MB'
    """
    size = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1_000 or unit == "TB":  # noqa: PLR2004 the step of decimal prefixes
            return f"{size:.0f} B" if unit == "B" else f"{size:.2f} {unit}"
        size /= 1_000
    raise AssertionError
