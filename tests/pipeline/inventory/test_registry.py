"""Changes of sources to rows with a life: who had which address, when."""

import json
from datetime import UTC, datetime, timedelta
from itertools import count

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import schema
from pipeline.inventory import file
from pipeline.inventory.book import settle
from pipeline.inventory.registry import Registry

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def pod(name: str, ip: str | None, *, start: float | None = None, phase: str = "Running") -> dict:
    """As much of a pod as an API server tells at least."""
    status: dict = {"phase": phase}
    if ip:
        status |= {"podIP": ip, "podIPs": [{"ip": ip}]}
    if start is not None:
        status["startTime"] = at(start).strftime("%Y-%m-%dT%H:%M:%SZ")
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}"}
    return {"metadata": metadata, "spec": {"nodeName": "node-1"}, "status": status}


class Feed:
    """Changes of one source, numbered and timed as they are told."""

    def __init__(
        self, registry: Registry, cluster: str = "east", network: str = "net-east"
    ) -> None:
        self.registry, self.cluster, self.network = registry, cluster, network
        self._versions = count(1)

    def tell(self, seconds: float, op: str, uid: str = "", **more: object) -> list:
        """One change, received so many seconds after noon."""
        told = more.pop("object", None)
        row = {
            "vantage": 0,
            "payload": 0,
            "received_ns": round(at(seconds).timestamp() * 1e6) * 1_000,
            "kind": "kubernetes",
            "cluster": self.cluster,
            "network": self.network,
            "op": op,
            "scope": "",
            "resource": "pods",
            "uid": uid,
            "version": next(self._versions),
            "count": 0,
            "time_ns": 0,
            "object": json.dumps(told).encode(),
        }
        return self.registry.take(pl.DataFrame([row | more], schema.CHANGES))

    def put(self, seconds: float, name: str, ip: str | None, **more: object) -> None:
        """A pod, as it is now."""
        keys = {key: more.pop(key) for key in ("version",) if key in more}
        assert (
            self.tell(seconds, "put", f"uid-{name}", object=pod(name, ip, **more), **keys) == []  # type: ignore[arg-type]
        )


def registry() -> Registry:
    """A registry whose file says nothing."""
    return Registry(file.empty())


def rows(known: Registry) -> list[tuple]:
    """Pod, and its four times in seconds after noon, by start."""
    known.flush()
    frame = known.inventory.endpoints.sort("valid_from", "pod")
    times = ("valid_from", "valid_to", "seen_from", "seen_to")
    return [
        (row["pod"], *(row[name] and (row[name] - NOON).total_seconds() for name in times))
        for row in frame.iter_rows(named=True)
    ]


def test_an_address_belongs_to_its_pod_from_its_start_to_its_deletion():
    """What was seen is kept beside what the pod says of itself."""
    known = registry()
    feed = Feed(known)
    feed.put(2.5, "a", "10.0.0.1", start=1)
    assert rows(known) == [("a", 1.0, None, 2.5, None)]
    feed.tell(9.25, "delete", "uid-a")
    assert rows(known) == [("a", 1.0, 9.25, 2.5, 9.25)]


def test_a_pod_that_takes_an_address_begins_where_the_one_before_was_last_seen():
    """Its own start, told in whole seconds, reaches into the other's life and yields."""
    known = registry()
    feed = Feed(known)
    feed.put(1, "a", "10.0.0.1", start=0)
    feed.tell(5.3, "delete", "uid-a")
    feed.put(6.9, "b", "10.0.0.1", start=5)
    assert rows(known) == [("a", 0.0, 5.3, 1.0, 5.3), ("b", 5.3, None, 6.9, None)]


def test_a_pod_that_a_list_leaves_out_is_gone_when_another_says_it_began():
    """It was seen until the source fell silent; after that the later one's word stands."""
    known = registry()
    feed = Feed(known)
    feed.put(1, "a", "10.0.0.1", start=0)
    feed.tell(4, "quiet")
    feed.tell(60, "begin")
    feed.put(60, "b", "10.0.0.1", start=30)
    feed.tell(61, "end", count=1)
    assert rows(known) == [("a", 0.0, 30.0, 1.0, 4.0), ("b", 30.0, None, 60.0, None)]


def test_a_list_of_which_a_part_was_lost_ends_nothing():
    """An end that counts more than arrived is no evidence."""
    known = registry()
    feed = Feed(known)
    feed.put(1, "a", "10.0.0.1")
    feed.tell(2, "begin")
    feed.tell(3, "end", count=1)
    assert rows(known) == [("a", 1.0, None, 1.0, None)]
    feed.tell(4, "begin")
    feed.tell(5, "end", count=0)
    assert rows(known) == [("a", 1.0, 5.0, 1.0, 1.0)]


def test_two_that_are_seen_at_one_time_both_stay():
    """A conflict is kept as one: nobody is guessed away."""
    known = registry()
    feed = Feed(known)
    feed.put(1, "a", "10.0.0.1")
    feed.put(2, "b", "10.0.0.1", start=0)
    feed.tell(3, "delete", "uid-a")
    assert rows(known) == [("b", 0.0, None, 2.0, None), ("a", 1.0, 3.0, 1.0, 3.0)]


def test_what_is_told_again_changes_nothing():
    """Duplicates, older versions and repeated deletes."""
    known = registry()
    feed = Feed(known)
    feed.put(1, "a", "10.0.0.1", version=5)
    feed.put(2, "a", "10.0.0.1", version=5)
    feed.tell(3, "delete", "uid-a", version=6)
    expected = rows(known)
    assert expected == [("a", 1.0, 3.0, 1.0, 3.0)]
    feed.tell(4, "delete", "uid-a", version=6)
    feed.put(5, "a", "10.0.0.1", version=5)
    feed.tell(6, "delete", "uid-never", version=9)
    assert rows(known) == expected


def test_an_older_version_that_comes_late_makes_the_life_longer():
    """It was so earlier: history is corrected, the present is not."""
    known = registry()
    feed = Feed(known)
    feed.put(10, "a", "10.0.0.1", version=7)
    feed.put(4, "a", "10.0.0.1", version=3)
    feed.put(2, "a", "10.0.0.9", version=2)
    assert rows(known) == [("a", 2.0, 4.0, 2.0, 2.0), ("a", 4.0, None, 4.0, None)]


def test_a_clock_that_runs_back_turns_no_life_round():
    """The agent's clock is set back between a pod's start and its end."""
    known = registry()
    feed = Feed(known)
    feed.put(10, "a", "10.0.0.1")
    feed.tell(4, "delete", "uid-a")
    ((name, begin, end, *_),) = rows(known)
    assert (name, begin) == ("a", 10.0)
    assert begin < end < 10.001


def test_the_same_address_in_two_networks_is_two():
    """Clusters with the same pod range never mix."""
    known = registry()
    Feed(known).put(1, "a", "10.0.0.1")
    Feed(known, "west", "net-west").put(1, "b", "10.0.0.1")
    known.flush()
    found = known.inventory.endpoints.select("network", "cluster", "pod").sort("network").rows()
    assert found == [("net-east", "east", "a"), ("net-west", "west", "b")]


def test_an_object_that_is_none_is_refused_and_what_was_known_stays():
    """The payload is named, so that its bytes are kept."""
    known = registry()
    feed = Feed(known)
    feed.put(1, "a", "10.0.0.1")
    (refusal,) = feed.tell(2, "put", "uid-a", object={"metadata": 7})
    assert refusal.payload == 0
    assert "pods uid-a" in refusal.detail
    assert rows(known) == [("a", 1.0, None, 1.0, None)]


def test_networks_and_clusters_nobody_declared_are_there():
    """And a number that is given to a network stays."""
    known = registry()
    before = dict(known.network_codes)
    Feed(known).put(1, "a", "10.0.0.1")
    known.flush()
    assert before == {"internet": 0}
    assert known.network_codes == {"internet": 0, "net-east": 1}
    assert known.inventory.network_codes == known.network_codes
    assert known.inventory.clusters.select("cluster", "network").rows() == [("east", "net-east")]


def test_a_registry_that_is_read_back_goes_on_where_it_was():
    """Rows keep their ids, and what was there can still end."""
    known = registry()
    feed = Feed(known)
    feed.put(1, "a", "10.0.0.1", start=0)
    feed.put(2, "b", "10.0.0.2")
    feed.tell(3, "delete", "uid-b")
    known.flush()
    lake = {table.name: table.schema.to_frame() for table in schema.TABLES} | known.pending()
    again = Registry(file.empty(), lake.__getitem__)
    again.flush()
    assert again.inventory.endpoints.sort("pod").equals(known.inventory.endpoints.sort("pod"))
    assert again.network_codes == known.network_codes
    other = Feed(again)
    other.tell(8, "begin", version=100)
    other.tell(9, "end", version=100)
    assert rows(again) == [("a", 0.0, 9.0, 1.0, 3.0), ("b", 2.0, 3.0, 2.0, 3.0)]


def test_a_file_that_changes_is_taken_and_what_it_no_longer_says_is_not_looked_up(tmp_path):
    """Sources' rows stay; numbers of networks stay."""
    path = tmp_path / "inventory.toml"
    path.write_text('[[networks]]\nname = "dc"\nmodel = "flat"\n')
    known = Registry(file.load(path))
    Feed(known).put(1, "a", "10.0.0.1")
    known.flush()
    path.write_text(
        '[[networks]]\nname = "lan"\nmodel = "flat"\n'
        '[[endpoints]]\nnetwork = "lan"\nip = "192.168.0.9"\nkind = "vm"\nworkload = "ledger"\n'
    )
    flushed = known.declare(file.load(path))
    assert flushed.endpoints["workload"].to_list() == ["ledger"]
    assert known.network_codes == {"dc": 0, "internet": 1, "net-east": 2, "lan": 3}
    assert known.inventory.endpoints["pod"].to_list() == [None, "a"]
    path.write_text('[[networks]]\nname = "lan"\nmodel = "flat"\n')
    flushed = known.declare(file.load(path))
    assert (flushed.addresses.height, flushed.endpoints.height) == (1, 0)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 20), st.integers(1, 20), st.integers(0, 9)),
        max_size=8,
    )
)
def test_agreeing_on_the_possible_never_takes_away_what_was_seen(lives: list[tuple]):
    """Whatever rows there are: seen stays inside valid, and valid only shrinks."""
    data = [
        {
            "endpoint_id": number,
            "network": "net",
            "endpoint_ip_hi": 0,
            "endpoint_ip_lo": ip,
            "kind": "pod",
            "valid_from": at(begin - before),
            "seen_from": at(begin),
            "seen_to": at(begin + length),
            "valid_to": at(begin + length + before),
        }
        for number, (ip, begin, length, before) in enumerate(lives)
    ]
    before = schema.complete(
        pl.DataFrame(data, schema=None if data else {"endpoint_id": pl.UInt64}),
        schema.ENDPOINTS.schema,
    )
    after = settle(before)
    assert after["endpoint_id"].to_list() == before["endpoint_id"].to_list()
    for old, new in zip(before.iter_rows(named=True), after.iter_rows(named=True), strict=True):
        assert old["valid_from"] <= new["valid_from"] <= new["seen_from"]
        assert new["seen_to"] <= new["valid_to"] <= old["valid_to"]


@pytest.mark.parametrize("op", ["put", "delete", "begin", "end", "quiet"])
def test_changes_of_nothing_are_harmless(op: str):
    """Each alone, at the very beginning."""
    known = registry()
    Feed(known).tell(1, op, "uid-x", object=pod("x", None))
    assert rows(known) == []
