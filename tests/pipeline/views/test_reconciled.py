"""
What several exporters counted of one conversation, by hand: agreement, loss, and no claim.

All conversations are in one lake; each is from 10.0.0.1 in cluster a to 10.0.1.1 in cluster b,
and has a source port of its own.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from small_lake import SmallLake, emptied

from pipeline import schema
from pipeline.inventory.numbers import is_public
from pipeline.views.reconciled import private_sql

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
A, B, A_TOO, B_SOCKETS, ROUTER, FAR = 1, 2, 3, 4, 5, 6
VANTAGES = [
    (A, "a", "lan", "n", "a-node", "ipfix", 0),
    (A_TOO, "a", "lan", "n", "a-switch", "ipfix", 0),
    (B, "b", "lan", "n", "b-node", "netflow9", 0),
    (B_SOCKETS, "b", "lan", "n", "b-sockets", "inet_diag", 0),
    (ROUTER, "a", "lan", "n", "a-router", "ipfix", 0),
    (FAR, "far", "net-far", "n", "far-node", "ipfix", 0),
]
INVENTORY = """
[[networks]]
name = "lan"
model = "flat"
[[networks]]
name = "net-far"
model = "gateway"
[[clusters]]
name = "a"
provider = "aws"
network = "lan"
[[clusters]]
name = "b"
provider = "gcp"
network = "lan"
[[clusters]]
name = "far"
provider = "azure"
network = "net-far"
[[endpoints]]
network = "lan"
ip = "10.0.0.1"
kind = "pod"
cluster = "a"
namespace = "shop"
workload = "frontend"
[[endpoints]]
network = "lan"
ip = "10.0.1.1"
kind = "pod"
cluster = "b"
namespace = "shop"
workload = "cart"
[[endpoints]]
network = "net-far"
ip = "10.0.1.1"
kind = "gateway"
cluster = "far"
workload = "eastwest"
[[gateways]]
network = "lan"
ip = "203.0.113.9"
port = 15443
cluster = "far"
to_network = "net-far"
name = "far-eastwest"
"""
FIRST_PORT = 40_000
SYN_FIN = 2 | 1


def seen(vantage: int, packets: int | None, octets: int | None, **other: Any) -> dict[str, Any]:
    """Columns of one record; ``begins`` and ``lasts`` are seconds, ``ends`` are addresses and ports."""
    begins, lasts = other.pop("begins", 60.0), other.pop("lasts", 1.0)
    start = NOON + timedelta(seconds=begins)
    row = {
        "vantage_id": vantage,
        "packets": packets,
        "bytes": octets,
        "start_time": start,
        "end_time": start + timedelta(seconds=lasts),
        "received_time": start + timedelta(seconds=lasts + 5),
        "src_ip": "10.0.0.1",
        "dst_ip": "10.0.1.1",
        "dst_port": 8080,
        "protocol": 6,
        "tcp_flags": SYN_FIN,
        "sampling_factor": 1.0,
    }
    return row | other


AGREED = ("agree", None, 0)
LOST_2_PERCENT = ("lost_between", None, pytest.approx(0.02))
NOBODY = ("unknown", "nobody else told of it", None)
TIMES = ("incomplete", "they tell of different times", None)
GOES_ON = ("incomplete", "it goes on before or after what an exporter told", None)
FEW = ("unknown", "too few packets for how few are sampled", None)
JOINED = (
    *("unknown", "fewer and larger packets, which a network card joined, or only short ones lost"),
    None,
)
CASES: dict[str, tuple[list[dict[str, Any]], list[tuple[str, str | None, Any]]]] = {
    "equal": ([seen(A, 100, 90_000), seen(B, 100, 90_000)], [AGREED]),
    "equal, in other parts, by clocks a second apart": (
        [
            seen(A, 60, 54_000, lasts=20, tcp_flags=2),
            seen(A, 40, 36_000, begins=80, lasts=10, tcp_flags=1),
            seen(B, 33, 30_000, begins=61, lasts=10, tcp_flags=2),
            seen(B, 33, 30_000, begins=71, lasts=10, tcp_flags=16),
            seen(B, 34, 30_000, begins=81, lasts=10, tcp_flags=1),
        ],
        [AGREED],
    ),
    "2 % lost": ([seen(A, 1_000, 900_000), seen(B, 980, 882_000)], [LOST_2_PERCENT]),
    "2 % of octets, of who counts no packets": (
        [seen(A, None, 900_000), seen(B, None, 882_000)],
        [LOST_2_PERCENT],
    ),
    # Frames of 14 octets more: as many packets, so nothing is missing.
    "octets with another header": ([seen(A, 100, 91_400), seen(B, 100, 90_000)], [AGREED]),
    # 3 sqrt(104 x 100 x 99) / 10,000 = 0.304 is what 1:100 can be off.
    "sampled 1:100": (
        [seen(A, 10_000, 9_000_000), seen(B, 104, 93_600, sampling_factor=100.0, tcp_flags=16)],
        [("sampled", None, pytest.approx(-0.04))],
    ),
    # 3 sqrt(60 x 100 x 99) / 10,000 = 0.231, and 0.4 are missing.
    "sampled 1:100, and 40 % lost": (
        [seen(A, 10_000, 9_000_000), seen(B, 60, 54_000, sampling_factor=100.0, tcp_flags=16)],
        [("lost_between", None, pytest.approx(0.4))],
    ),
    # One packet of ten was taken, by chance: it stands for a hundred.
    "sampled 1:100, ten packets": (
        [seen(A, 10, 9_000), seen(B, 1, 900, sampling_factor=100.0)],
        [FEW],
    ),
    "one side missing": ([seen(A, 100, 90_000)], [NOBODY]),
    "one counts nothing": (
        [seen(A, 100, 90_000), seen(B, None, None)],
        [("unknown", "one of them counts nothing", None)],
    ),
    "two exporters of one node": ([seen(A, 100, 90_000), seen(A_TOO, 100, 90_000)], [AGREED]),
    "one exporter, at both its interfaces": (
        [
            *(seen(A, 100, 90_000, direction=way) for way in (0, 1)),
            seen(B, 100, 90_000, direction=0),
        ],
        [AGREED],
    ),
    "three exporters: lost behind the second": (
        [seen(A, 100, 90_000), seen(A_TOO, 100, 90_000), seen(B, 98, 88_200)],
        [AGREED, LOST_2_PERCENT, LOST_2_PERCENT],
    ),
    "the last part was never told": (
        [seen(A, 100, 90_000, lasts=30), seen(B, 60, 54_000, lasts=20)],
        [TIMES],
    ),
    "the beginning was missed": (
        [seen(A, 100, 90_000), seen(B, 99, 89_948, begins=60.1, lasts=0.9, tcp_flags=1)],
        [TIMES],
    ),
    "nearer to the source was less": (
        [seen(A, 98, 88_200), seen(B, 100, 90_000)],
        [("incomplete", "who is nearer to the source saw less", None)],
    ),
    # 90 packets of 1,500 octets, of which the second had 30 of 4,420: 60 headers of 40 less.
    "joined by a network card": ([seen(A, 90, 135_000), seen(B, 30, 132_600)], [JOINED]),
    "going on when an exporter began": (
        [
            seen(A, 100, 90_000, begins=0, tcp_flags=1),
            seen(B, 90, 81_000, begins=1, lasts=0, tcp_flags=1),
        ],
        [GOES_ON],
    ),
    "going on at the newest that is told": (
        [
            seen(A, 100, 90_000, begins=499, lasts=1, tcp_flags=2),
            seen(B, 90, 81_000, begins=499, lasts=0.9, tcp_flags=2),
        ],
        [GOES_ON],
    ),
    "datagrams of an exporter lost": (
        [seen(A, 100, 90_000, begins=301), seen(B, 90, 81_000, begins=301)],
        [("incomplete", "datagrams of an exporter were lost", None)],
    ),
    "translated, as a record says": (
        [
            seen(ROUTER, 100, 90_000, post_nat_src_ip="198.51.100.1", post_nat_src_port=50_001),
            seen(B, 98, 88_200, src_ip="198.51.100.1", port=50_001),
        ],
        [LOST_2_PERCENT],
    ),
    "translated to a name that two had": (
        [
            seen(ROUTER, 100, 90_000, post_nat_src_ip="198.51.100.1", post_nat_src_port=50_002),
            seen(B, 98, 88_200, src_ip="198.51.100.1", port=50_002),
        ],
        [NOBODY],
    ),
    "the same addresses in another network": (
        [seen(A, 100, 90_000), seen(FAR, 98, 88_200)],
        [NOBODY, NOBODY],
    ),
    "octets without headers beside octets with them": (
        [seen(A, 100, 90_000), seen(B_SOCKETS, 100, 84_800)],
        [NOBODY, NOBODY],
    ),
    "through a gateway, as proxies tell": (
        [
            seen(A, 100, 90_000, dst_ip="203.0.113.9", dst_port=15443),
            seen(FAR, 98, 88_200, src_ip="198.51.100.1", port=50_003, dst_port=15443),
        ],
        [LOST_2_PERCENT],
    ),
    "through a gateway, sent again": (
        [
            seen(A, 100, 90_000, dst_ip="203.0.113.9", dst_port=15443),
            seen(FAR, 98, 88_200, src_ip="198.51.100.1", port=50_004, dst_port=15443),
        ],
        [NOBODY],
    ),
}
PORTS = {name: FIRST_PORT + nth for nth, name in enumerate(CASES)}
THROUGH = PORTS["through a gateway, as proxies tell"]
AGAIN = PORTS["through a gateway, sent again"]
EDGES = [(1, 1, THROUGH, 50_003), (2, 3, AGAIN, 50_004)]
"""Conversations through the gateway: id, attempts, port before and behind the translation."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> SmallLake:
    """All cases; what began an hour earlier and later, so that exporters were there all the time."""
    made = emptied()
    made.inventory(tmp_path_factory.mktemp("reconciled"), INVENTORY)
    names = schema.VANTAGES.schema.names()
    made.add("vantages", *(dict(zip(names, row, strict=True)) for row in VANTAGES))
    ids = {
        (network, ip): number
        for network, ip, number in made.read("SELECT network, ip, endpoint_id FROM v_endpoints")
    }
    rows = [
        {"src_port": row.pop("port", PORTS[name])} | row
        for name, (records, _) in CASES.items()
        for row in (dict(record) for record in records)
    ]
    twice = PORTS["translated to a name that two had"]
    other = {"post_nat_src_ip": "198.51.100.1", "post_nat_src_port": 50_002}
    rows.append(seen(ROUTER, 1, 90, src_port=twice + 1_000, **other))
    rows += [
        seen(vantage, 1, 90, src_port=9, begins=begins, lasts=lasts)
        for vantage in (A, A_TOO, ROUTER, FAR)
        for begins, lasts in ((-3_600, 1), (500, 0))
    ]
    rows += [seen(B, 1, 90, src_port=9, begins=0), seen(B, 1, 90, src_port=9, begins=500, lasts=0)]
    network = {row[0]: row[2] for row in VANTAGES}
    for row in rows:
        for side in ("src", "dst"):
            row[f"{side}_endpoint_id"] = ids.get((network[row["vantage_id"]], row[f"{side}_ip"]))
    made.add("flows", *rows)
    for edge_id, attempts, sent, received in EDGES:
        same = {"edge_id": edge_id, "window_start": NOON}
        client = {"hop": 0, "role": "client", "network": "lan", "vantage_id": A}
        client |= {"upstream_local_ip": "10.0.0.1", "upstream_local_port": sent}
        client |= {"upstream_remote_ip": "203.0.113.9", "upstream_remote_port": 15443}
        gateway = {"hop": 1, "role": "gateway", "network": "net-far", "vantage_id": FAR}
        gateway |= {"downstream_remote_ip": "198.51.100.1", "downstream_remote_port": received}
        gateway |= {"downstream_local_ip": "10.0.1.1", "downstream_local_port": 15443}
        made.add("edges", same | {"attempts": attempts})
        made.add("legs", same | client, same | gateway)
    lost = {"sequence_units_expected": 10, "sequence_units_received": 9}
    made.add("accounting", {"minute": NOON + timedelta(minutes=5), "vantage_id": B} | lost)
    return made


@pytest.fixture(scope="module")
def told(lake: SmallLake) -> dict[int, list[tuple[Any, ...]]]:
    """Verdict, reason and share lost, by source port."""
    rows = lake.read(
        "SELECT src_port, verdict, reason, lost_share FROM v_reconciled ORDER BY lost_share"
    )
    return {port: [row[1:] for row in rows if row[0] == port] for port, *_ in rows}


@pytest.mark.parametrize("name", CASES)
def test_what_is_said_of(told: dict[int, list[tuple[Any, ...]]], name: str):
    """The verdict, why there is none, and the share that was lost."""
    assert told[PORTS[name]] == CASES[name][1]


def test_both_counts_are_told(lake: SmallLake):
    """Of a translated conversation: where each exporter stands, its own counts, their ratio."""
    (row,) = lake.read(
        f"""SELECT src_entity, dst_entity, src_ip, dst_ip, dst_port, from_exporter, from_cluster, to_exporter,
            to_cluster, from_bytes, to_bytes, from_packets, to_packets, translated, bytes_ratio, packets_ratio
        FROM v_reconciled WHERE src_port = {THROUGH}"""
    )
    assert row == (
        *("a/shop/frontend", "far/gateway/eastwest", "10.0.0.1", "203.0.113.9", 15443),
        *("a-node", "a", "far-node", "far", 90_000, 88_200, 100, 98, True, 0.98, 0.98),
    )


def test_a_link_loses_what_its_conversations_lost(lake: SmallLake):
    """From a's node to b's: sums of those that agree, lost some or are sampled, by the minute."""
    (row,) = lake.read(
        """SELECT conversations, agree, lost_between, sampled, incomplete, unknown,
            from_packets, lost_packets, lost_packets_share, from_bytes, lost_bytes, tolerance
        FROM v_reconciled_links WHERE from_exporter = 'a-node' AND to_exporter = 'b-node'
            AND minute = TIMESTAMPTZ '2026-11-27 12:01:00Z'"""
    )
    # Equal thrice and once but for headers; 2 % twice, of one 2 % of octets alone, 40 %; sampled.
    packets = 4 * 100 + 1_000 + 100 + 10_000 + 10_000
    octets = 3 * 90_000 + 91_400 + 900_000 + 900_000 + 90_000 + 9_000_000 + 9_000_000
    assert row[:6] == (15, 4, 4, 1, 3, 3)
    assert row[6:8] == (packets, 20 + 2 + 4_000 - 400)
    assert row[8] == pytest.approx(3_622 / 21_500)
    assert row[9:11] == (octets, 18_000 + 18_000 + 1_800 + 3_600_000 - 360_000)
    # 3 sqrt(104 x 100 x 99 + 60 x 100 x 99) / 21,500
    assert row[11] == pytest.approx(0.1778, rel=1e-3)


def test_what_is_cut_by_an_end_of_the_span_is_not_said_to_be_lost(lake: SmallLake):
    """Records that touch the span are read whole; who cut later has told more of it."""
    rows = lake.read(
        """SELECT src_port, verdict, reason, lost_share
        FROM reconciled_between('2026-11-27 12:00:59Z', '2026-11-27 12:01:15Z')"""
    )
    found = {port: row for port, *row in rows}
    assert tuple(found[PORTS["2 % lost"]]) == LOST_2_PERCENT
    cut = PORTS["equal, in other parts, by clocks a second apart"]
    assert tuple(found[cut]) == GOES_ON
    links = lake.read(
        """SELECT sum(conversations), sum(lost_between)
        FROM reconciled_links_between('2026-11-27 12:00:59Z', '2026-11-27 12:01:15Z')
        WHERE from_exporter = 'a-node' AND to_exporter = 'b-node'"""
    )
    # One of the four was without a beginning, just behind that of the span.
    assert links == [(15, 3)]


@pytest.mark.parametrize(
    ("text", "private"),
    [
        *((ip, True) for ip in ("10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255")),
        *((ip, True) for ip in ("192.168.7.1", "100.64.0.1", "169.254.1.1", "127.0.0.1", "::1")),
        *((ip, True) for ip in ("fd00::1", "fcff:ffff::", "fe80::1", "febf:ffff::1")),
        *((ip, False) for ip in ("9.255.255.255", "11.0.0.0", "172.32.0.0", "100.128.0.0")),
        *((ip, False) for ip in ("8.8.8.8", "2001:db8::1", "fec0::", "fbff::1", "::2")),
    ],
)
def test_public_addresses_are_the_same_in_every_network(
    lake: SmallLake, text: str, *, private: bool
):
    """As the inventory has it: ends of each range, and what lies beside them."""
    assert is_public(text) is not private
    told = private_sql(f"ip_hi('{text}')", f"ip_lo('{text}')")
    assert lake.read(f"SELECT {told}") == [(private,)]
