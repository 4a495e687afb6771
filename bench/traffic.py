"""IPFIX datagrams of 20-field records between named endpoints, and the endpoints."""

import struct
from pathlib import Path

import numpy as np
import polars as pl

from pipeline import schema
from pipeline.inventory import file as inventory

EXPORT_S = 1_764_000_000
PODS = 5_000
CLUSTERS = 20
RECORDS_A_DATAGRAM = 20

_FIELDS = (
    (8, ">u4"),
    (12, ">u4"),
    (7, ">u2"),
    (11, ">u2"),
    (4, "u1"),
    (6, "u1"),
    (5, "u1"),
    (1, ">u8"),
    (2, ">u8"),
    (152, ">u8"),
    (153, ">u8"),
    (10, ">u4"),
    (14, ">u4"),
    (16, ">u4"),
    (17, ">u4"),
    (9, "u1"),
    (13, "u1"),
    (136, "u1"),
    (61, "u1"),
    (58, ">u2"),
)
_RECORD = np.dtype([(str(number), kind) for number, kind in _FIELDS])
_TEMPLATE_ID = 256


def network_of(cluster: int) -> str:
    """Each cluster has its own network, with the same addresses as every other."""
    return f"net-{cluster}"


def datagrams(count: int, exporters: int = 1, seed: int = 1) -> list[list[bytes]]:
    """
    IPFIX messages of each exporter: the template in every 20th, 20 records in each.

    Returns
    -------
    list
        ``exporters`` lists of ``count / exporters`` datagrams of 1,300 to 1,400 bytes.
    """
    random = np.random.default_rng(seed)
    each = count // exporters
    return [
        _messages(_records(random, each * RECORDS_A_DATAGRAM), exporter=exporter)
        for exporter in range(exporters)
    ]


def flow_messages(
    source: np.ndarray,
    target: np.ndarray,
    source_port: np.ndarray,
    start_ms: np.ndarray,
    *,
    first_sequence: int,
) -> list[bytes]:
    """IPFIX messages of one exporter about connections to port 9080 that began then."""
    records = _records(np.random.default_rng(first_sequence), len(source))
    records["8"], records["12"], records["7"], records["11"] = source, target, source_port, 9080
    records["152"], records["153"] = start_ms, start_ms + 20
    return _messages(records, first_sequence)


def _messages(records: np.ndarray, sequence: int = 0, exporter: int = 0) -> list[bytes]:
    messages = []
    for first in range(0, len(records), RECORDS_A_DATAGRAM):
        data = records[first : first + RECORDS_A_DATAGRAM].tobytes()
        sets = _template() if len(messages) % 20 == 0 else b""
        sets += struct.pack("!HH", _TEMPLATE_ID, 4 + len(data)) + data
        header = struct.pack("!HHIII", 10, 16 + len(sets), EXPORT_S, sequence, exporter)
        messages.append(header + sets)
        sequence += RECORDS_A_DATAGRAM
    return messages


def _template() -> bytes:
    fields = b"".join(
        struct.pack("!HH", number, np.dtype(kind).itemsize) for number, kind in _FIELDS
    )
    return struct.pack("!HHHH", 2, 8 + len(fields), _TEMPLATE_ID, len(_FIELDS)) + fields


def _records(random: np.random.Generator, count: int) -> np.ndarray:
    records = np.zeros(count, _RECORD)
    base = 10 << 24
    records["8"] = base + random.integers(0, PODS, count)
    records["12"] = base + random.integers(0, PODS, count)
    records["7"] = random.integers(32_768, 61_000, count)
    records["11"] = random.choice([80, 443, 8080, 15443], count)
    records["4"] = 6
    records["6"] = 0x1B
    records["1"] = random.integers(100, 1_000_000, count)
    records["2"] = random.integers(1, 1_000, count)
    start = EXPORT_S * 1_000 - random.integers(1_000, 60_000, count)
    records["152"] = start
    records["153"] = start + random.integers(0, 1_000, count)
    records["10"], records["14"] = 1, 2
    records["136"] = 3
    return records


def make_inventory(folder: Path, generations: int = 1) -> inventory.Inventory:
    """20 clusters with overlapping addresses, 5,000 pods each, ``generations`` lives a pod."""
    names = [network_of(cluster) for cluster in range(CLUSTERS)]
    life_s = 86_400 * 30
    begin_s = EXPORT_S - life_s * (generations - 1) - life_s // 2
    count = CLUSTERS * PODS * generations
    cluster = pl.Series("c", np.repeat(np.arange(CLUSTERS), PODS * generations)).cast(pl.String)
    pod = np.tile(np.repeat(np.arange(PODS), generations), CLUSTERS)
    generation = np.tile(np.arange(generations), CLUSTERS * PODS)
    start_us = (begin_s + generation * life_s) * 1_000_000
    tables = {
        "networks": pl.DataFrame({"name": names, "model": ["gateway"] * CLUSTERS}),
        "clusters": pl.DataFrame(
            {
                "name": [f"cluster-{n}" for n in range(CLUSTERS)],
                "network": names,
                "provider": ["aws"] * CLUSTERS,
            }
        ),
        "prefixes": pl.DataFrame(
            {"network": names, "cidr": ["10.0.0.0/16"] * CLUSTERS, "kind": ["pod"] * CLUSTERS}
        ),
        "endpoints": pl.DataFrame(
            {
                "network": "net-" + cluster,
                "ip": [f"10.0.{n >> 8}.{n & 255}" for n in pod],
                "kind": ["pod"] * count,
                "cluster": "cluster-" + cluster,
                "namespace": ["shop"] * count,
                "workload": "workload-" + pl.Series(np.arange(count)).cast(pl.String),
                "valid_from": pl.Series(start_us).cast(schema.TIME),
                "valid_to": pl.Series(start_us + life_s * 1_000_000).cast(schema.TIME),
            }
        ),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        frame.write_parquet(folder / f"{name}.parquet")
    return inventory.load(folder)
