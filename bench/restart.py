"""
A job that starts: what a lake knows of 20 clusters, back in memory and ready to look up.

100,000 pods that live, nine lives of each address before them: a million rows.
"""

import json
import resource
import tempfile
import time
from pathlib import Path

import polars as pl
import xxhash

from pipeline import schema
from pipeline.inventory import file
from pipeline.inventory.registry import REPLACED, Registry
from pipeline.known import Known
from pipeline.lake import Commit, Lake, sync_inventory

_CLUSTERS = 20
_PODS = 5_000
_LIVES = 10
_NOW_US = 1_795_700_000 * 1_000_000
_LIFE_US = 86_400 * 1_000_000


def _changes() -> pl.DataFrame:
    rows = []
    for cluster in range(_CLUSTERS):
        for number in range(_PODS):
            ip = f"10.{cluster}.{number >> 8}.{number & 255}"
            told = {
                "metadata": {
                    "name": f"web-7d9-{number}",
                    "namespace": f"team-{number % 40}",
                    "uid": f"{cluster}-{number}",
                    "labels": {"app": "web", "pod-template-hash": "7d9"},
                },
                "spec": {"nodeName": f"node-{number % 100}", "serviceAccountName": "web"},
                "status": {"phase": "Running", "podIPs": [{"ip": ip}]},
            }
            rows.append(
                (
                    *(0, 0, _NOW_US * 1_000, "kubernetes", f"cluster-{cluster}", f"net-{cluster}"),
                    *("put", "", "pods", f"{cluster}-{number}", number + 1, 0, 0),
                    json.dumps(told).encode(),
                )
            )
    return pl.DataFrame(rows, schema.CHANGES, orient="row")


def _before(live: pl.DataFrame) -> pl.DataFrame:
    """The lives that the addresses had before."""
    parts = []
    for life in range(1, _LIVES):
        begin = _NOW_US - life * _LIFE_US
        names = [f"{one} {life}".encode() for one in live["endpoint_id"]]
        ids = [xxhash.xxh3_64_intdigest(name) for name in names]
        begins, ends = pl.lit(begin).cast(schema.TIME), pl.lit(begin + _LIFE_US).cast(schema.TIME)
        parts.append(
            live.with_columns(
                pl.Series("endpoint_id", ids, pl.UInt64),
                pod=pl.format("{}-{}", "pod", pl.lit(life)),
                object_id=pl.lit(None, pl.UInt64),
                valid_from=begins,
                seen_from=begins,
                valid_to=ends,
                seen_to=ends,
            )
        )
    return pl.concat(parts)


def main() -> None:
    """Print how long a warm start takes, and what it needs."""
    told = Registry(file.empty())
    started = time.perf_counter()
    told.take(_changes())
    told.flush()
    each_us = (time.perf_counter() - started) * 1e6 / (_CLUSTERS * _PODS)
    frames = told.pending()
    live = frames["endpoints"]
    frames["endpoints"] = pl.concat([live, _before(live)])
    with tempfile.TemporaryDirectory() as folder:
        with Lake(Path(folder)) as lake:
            lake.commit(Commit(frames, replaced={name: REPLACED[name] for name in frames}))
        started, used = time.perf_counter(), time.process_time()
        with Lake(Path(folder)) as lake:
            known = Known(file.empty(), lake)
            sync_inventory(lake, known.tables)
            took, cpu = time.perf_counter() - started, time.process_time() - used
    rows = known.inventory.endpoints.height
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(
        f"changes of pods to rows: {each_us:.0f} us each\n"
        f"warm start, {rows:,} endpoints, {_CLUSTERS * _PODS:,} objects:"
        f" {took:.1f} s, {cpu:.1f} CPU-s; {peak_mb:,.0f} MB at most, with making them"
    )


if __name__ == "__main__":
    main()
