"""Which addresses of a proxy's line are the client's and the server's."""

from datetime import UTC, datetime

import polars as pl
import pytest

from pipeline import schema
from pipeline.enrich import ENRICHERS, Identities, enrich_requests
from pipeline.inventory import file as inventory

CLIENT, SERVER, GATEWAY, SERVICE, ELSEWHERE = (0xFFFF_0A00_0000 + last for last in range(1, 6))
LOOPBACK = 0xFFFF_7F00_0001
ADDRESSES = ("downstream_remote", "downstream_local", "upstream_local", "upstream_remote")


@pytest.fixture(scope="module")
def ends():
    """Names of source and destination of one line, given the low halves of its addresses."""
    names = ("client", "server", "gateway", "service", "elsewhere")
    rows = "".join(
        f'[[endpoints]]\nnetwork = "net"\nip = "10.0.0.{number}"\nkind = "pod"\nworkload = "{name}"\n'
        for number, name in enumerate(names, 1)
    )
    known = inventory.build(_tables(rows))
    identities = Identities.of(known)
    workload = dict(known.endpoints.select("endpoint_id", "workload").iter_rows())

    def _ends(reporter, *lows: int | None, proxy_model=None):
        halves = {}
        for name, low in zip(ADDRESSES, lows, strict=True):
            halves[f"{name}_ip_hi"] = pl.Series([None if low is None else 0], dtype=pl.UInt64)
            halves[f"{name}_ip_lo"] = pl.Series([low], dtype=pl.UInt64)
        rows = pl.DataFrame(
            {
                "network_code": pl.Series([0], dtype=pl.Int32),
                "reporter": pl.Series([reporter], dtype=schema.REPORTER),
                "proxy_model": pl.Series([proxy_model], dtype=schema.PROXY_MODEL),
                "start_time": pl.Series([datetime(2026, 1, 1, tzinfo=UTC)], dtype=schema.TIME),
                **halves,
            }
        )
        row = enrich_requests(rows, identities).row(0, named=True)
        return workload.get(row["src_endpoint_id"]), workload.get(row["dst_endpoint_id"])

    return _ends


def _tables(rows):
    ips = [line.split('"')[1] for line in rows.splitlines() if line.startswith("ip")]
    names = [line.split('"')[1] for line in rows.splitlines() if line.startswith("workload")]
    missing = ["cluster", "namespace", "service", "pod", "node", "zone", "identity"]
    return {
        "networks": pl.DataFrame({"name": ["net"], "model": ["flat"]}),
        "endpoints": pl.DataFrame({"ip": ips, "workload": names}).with_columns(
            pl.lit("net").alias("network"),
            pl.lit("pod").alias("kind"),
            *(pl.lit(None, pl.String).alias(name) for name in missing),
            *(pl.lit(None, schema.TIME).alias(name) for name in ("valid_from", "valid_to")),
        ),
    }


# Addresses in the order downstream_remote, downstream_local, upstream_local, upstream_remote.
CASES = [
    ("source", (ELSEWHERE, SERVICE, CLIENT, SERVER), ("client", "server")),
    ("source", (CLIENT, SERVICE, LOOPBACK, SERVER), ("client", "server")),
    ("source", (CLIENT, SERVICE, None, SERVER), ("client", "server")),
    ("source", (LOOPBACK, SERVICE, None, SERVER), (None, "server")),
    ("source", (CLIENT, SERVICE, None, None), ("client", None)),
    ("source", (LOOPBACK, LOOPBACK, CLIENT, GATEWAY), ("client", "gateway")),
    ("destination", (GATEWAY, SERVER, LOOPBACK, LOOPBACK), ("gateway", "server")),
    ("destination", (CLIENT, SERVER, ELSEWHERE, ELSEWHERE), ("client", "server")),
    ("destination", (None, SERVER, None, None), (None, "server")),
    ("gateway", (CLIENT, GATEWAY, GATEWAY, SERVER), ("client", "server")),
    ("gateway", (CLIENT, GATEWAY, GATEWAY, None), ("client", None)),
    ("unknown", (CLIENT, SERVICE, ELSEWHERE, SERVER), ("client", "server")),
    ("unknown", (CLIENT, SERVER, ELSEWHERE, None), ("client", "server")),
    (None, (CLIENT, SERVER, ELSEWHERE, None), ("client", "server")),
    ("unknown", (None, None, None, None), (None, None)),
]


@pytest.mark.parametrize(("reporter", "addresses", "expected"), CASES)
def test_who_tells_decides_which_addresses_count(ends, reporter, addresses, expected):
    """The table in the docstring of `enrich_requests`, row by row."""
    assert ends(reporter, *addresses) == expected


def test_a_hosts_proxy_is_called_from_its_pods(ends):
    """Its connections out have the node's address; towards its pods nothing is different."""
    lows = CLIENT, SERVICE, ELSEWHERE, SERVER
    assert ends("source", *lows, proxy_model="host") == ("client", "server")
    assert ends("source", *lows, proxy_model="sidecar") == ("elsewhere", "server")
    assert ends("destination", CLIENT, SERVER, GATEWAY, SERVER, proxy_model="host") == (
        "client",
        "server",
    )


@pytest.mark.parametrize(
    ("low", "expected"),
    [
        (0xFFFF_7EFF_FFFF, None),  # 126.255.255.255: somebody else, so it counts
        (0xFFFF_7F00_0000, "client"),
        (0xFFFF_7FFF_FFFF, "client"),
        (0xFFFF_8000_0000, None),  # 128.0.0.0
        (1, "client"),  # ::1
        (2, None),
    ],
)
def test_loopback_is_all_of_127_and_one_v6_address(ends, low, expected):
    """A client proxy's own end of the connection out counts unless it is loopback."""
    assert ends("source", CLIENT, SERVICE, low, SERVER) == (expected, "server")


def test_requests_get_the_columns_of_the_schema():
    """By name and type, from the table of enrichers, without an inventory and without rows."""
    empty = pl.DataFrame(schema=schema.REQUESTS.schema | {"network_code": pl.Int32()})
    sides = [name for name in schema.REQUESTS.schema if name.startswith(("src_", "dst_"))]
    found = ENRICHERS["requests"](empty.drop(sides), Identities.of(inventory.empty()))
    assert len(sides) == 10
    assert {name: found.schema[name] for name in sides} == {
        name: schema.REQUESTS.schema[name] for name in sides
    }
