"""Who had an address: by network and time, to the microsecond, and never by a guess."""

from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import pytest

from pipeline import schema
from pipeline.enrich import ENRICHERS, Identities, enrich_flows, timeline
from pipeline.inventory import file as inventory

INVENTORY = """
[[networks]]
name = "net-a"
model = "gateway"
[[networks]]
name = "net-b"
model = "gateway"
[[clusters]]
name = "east"
provider = "aws"
network = "net-a"
[[clusters]]
name = "west"
provider = "gcp"
network = "net-b"
# The same address in two networks.
[[endpoints]]
network = "net-a"
ip = "10.0.0.1"
kind = "pod"
cluster = "east"
workload = "web"
[[endpoints]]
network = "net-b"
ip = "10.0.0.1"
kind = "pod"
cluster = "west"
workload = "mail"
# One address, handed on at 01:00 and free from 02:00.
[[endpoints]]
network = "net-a"
ip = "10.0.0.2"
kind = "pod"
workload = "first"
valid_from = 2026-01-01T00:00:00Z
valid_to = 2026-01-01T01:00:00Z
[[endpoints]]
network = "net-a"
ip = "10.0.0.2"
kind = "pod"
workload = "second"
valid_from = 2026-01-01T01:00:00Z
valid_to = 2026-01-01T02:00:00Z
# Two that claim one address, from 01:00 to 02:00.
[[endpoints]]
network = "net-a"
ip = "10.0.0.3"
kind = "pod"
workload = "left"
valid_to = 2026-01-01T02:00:00Z
[[endpoints]]
network = "net-a"
ip = "10.0.0.3"
kind = "vm"
workload = "right"
valid_from = 2026-01-01T01:00:00Z
# One owner, told of by two rows that overlap.
[[endpoints]]
network = "net-a"
ip = "10.0.0.4"
kind = "pod"
pod = "db-0"
valid_from = 2026-01-01T01:00:00Z
[[endpoints]]
network = "net-a"
ip = "10.0.0.4"
kind = "pod"
pod = "db-0"
valid_from = 2026-01-01T00:00:00Z
valid_to = 2026-01-01T01:30:00Z
# IPv6: alike in the low half, alike in the high half.
[[endpoints]]
network = "net-a"
ip = "fd00:1::7"
kind = "pod"
workload = "six"
[[endpoints]]
network = "net-a"
ip = "fd00:2::7"
kind = "pod"
workload = "seven"
[[endpoints]]
network = "net-a"
ip = "fd00:2::8"
kind = "pod"
workload = "eight"
[[prefixes]]
network = "net-a"
cidr = "10.0.0.0/24"
kind = "pod"
name = "a pods"
[[prefixes]]
network = "net-b"
cidr = "10.0.0.0/8"
kind = "subnet"
name = "b all"
"""
TRANSLATED = [f"post_nat_{side}_ip_{half}" for side in ("src", "dst") for half in ("hi", "lo")]
LOW = {
    "10.0.0.1": (0, 0xFFFF_0A00_0001),
    "10.0.0.2": (0, 0xFFFF_0A00_0002),
    "10.0.0.3": (0, 0xFFFF_0A00_0003),
    "10.0.0.4": (0, 0xFFFF_0A00_0004),
    "10.0.0.9": (0, 0xFFFF_0A00_0009),
    "fd00:1::7": (0xFD00_0001_0000_0000, 7),
    "fd00:1::8": (0xFD00_0001_0000_0000, 8),
    "fd00:2::7": (0xFD00_0002_0000_0000, 7),
    "fd00:2::8": (0xFD00_0002_0000_0000, 8),
    None: (None, None),
}


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    path = tmp_path_factory.mktemp("enrich") / "inventory.toml"
    path.write_text(INVENTORY)
    return inventory.load(path)


@pytest.fixture(scope="module")
def sources(known):
    """Enrich flows of these (code, address, start, end); give source name, word and candidates."""
    identities = Identities.of(known)
    names = {
        row["endpoint_id"]: row["workload"] or f"{row['pod']} from {row['valid_from']:%H:%M}"
        for row in known.endpoints.iter_rows(named=True)
    }

    def _sources(*flows: tuple):
        found = enrich_flows(_frame(flows), identities)
        assert found.height == len(flows)
        return [
            (
                names.get(row["src_endpoint_id"]),
                row["src_resolution"],
                row["src_candidate_ids"] and {names[one] for one in row["src_candidate_ids"]},
            )
            for row in found.iter_rows(named=True)
        ]

    return _sources


def _frame(flows):
    return pl.DataFrame(
        [(code, *LOW[ip], *LOW["10.0.0.1"], start, end) for code, ip, start, end in flows],
        schema={
            "network_code": pl.Int32,
            **dict.fromkeys(["src_ip_hi", "src_ip_lo", "dst_ip_hi", "dst_ip_lo"], pl.UInt64),
            **dict.fromkeys(["start_time", "end_time"], schema.TIME),
        },
        orient="row",
    ).with_columns(pl.lit(None, pl.UInt64).alias(name) for name in TRANSLATED)


def _time(hour, minute=0, second=0, microsecond=0):
    return datetime(2026, 1, 1, hour, minute, second, microsecond, tzinfo=UTC)


NOON = _time(12)


def _at(code, ip, time):
    return code, ip, time, time


def test_one_address_is_two_workloads_in_two_networks(sources):
    """Never by address alone."""
    assert sources(_at(0, "10.0.0.1", NOON), _at(1, "10.0.0.1", NOON)) == [
        ("web", "resolved", None),
        ("mail", "resolved", None),
    ]


def test_without_a_network_everything_is_unknown(sources):
    """Null, -1 and a code nobody has: an address alone means nothing."""
    flows = (_at(code, "10.0.0.1", NOON) for code in (None, -1, 2))
    assert sources(*flows) == [(None, "unknown", None)] * 3


def test_an_address_changes_hands_between_two_microseconds(sources):
    """[from, to): at its end it is the next one's, before its start nobody's."""
    times = [
        datetime(2025, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        _time(0),
        _time(0, 59, 59, 999_999),
        _time(1),
        _time(1, 59, 59, 999_999),
        _time(2),
    ]
    names = [name for name, _, _ in sources(*(_at(0, "10.0.0.2", time) for time in times))]
    assert names == [None, "first", "first", "second", "second", None]


def test_contenders_are_kept_and_none_is_chosen(sources):
    """Two different owners at once: ambiguous, from the first microsecond to the last."""
    both = (None, "ambiguous", {"left", "right"})
    times = [_time(0, 59, 59, 999_999), _time(1), _time(1, 59, 59, 999_999), _time(2)]
    assert sources(*(_at(0, "10.0.0.3", time) for time in times)) == [
        ("left", "resolved", None),
        both,
        both,
        ("right", "resolved", None),
    ]


def test_candidates_are_sorted(known):
    """So that equal sets are equal lists."""
    identities = Identities.of(known)
    found = enrich_flows(_frame([_at(0, "10.0.0.3", _time(1))]), identities)
    ids = known.endpoints.filter(pl.col("workload").is_in(["left", "right"]))["endpoint_id"]
    assert found["src_candidate_ids"].to_list() == [sorted(ids)]
    assert found["src_candidate_ids"].dtype == pl.List(pl.UInt64)


def test_two_rows_of_one_owner_do_not_contend(sources):
    """Alike but for validity: the row that starts first stands for both while both hold."""
    times = [_time(0, 59), _time(1, 15), _time(1, 30)]
    assert [name for name, _, _ in sources(*(_at(0, "10.0.0.4", time) for time in times))] == [
        "db-0 from 00:00",
        "db-0 from 00:00",
        "db-0 from 01:00",
    ]


@pytest.mark.parametrize(
    "key",
    [
        *("kind", "cluster", "namespace", "workload", "service"),
        *("pod", "node", "zone", "identity"),
    ],
)
def test_rows_that_differ_in_one_name_are_two_owners(tmp_path, key):
    """Said of one is not said of the other; a name against none is a difference too."""
    row = '[[endpoints]]\nnetwork = "net-a"\nip = "10.0.0.1"\n'
    one = row + 'kind = "pod"\n'
    other = {"kind": row + 'kind = "vm"\n'}.get(key, one + f'{key} = "east"\n')
    path = tmp_path / "inventory.toml"
    path.write_text(INVENTORY.split("# The same address", maxsplit=1)[0] + one + other)
    found = enrich_flows(_frame([_at(0, "10.0.0.1", NOON)]), Identities.of(inventory.load(path)))
    assert found["src_resolution"].to_list() == ["ambiguous"]
    assert found["src_candidate_ids"].list.len().to_list() == [2]


def test_a_flow_over_a_change_of_hands_is_ambiguous(sources):
    """Its packets may be of either; the last packet counts too, and an end before the start not."""
    both = (None, "ambiguous", {"first", "second"})
    last = _time(0, 59, 59, 999_999)
    assert sources(
        (0, "10.0.0.2", _time(0), last),
        (0, "10.0.0.2", _time(0), _time(1)),
        (0, "10.0.0.2", _time(0), _time(5)),
        (0, "10.0.0.2", _time(1), _time(0)),
        (0, "10.0.0.2", _time(0), None),
        (0, "10.0.0.3", _time(0), _time(1)),
    ) == [
        ("first", "resolved", None),
        both,
        both,
        ("second", "resolved", None),
        ("first", "resolved", None),
        (None, "ambiguous", {"left", "right"}),
    ]


def test_a_flow_from_before_anybody_is_known_is_unknown(sources):
    """Who had the address at the first packet decides; that nobody has it later changes nothing."""
    before = datetime(2025, 12, 31, 23, tzinfo=UTC)
    assert sources(
        (0, "10.0.0.2", before, _time(0, 30)),
        (0, "10.0.0.2", _time(1, 30), _time(3)),
    ) == [(None, "unknown", None), ("second", "resolved", None)]


def test_a_flow_over_two_rows_of_one_owner_is_resolved(sources):
    """The address did not change hands."""
    assert sources((0, "10.0.0.4", _time(0), _time(5))) == [("db-0 from 00:00", "resolved", None)]


def test_both_halves_of_an_ipv6_address_count(sources):
    """Three neighbours, and one that is not there."""
    ips = ("fd00:1::7", "fd00:2::7", "fd00:2::8", "fd00:1::8")
    names = [name for name, _, _ in sources(*(_at(0, ip, NOON) for ip in ips))]
    assert names == ["six", "seven", "eight", None]


def test_what_is_not_there_is_unknown(sources):
    """An address not listed, no address, and no time."""
    flows = [_at(0, "10.0.0.9", NOON), _at(0, None, NOON), (0, "10.0.0.1", None, None)]
    assert sources(*flows) == [(None, "unknown", None)] * 3


def test_prefixes_are_of_the_network_too(known):
    """Known where the endpoint is not; null where the network, or the address, is not."""
    names = dict(known.prefixes.select("prefix_id", "name").iter_rows())
    flows = [_at(0, "10.0.0.9", NOON), _at(1, "10.0.0.9", NOON), _at(None, "10.0.0.9", NOON)]
    found = enrich_flows(
        _frame([*flows, _at(0, "fd00:1::7", NOON), _at(0, None, NOON)]), Identities.of(known)
    )
    assert [names.get(one) for one in found["src_prefix_id"]] == [
        "a pods",
        "b all",
        None,
        None,
        None,
    ]
    assert [names.get(one) for one in found["dst_prefix_id"]] == [
        "a pods",
        "b all",
        None,
        "a pods",
        "a pods",
    ]


@pytest.mark.parametrize("rows", [0, 1])
def test_columns_have_the_types_of_the_schema(known, rows):
    """With rows and without, so batches can be put together."""
    for identities in (Identities.of(known), Identities.of(inventory.empty())):
        found = ENRICHERS["flows"](_frame([_at(0, "10.0.0.1", NOON)] * rows), identities)
        for side in ("src", "dst"):
            for name in ("endpoint_id", "prefix_id", "resolution", "method", "candidate_ids"):
                assert found.schema[f"{side}_{name}"] == schema.FLOWS.schema[f"{side}_{name}"]


def test_without_an_inventory_everything_is_unknown():
    """The embedded default: nothing is known, nothing breaks."""
    found = enrich_flows(_frame([_at(0, "10.0.0.1", NOON)]), Identities.of(inventory.empty()))
    assert found["src_resolution"].to_list() == ["unknown"]
    assert found["src_endpoint_id"].to_list() == [None]
    assert found["src_prefix_id"].to_list() == [None]
    assert found["src_candidate_ids"].to_list() == [None]


def test_rows_that_never_end_are_refused_before_they_fill_the_memory(known, monkeypatch):
    """An exporter that forgets valid_to, and addresses that are handed on a million times."""
    monkeypatch.setattr(timeline, "COVERS", -4 * known.endpoints.height)
    with pytest.raises(
        inventory.InventoryError, match=r"rows hold at once, .* of 10\.0\.0\.3 in 'net-a'"
    ):
        Identities.of(known)


def test_an_address_that_is_handed_on_after_a_second_to_the_millisecond(tmp_path):
    """A pod dies, another takes its address; records of both come late, shuffled, and one between."""
    path = tmp_path / "inventory.toml"
    row = '[[endpoints]]\nnetwork = "net-a"\nip = "10.0.0.9"\nkind = "pod"\nworkload = '
    path.write_text(
        INVENTORY.split("# The same address", maxsplit=1)[0]
        + f'{row}"dies"\nvalid_to = 2026-01-01T12:00:00.250Z\n'
        + f'{row}"takes"\nvalid_from = 2026-01-01T12:00:01.250Z\n'
    )
    known = inventory.load(path)
    names = dict(known.endpoints.select("endpoint_id", "workload").iter_rows())
    at = {
        _time(12, 0, 1, 250_000): "takes",
        _time(12, 0, 0, 249_000): "dies",
        _time(12, 0, 0, 250_000): None,
        _time(13): "takes",
        _time(12, 0, 1, 249_000): None,
        _time(0): "dies",
    }
    found = enrich_flows(_frame([_at(0, "10.0.0.9", time) for time in at]), Identities.of(known))
    assert [names.get(one) for one in found["src_endpoint_id"]] == list(at.values())
    assert set(found["src_resolution"]) == {"resolved", "unknown"}


def test_an_interface_behind_a_pod_makes_nothing_ambiguous(tmp_path):
    """It yields to a node, and a node to a pod; after the pod it is what is left, at its end not."""
    path = tmp_path / "inventory.toml"
    row = '[[endpoints]]\nnetwork = "net-a"\nip = "10.0.0.9"\n'
    path.write_text(
        INVENTORY.split("# The same address", maxsplit=1)[0]
        + f'{row}kind = "interface"\nworkload = "eni"\n'
        + f'{row}kind = "node"\nworkload = "host"\nvalid_to = 2026-01-01T03:00:00Z\n'
        + f'{row}kind = "pod"\nworkload = "web"\nvalid_from = 2026-01-01T01:00:00Z\n'
        "valid_to = 2026-01-01T02:00:00Z\n"
    )
    known = inventory.load(path)
    names = dict(known.endpoints.select("endpoint_id", "workload").iter_rows())
    flows = [_at(0, "10.0.0.9", _time(hour)) for hour in range(4)]
    over_the_end = (0, "10.0.0.9", _time(1), _time(5))
    over_the_start = (0, "10.0.0.9", _time(0), _time(1))
    found = enrich_flows(_frame([*flows, over_the_end, over_the_start]), Identities.of(known))
    assert [names.get(one) for one in found["src_endpoint_id"]] == [
        *("host", "web", "host", "eni"),
        *("web", None),
    ]
    assert found["src_resolution"].to_list() == ["resolved"] * 5 + ["ambiguous"]


def test_a_node_is_the_node_its_api_server_tells_of_not_the_machine_a_cloud_does():
    """A cloud knows every machine; one that is a node, or what a mesh calls by name, is that."""
    empty = inventory.empty()
    seen = {"network": "net-a", "endpoint_ip_hi": 0, "endpoint_ip_lo": 0xFFFF_0A00_0001}
    claims = [
        {"endpoint_id": 1, "kind": "vm", "workload": "i-0a1b", "source": "aws"},
        {"endpoint_id": 2, "kind": "node", "node": "n1", "source": "kubernetes"},
        {"endpoint_id": 3, "kind": "vm", "workload": "ledger", "source": "kubernetes"},
    ]
    rows = schema.complete(pl.DataFrame([one | seen for one in claims]), schema.ENDPOINTS.schema)
    for count, owner in ((1, 1), (2, 2), (3, 3)):
        networks = schema.complete(pl.DataFrame({"network": ["net-a"]}), schema.NETWORKS.schema)
        known = replace(empty, networks=networks, endpoints=rows.head(count))
        found = enrich_flows(_frame([_at(0, "10.0.0.1", NOON)]), Identities.of(known))
        assert found["src_endpoint_id"].to_list() == [owner]
