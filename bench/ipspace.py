"""
The audit of the address space: 20,000 ranges of 20 clusters, a million lives of addresses.

Beside it, the join it avoids: each range with each of its network.
"""

from datetime import UTC, datetime, timedelta
from functools import partial

import duckdb
import numpy as np
import polars as pl

from bench.measure import alternate, measure, report
from pipeline import schema, views
from pipeline.views import exhaustion, ipspace
from pipeline.views.ranges import CONTEND, declared, last, pairs

_CLUSTERS, _NODES, _SUBNETS = 20, 250, 748
_PODS, _GENERATIONS = 5_000, 10
_TEN = 0xFFFF << 32 | 10 << 24
_HELD = f"WITH held AS ({declared('now()')}) SELECT count(*) FROM"
_NAIVE = f"""{_HELD} held o JOIN held i ON o.network = i.network AND o.first <= i.first
    AND {last("i.first", "i.length")} <= {last("o.first", "o.length")}
    AND o.prefix_id <> i.prefix_id AND {CONTEND}"""
_HASHED = f"{_HELD} ({pairs('held', f'o.network = i.network AND {CONTEND}')})"


def _base(cluster: int) -> int:
    """Ten clusters share a network, side by side; ten have their own, all alike."""
    return _TEN + (cluster << 18 if cluster < _CLUSTERS // 2 else 0)


def _network(cluster: int) -> str:
    return "flat" if cluster < _CLUSTERS // 2 else f"net-{cluster}"


def prefixes() -> pl.DataFrame:
    """A VPC, its subnets, pods, and their nodes' shares; one range is another's too."""
    rows: list[tuple[str, int, int, str, str | None, str | None, str | None]] = []
    for number in range(_CLUSTERS):
        here, base, cluster, vpc = _network(number), _base(number), f"c{number}", f"v{number}"
        rows.append((here, base, 110, "vpc", None, vpc, None))
        rows.append((here, base, 112, "pod", cluster, vpc, None))
        rows += [(here, base + (n << 8), 120, "pod", cluster, None, None) for n in range(_NODES)]
        rows += [
            (here, base + (n << 8), 120, "subnet", None, vpc, f"{vpc}-{n}")
            for n in range(256, 256 + _SUBNETS)
        ]
    rows.append(("flat", _base(5) + (20 << 8), 118, "pod", "c3", None, None))
    names = ("network", "prefix_ip_lo", "prefix_length", "kind", "cluster", "vpc", "subnet")
    frame = pl.DataFrame(rows, names, orient="row", infer_schema_length=None)
    return frame.with_row_index("prefix_id").with_columns(prefix_ip_hi=0)


def endpoints() -> pl.DataFrame:
    """Each pod's address in ten hands, one after the other, three days each."""
    cluster, pod, generation = (
        axis.ravel() for axis in np.indices((_CLUSTERS, _PODS, _GENERATIONS))
    )
    start = datetime.now(UTC) - timedelta(days=3 * _GENERATIONS)
    begin = pl.lit(start) + pl.duration(
        days=3 * pl.lit(pl.Series(generation)), milliseconds=pl.lit(pl.Series(pod))
    )
    bases = np.array([_base(number) for number in range(_CLUSTERS)])
    networks = pl.Series([_network(number) for number in range(_CLUSTERS)])
    return pl.select(
        endpoint_id=pl.int_range(len(pod)),
        network=networks.gather(pl.Series(cluster)),
        endpoint_ip_hi=0,
        endpoint_ip_lo=pl.Series(bases[cluster] + pod * 13),
        kind=pl.lit("pod"),
        pod=pl.format("pod-{}-{}", pl.Series(pod), pl.Series(generation)),
        valid_from=begin,
        valid_to=pl.when(pl.Series(generation) < _GENERATIONS - 1).then(
            begin + pl.duration(days=3) - pl.duration(milliseconds=1)
        ),
    )


def _ask(lake: duckdb.DuckDBPyConnection, query: str) -> None:
    lake.execute(query).fetchall()


def main() -> None:
    """Print what the audit costs."""
    lake = duckdb.connect(config={"threads": 1})
    lake.execute("SET TimeZone = 'UTC'")
    for table in schema.TABLES:
        lake.execute(schema.create(table))
    for macro in views.MACROS:
        lake.execute(macro)
    for view in views.VIEWS:
        lake.execute(schema.create_view(view))
    counts = {}
    for name, frame in (("prefixes", prefixes()), ("endpoints", endpoints())):
        counts[name] = frame.height
        lake.register("incoming", frame.to_arrow())
        lake.execute(f"INSERT INTO {name} BY NAME FROM incoming")
    lake.execute(f"CREATE TEMP TABLE forecast AS {exhaustion.forecast()}")

    report(
        f"address space: pairs of {counts['prefixes']:,} ranges that intersect and contend",
        alternate(
            {
                name: (counts["prefixes"], partial(_ask, lake, query))
                for name, query in {
                    "by their first bits": _HASHED,
                    "each with each": _NAIVE,
                }.items()
            },
            rounds=1,
        ),
    )
    for name, query in {
        "v_ipspace, the forecast given": ipspace.problems(forecast="forecast"),
        "v_flat_readiness": "FROM v_flat_readiness",
        f"v_ip_forecast, {counts['endpoints']:,} lives": "FROM v_ip_forecast",
    }.items():
        cost = measure(partial(_ask, lake, query))
        print(f"  {name:<42}{cost.wall_s:>10.2f} s{cost.cpu_s:>10.2f} CPU-s")
    print()
