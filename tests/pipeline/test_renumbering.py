"""The smallest renumbering, and the command that shows it."""

import ipaddress
import itertools
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from pipeline import ipspace
from pipeline.cli import main
from pipeline.inventory.file import load
from pipeline.ipspace import Pool, cover, renumbering
from pipeline.ipspace_map import draw
from pipeline.lake import Commit, Lake

_VERTICES = range(8)
_EDGES = st.lists(
    st.sampled_from(list(itertools.combinations(_VERTICES, 2))),
    min_size=1,
    max_size=28,
    unique=True,
)
_WEIGHTS = st.lists(st.integers(0, 9), min_size=8, max_size=8)


@given(_EDGES, _WEIGHTS)
def test_no_cover_is_cheaper(edges, weights):
    """Against every subset of up to eight vertices."""
    covers = cover(edges, dict(enumerate(weights)))
    chosen = frozenset().union(*(one.vertices for one in covers))
    cheapest = min(
        sum(weights[vertex] for vertex in subset)
        for size in range(9)
        for subset in itertools.combinations(_VERTICES, size)
        if all(a in subset or b in subset for a, b in edges)
    )
    assert all(a in chosen or b in chosen for a, b in edges)
    assert sum(weights[vertex] for vertex in chosen) == cheapest
    assert all(one.cost == one.bound for one in covers)


def test_twenty_clusters_with_the_same_range():
    """All but the dearest must move; that is found exactly."""
    edges = list(itertools.combinations(range(20), 2))
    (found,) = cover(edges, {vertex: vertex + 1 for vertex in range(20)})
    assert (found.vertices, found.cost, found.bound) == (frozenset(range(19)), 190, 190)


def test_what_takes_too_long_is_covered_and_said_so(monkeypatch):
    """The bound says how far from the least it may be: a ring of five needs three, two are sure."""
    monkeypatch.setattr(ipspace, "MAX_WORK", 0)
    ring = [(n, (n + 1) % 5) for n in range(5)]
    (found,) = cover(ring, dict.fromkeys(range(5), 1))
    assert (found.cost, found.bound) == (3, 2)
    assert all(a in found.vertices or b in found.vertices for a, b in ring)


def test_a_pool_gives_what_is_free():
    """First fit, aligned, of each family; nothing is given twice, and at last there is no room."""
    given_out = ["10.0.0.0/23", "10.0.1.0/24", "fd00::/64"]
    pool = Pool(
        [ipaddress.ip_network("10.0.0.0/22"), ipaddress.ip_network("fd00::/63")],
        map(ipaddress.ip_network, given_out),
    )
    wanted = ["10.9.0.0/25", "10.9.0.0/24", "10.9.0.0/25", "10.9.0.0/25", "2001:db8::/64", "::/64"]
    assert [str(pool.give(ipaddress.ip_network(one))) for one in wanted] == [
        *("10.0.2.0/25", "10.0.3.0/24", "10.0.2.128/25", "None"),
        *("fd00:0:0:1::/64", "None"),
    ]


@given(
    st.lists(st.tuples(st.integers(24, 32), st.integers(0, 255)), max_size=8),
    st.lists(st.integers(24, 32), max_size=12),
)
def test_what_a_pool_gives_overlaps_nothing(taken, lengths):
    """In the pool, apart from what is taken and from each other; None only where nothing fits."""
    whole = ipaddress.ip_network("10.0.0.0/24")
    used = [ipaddress.ip_network((0x0A000000 + at, bits), strict=False) for bits, at in taken]
    pool = Pool([whole], used)
    for length in lengths:
        found = pool.give(ipaddress.ip_network((0, length)))
        if found is None:
            assert all(any(one.overlaps(two) for two in used) for one in whole.subnets(new_prefix=length))  # fmt: skip
        else:
            assert found.subnet_of(whole)
            assert found.prefixlen == length
            assert not any(found.overlaps(one) for one in used)
            used.append(found)


Side = tuple[int, str, int]
"""Id, range, addresses in use."""


def row(one: Side, other: Side) -> dict[str, object]:
    sides = {"a": one, "b": other}
    return {
        f"{key}_{side}": value
        for side, (number, text, in_use) in sides.items()
        for key, value in {
            "prefix_id": number,
            "cluster": f"c{number}",
            "network": f"n{number}",
            "kind": "pod",
            "name": None,
            "range": text,
            "in_use": in_use,
            "addresses": float(ipaddress.ip_network(text).num_addresses),
        }.items()
    }


def test_the_range_in_the_middle_moves():
    """One range that is in the way of two moves, though it has more in use than either of them."""
    rows = [
        row((1, "10.0.0.0/24", 10), (2, "10.0.0.0/16", 15)),
        row((2, "10.0.0.0/16", 15), (3, "10.0.5.0/24", 8)),
    ]
    found = renumbering(rows, ["10.0.0.0/16", "10.1.0.0/16"], ["10.0.0.0/8"])
    assert found == {
        "moves": [
            {
                "network": "n2",
                "kind": "pod",
                "range": "10.0.0.0/16",
                "name": None,
                "clusters": ["c2"],
                "in_use": 15,
                "to": "10.2.0.0/16",
            }
        ],
        "addresses_in_use": 15,
        "exact": True,
        "at_least": 15,
    }


def test_of_equals_the_smaller_moves_and_no_room_is_said():
    """Nothing is in use in either: the /24 moves; a pool that is full gives nothing."""
    found = renumbering(
        [row((1, "10.0.0.0/24", 0), (2, "10.0.0.0/16", 0))], ["10.0.0.0/8"], ["10.0.0.0/8"]
    )
    assert [(one["range"], one["to"]) for one in found["moves"]] == [("10.0.0.0/24", None)]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lake with nothing but an inventory: three clusters, two of them with the same pods."""
    folder = tmp_path_factory.mktemp("ipspace")
    text = ""
    for name, cidr in (("a", "10.0.0.0/16"), ("b", "10.0.0.0/16"), ("c", "10.1.0.0/16")):
        text += f'[[networks]]\nname = "net-{name}"\nmodel = "gateway"\n'
        text += f'[[clusters]]\nname = "{name}"\nprovider = "aws"\nnetwork = "net-{name}"\n'
        text += f'[[prefixes]]\nnetwork = "net-{name}"\ncidr = "{cidr}"\nkind = "pod"\ncluster = "{name}"\n'
    text += '[[endpoints]]\nnetwork = "net-a"\nip = "10.0.0.1"\nkind = "pod"\ncluster = "a"\n'
    (folder / "i.toml").write_text(text)
    with Lake(folder / "lake") as made:
        made.commit(Commit(dict(load(folder / "i.toml").tables)))
    return str(folder / "lake")


def crosspane(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["ipspace", *arguments], catch_exceptions=False)


def test_the_command_says_what_blocks_and_what_to_move(lake: str):
    """The range of b moves, for a's is in use, to the first /16 of the pool that nobody has."""
    answer = json.loads(crosspane("--lake", lake, "-f", "json").stdout)
    assert {(row["cluster_a"], row["cluster_b"]): row["state"] for row in answer["readiness"]} == {
        ("a", "b"): "blocked",
        ("a", "c"): "ready",
        ("b", "c"): "ready",
    }
    assert answer["readiness"][0]["blocking"] == ["pod 10.0.0.0/16 ~ pod 10.0.0.0/16"]
    (move,) = answer["renumbering"]["moves"]
    assert (move["clusters"], move["range"], move["to"]) == (["b"], "10.0.0.0/16", "10.2.0.0/16")
    assert [(row["problem"], row["severity"]) for row in answer["problems"]] == [
        ("declared_overlap", "info")
    ]
    assert {row["range"]: row["in_use"] for row in answer["forecast"] if row["in_use"]} == {
        "10.0.0.0/16": 1.0
    }


def test_only_what_concerns_a_cluster(lake: str):
    """Of c nothing is in the way; of two clusters only their pair is asked for."""
    of_c = json.loads(crosspane("--lake", lake, "-f", "json", "--cluster", "c").stdout)
    assert (of_c["problems"], of_c["renumbering"]["moves"]) == ([], [])
    pair = json.loads(
        crosspane("--lake", lake, "-f", "json", "--cluster", "a", "--cluster", "b").stdout
    )
    assert [(row["cluster_a"], row["cluster_b"]) for row in pair["readiness"]] == [("a", "b")]


def test_for_people_it_is_tables_and_a_matrix(lake: str, tmp_path: Path):
    """The matrix has the number of pairs in the way, here of one network's; the pool is one's own."""
    picture = tmp_path / "map.svg"
    options = ("--pool", "172.16.0.0/12", "--network", "net-b", "--map", str(picture))
    shown = crosspane("--lake", lake, *options).stdout
    assert picture.read_text("utf-8").count("<rect ") == 1
    assert "Renumbering: 1 ranges, 0 addresses in use (the least)" in shown
    assert "172.16.0.0/16" in shown
    (line,) = [line for line in shown.splitlines() if line.startswith("a ")]
    assert line.split() == ["a", "-", "1", "-"]


def test_the_inventory_as_it_was(lake: str, tmp_path: Path):
    """With a time the same queries are asked at that time; a wrong pool or time is exit code 2."""
    at = crosspane("--lake", lake, "-f", "json", "--at", "2026-01-01T00:00Z")
    assert json.loads(at.stdout)["readiness"][0]["state"] == "blocked"
    wrong = crosspane("--lake", lake, "--pool", "10.0.0.1/8")
    assert (wrong.exit_code, "has host bits set" in wrong.stderr) == (2, True)
    assert crosspane("--lake", lake, "--at", "yesterday").exit_code == 2
    assert crosspane("--lake", str(tmp_path)).exit_code == 1


def test_the_map_stands_ranges_of_networks_above_each_other():
    """One axis: the same range has the same place in both networks; one in another is a row lower."""
    ranges = [
        {"network": "a<b", "range": "10.0.0.0/8", "kind": "vpc", "cluster": None, "name": None},
        {"network": "a<b", "range": "10.1.0.0/16", "kind": "pod", "cluster": "e", "name": "x"},
        {"network": "c", "range": "10.1.0.0/16", "kind": "pod", "cluster": "w", "name": "y"},
        {"network": "c", "range": "fd00::/64", "kind": "pod", "cluster": "w", "name": None},
    ]
    root = ET.fromstring(draw(ranges, [("c", "10.1.0.0/16")]))  # noqa: S314 - our own
    svg = "{http://www.w3.org/2000/svg}"
    assert [one.text for one in root.findall(f"{svg}text")] == [
        *("a<b (IPv4)", "c (IPv4)", "c (IPv6)"),
    ]
    whole, inner, other, v6 = root.findall(f"{svg}rect")
    assert (whole.get("x"), whole.get("width")) == ("180.0", "1100.0")
    assert v6.get("width") == "1100.0"
    assert (inner.get("x"), inner.get("width")) == (other.get("x"), other.get("width"))
    assert int(inner.get("y", 0)) - int(whole.get("y", 0)) == 16
    assert (inner.get("fill"), other.get("fill")) == ("#7fbf9b", "#d9534f")
    assert inner.findtext(f"{svg}title") == "10.1.0.0/16 pod e x"
