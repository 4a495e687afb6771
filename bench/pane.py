"""
Every board of the dashboards over a day, as the page asks it, beside the same questions of rows.

    python -m bench.pane [--flows N] [--requests N] [--lake DIR]

Each query of a panel is expanded as Grafana does and asked through the server's engine, with
the time range of a day and of its last hour. Some questions are asked of rows as well, and
of ClickHouse over the same Parquet files where `chdb` can be imported.
"""

import argparse
import importlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.measure import measure
from bench.pane_world import DAY, fill
from dashboards.expand import interval_ms
from pipeline.config import ServeConfig
from pipeline.lake import Lake, connect
from pipeline.schema.literals import literal
from pipeline.serve.boards import AskedOptions, AskedPanel, Boards
from pipeline.serve.engine import Engine, Session
from pipeline.topology import diff, graph, graphs

_FLOWS: Final = 1_000_000
_REQUESTS: Final = 200_000
_ROUNDS: Final = 3
_POINTS: Final = 800
_END: Final = DAY + timedelta(days=1)
_SPANS: Final = {"a day": timedelta(days=1), "an hour": timedelta(hours=1)}

_BY: Final = "INTERVAL 10 MINUTE"
_NAMED: Final = """LEFT JOIN {endpoints} src ON src.endpoint_id = f.src_endpoint_id
    LEFT JOIN {endpoints} dst ON dst.endpoint_id = f.dst_endpoint_id"""
_PAIR: Final = "src.workload, src.cluster, dst.workload, dst.cluster"
_ON_ROWS: Final = {
    "calls and errors, by 10 minutes": (
        f"""SELECT time_bucket({_BY}, bucket_start) AS t, sum(requests), sum(errors)
            FROM edges_between({{span}}) GROUP BY t""",
        f"""SELECT time_bucket({_BY}, start_time) AS t, count(*), count(*) FILTER (status >= 500)
            FROM requests WHERE reporter = 'source' GROUP BY t""",
        f"""SELECT toStartOfInterval(start_time, {_BY}) AS t, count(*), countIf(status >= 500)
            FROM {{requests}} WHERE reporter = 'source' GROUP BY t""",
    ),
    "octets between clusters, by 10 minutes": (
        f"""SELECT time_bucket({_BY}, bucket_start) AS t, src_cluster, dst_cluster, sum(bytes)
            FROM legs_between({{span}}) GROUP BY ALL""",
        f"""SELECT time_bucket({_BY}, start_time) AS t, src.cluster, dst.cluster, sum(bytes)
            FROM flows f {_NAMED.format(endpoints="endpoints")} GROUP BY ALL""",
        f"""SELECT toStartOfInterval(start_time, {_BY}) AS t, src.cluster, dst.cluster, sum(bytes)
            FROM {{flows}} f {_NAMED} GROUP BY t, src.cluster, dst.cluster""",
    ),
    "the 20 pairs with most octets": (
        """SELECT src_entity, dst_entity, sum(bytes) AS b FROM legs_between({span})
            GROUP BY ALL ORDER BY b DESC LIMIT 20""",
        f"""SELECT {_PAIR}, sum(bytes) AS b FROM flows f {_NAMED.format(endpoints="endpoints")}
            GROUP BY ALL ORDER BY b DESC LIMIT 20""",
        f"""SELECT {_PAIR}, sum(bytes) AS b FROM {{flows}} f {_NAMED}
            GROUP BY {_PAIR} ORDER BY b DESC LIMIT 20""",
    ),
}
"""Question to SQL of rollups, of rows, and of ClickHouse; rows count twice what two exporters saw."""


def main(flows: int = _FLOWS, requests: int = _REQUESTS, folder: Path | None = None) -> None:
    """Print what each board takes, and some questions of rows."""
    with tempfile.TemporaryDirectory() as name:
        root = folder or Path(name) / "lake"
        if not (root / "catalog.sqlite").exists():
            with Lake(root) as lake:
                made = measure(lambda: fill(lake, flows, requests))
                lake.maintain(keep_snapshots_s=0)
            print(
                f"pane: a day of {flows:,} flows and {requests:,} requests, made in {made.wall_s:,.0f} s"
            )
        _sizes(root)
        engine = Engine(root, ServeConfig())
        try:
            session = engine.open("crosspane")
            for span, length in _SPANS.items():
                _ask_boards(session, span, length)
            _ask_rows(session, root)
        finally:
            engine.close()
        _ask_changes(root)


def _ask_changes(root: Path) -> None:
    """What changed at 14:05, as `crosspane topology --since` asks."""
    reader, at, window = connect(root), DAY + timedelta(hours=14, minutes=5), timedelta(minutes=15)
    for level in ("cluster", "workload"):
        spans = ((at - window, at), (at, at + window))

        def ask(level: str = level, spans: tuple[tuple[datetime, datetime], ...] = spans) -> object:
            return diff(*graphs(reader, level, spans))

        print(f"  what changed at 14:05, by {level:<21}{_median(ask) * 1e3:>12,.0f} ms")
    whole = _median(lambda: graph(reader, "cluster", DAY, _END))
    print(f"  the graph of the day, by cluster{'':<15}{whole * 1e3:>12,.0f} ms")
    reader.close()


def _sizes(root: Path) -> None:
    """Rows of the tables that are asked."""
    reader = connect(root)
    for name in (
        "flows",
        "requests",
        *(f"{of}_{n}" for of in ("edges", "legs") for n in ("1m", "10m", "1h", "1d")),
    ):
        (rows,) = reader.execute(f"SELECT count(*) FROM {name}").fetchall()[0]
        print(f"  {name:<12}{rows:>14,} rows")
    reader.close()


def _ask_boards(session: Session, name: str, length: timedelta) -> None:
    """Seconds of each query of each board, over a span that ends with the day."""
    boards = Boards()
    print(f"  boards, {name}: ms of a query{'':<16}p50{'':>8}p95{'':>8}worst")
    for listed in boards.listed():
        board = boards.dashboard(listed["uid"])
        span = {"from": _ms(_END - length), "to": _ms(_END), "dashboard": listed["uid"]}
        variables = {}
        for variable in board["templating"]["list"]:
            single = variable["type"] == "query" and not variable.get("includeAll")
            if single:
                asked = _asked(AskedOptions, **span, variable=variable["name"], variables=variables)
                options = boards.options(asked, session)
                variables[variable["name"]] = [options[0]["value"]] if options else []
        took: dict[str, float] = {}
        step = interval_ms(_END - length, _END, _POINTS)
        for panel, target in _queries(board["panels"]):
            query = f"{panel['title']} {target['refId']}"
            panel["targets"] = [target]
            asked = _asked(
                AskedPanel, **span, panel=panel["id"], interval_ms=step, variables=variables
            )
            for one in boards.panel(asked, session).values():
                if "error" in one:
                    print(f"    {listed['uid']} {query}: {one['error']}")
            took[query] = statistics.median(
                _wall(lambda asked=asked: boards.panel(asked, session)) for _ in range(_ROUNDS)
            )
        worst = max(took, key=lambda title: took[title])
        cuts = statistics.quantiles(took.values(), n=20, method="inclusive")
        print(
            f"    {listed['uid']:<36}{cuts[9] * 1e3:>10,.0f}{cuts[18] * 1e3:>11,.0f}"
            f"{took[worst] * 1e3:>11,.0f}  {worst}"
        )


def _asked(kind: Any, **values: Any) -> Any:
    """What the page would send."""
    return msgspec.convert(values, kind)


def _queries(panels: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Panels, each with one of its queries: Grafana asks them side by side."""
    for panel in panels:
        for target in panel.get("targets", []):
            yield panel, target
        yield from _queries(panel.get("panels", []))


def _ask_rows(session: Session, root: Path) -> None:
    """The same question of rollups, of rows, and of ClickHouse."""
    span = f"{literal(DAY)}, {literal(_END)}"
    clickhouse = _clickhouse(root)
    print(f"  a day, ms{'':<34}{'rollups':>12}{'rows':>12}{'ClickHouse, same files':>26}")
    for name, (of_rollups, of_rows, theirs) in _ON_ROWS.items():
        ours = [
            _median(lambda sql=sql: session.query(sql).read_all())
            for sql in (of_rollups.format(span=span), of_rows)
        ]
        other = f"{_median(lambda sql=theirs: clickhouse(sql)) * 1e3:>26,.0f}" if clickhouse else ""
        print(f"    {name:<39}{ours[0] * 1e3:>12,.0f}{ours[1] * 1e3:>12,.0f}{other}")
    if not clickhouse:
        print("  no chdb here: in an environment that has it, ClickHouse is asked, too")


def _clickhouse(root: Path) -> Callable[[str], object] | None:
    """Ask ClickHouse, with names of tables as files; None if it is not there."""
    try:
        client = importlib.import_module("chdb.session").Session()
    except ImportError:
        return None
    files = {
        name: f"file('{root / 'data' / 'crosspane' / name}/**.parquet', Parquet)"
        for name in ("flows", "requests", "endpoints")
    }
    client.query("SET max_threads = 2")
    return lambda sql: client.query(sql.format(**files), "CSV")


def _median(work: Callable[[], object]) -> float:
    work()
    return statistics.median(_wall(work) for _ in range(_ROUNDS))


def _wall(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _ms(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp() * 1000)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--flows", type=int, default=_FLOWS, help="rows of flows in the day")
    parser.add_argument(
        "--requests", type=int, default=_REQUESTS, help="rows of requests in the day"
    )
    parser.add_argument("--lake", type=Path, help="folder to make the lake in, or to find it in")
    given = parser.parse_args()
    main(given.flows, given.requests, given.lake)
