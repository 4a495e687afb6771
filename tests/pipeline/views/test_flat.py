"""Which clusters could be flat: each state, by hand."""

import pytest
from small_lake import SmallLake, emptied

NETWORKS = {"a": "corp", "b": "corp", "c": "lab", "d": "edge"}


@pytest.fixture
def lake():
    """Four clusters, two of them in one network; ranges are for the test to give."""
    lake = emptied()
    lake.add("networks", *({"network": name} for name in sorted(set(NETWORKS.values()))))
    lake.add("clusters", *({"cluster": key, "network": value} for key, value in NETWORKS.items()))
    return lake


def declare(lake: SmallLake, *rows: tuple[str, str, int, str | None, str]) -> None:
    """Network, first address, length, cluster and kind of each range."""
    lake.add(
        "prefixes",
        *(
            {
                "prefix_id": number,
                "network": network,
                "prefix_ip": first,
                "prefix_length": 96 + length,
                "cluster": cluster,
                "kind": kind,
            }
            for number, (network, first, length, cluster, kind) in enumerate(rows)
        ),
    )


def states(lake: SmallLake) -> dict[str, tuple[str, int]]:
    query = "SELECT cluster_a || cluster_b, state, conflicts FROM v_flat_readiness"
    return {pair: (state, conflicts) for pair, state, conflicts in lake.read(query)}


def test_every_state(lake):
    """Flat in one network, ready and blocked across two; of d no range of pods is declared."""
    declare(
        lake,
        ("corp", "10.0.0.0", 16, "a", "pod"),
        ("corp", "10.1.0.0", 16, "b", "pod"),
        ("lab", "10.1.4.0", 24, "c", "pod"),
        ("edge", "10.9.0.0", 24, "d", "service"),
    )
    assert states(lake) == {
        "ab": ("flat", 0),
        "ac": ("ready", 0),
        "bc": ("blocked", 1),
        "ad": ("unknown", 0),
        "bd": ("unknown", 0),
        "cd": ("unknown", 0),
    }
    blocking = "SELECT blocking, addresses FROM v_flat_readiness WHERE state = 'blocked'"
    assert lake.read(blocking) == [(["pod 10.1.0.0/16 ~ pod 10.1.4.0/24"], 256.0)]


def test_conflicting_in_one_network(lake):
    """Pods of two clusters of one network that contend."""
    declare(lake, ("corp", "10.0.0.0", 16, "a", "pod"), ("corp", "10.0.3.0", 24, "b", "pod"))
    assert states(lake)["ab"] == ("conflicting", 1)


def test_ground_of_the_network_is_its_clusters(lake):
    """A VPC that names no cluster stands for what is in it, and is in the way for all of its network."""
    declare(
        lake,
        ("corp", "10.0.0.0", 8, None, "vpc"),
        ("corp", "10.0.0.0", 16, "a", "pod"),
        ("lab", "10.0.0.0", 16, "c", "pod"),
    )
    found = states(lake)
    assert (found["ab"], found["ac"], found["bc"]) == (("flat", 0), ("blocked", 1), ("blocked", 1))
    query = "SELECT range_a, range_b FROM v_flat_conflicts WHERE cluster_a = 'a'"
    assert lake.read(query) == [("10.0.0.0/8", "10.0.0.0/16")]


def test_how_much_is_in_use_on_each_side(lake):
    """Live addresses, once each, of the range's own network."""
    declare(lake, ("corp", "10.0.0.0", 16, "a", "pod"), ("lab", "10.0.0.0", 16, "c", "pod"))
    one = {"network": "corp", "kind": "pod", "endpoint_ip": "10.0.0.1"}
    lake.add("endpoints", one, one, one | {"endpoint_ip": "10.0.0.2"}, one | {"network": "lab"})
    query = "SELECT cluster_a, in_use_a, cluster_b, in_use_b, addresses FROM v_flat_conflicts"
    assert lake.read(query) == [("a", 2, "c", 1, 65_536.0)]
