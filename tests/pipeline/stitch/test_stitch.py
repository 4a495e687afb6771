"""Records that are one conversation, and records that only look so: by hand."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stitch_rows import (
    FRONTEND,
    NODE,
    REVIEWS,
    START,
    client,
    gate,
    joined,
    paths,
    server,
    sockets,
    translation,
    why,
)

from pipeline.stitch import Stitched
from pipeline.stitch.pairs import Span

ID = {"request_id": "a"}
FROM_NODE = {"src_endpoint_id": NODE}
FLAT = sockets(upstream_local="10.0.0.5:40000", upstream_remote="10.0.0.6:8080")
FLAT_SERVER = sockets(downstream_remote="10.0.0.5:40000", downstream_local="10.0.0.6:8080")
EAST: dict[str, Any] = {"network": "n-east", "cluster": "east", "src_method": "exact"}


def only(frame: pl.DataFrame) -> dict[str, Any]:
    """The one row."""
    assert frame.height == 1
    return frame.row(0, named=True)


def test_one_id_joins_both_ends_and_the_servers_connection_its_gateway():
    """Three records, three clusters' clocks, one conversation: who, how long, what the path cost."""
    made = joined(client(1, **ID), gate(2), server(3, at=1.9, **ID))
    assert paths(made) == [[1, 2, 3]]
    edge = only(made.edges)
    assert (edge["client_endpoint_id"], edge["server_endpoint_id"]) == (FRONTEND, REVIEWS)
    assert (edge["client_cluster"], edge["server_cluster"]) == ("east", "west")
    assert (edge["match_method"], edge["confidence"]) == ("request_id", 1.0)
    assert (edge["path_model"], edge["hops"], edge["gateways"]) == ("gateway", 3, [2])
    assert (edge["client_ms"], edge["server_ms"], edge["tax_ms"]) == (20, 12, 8)
    assert (edge["bytes_difference"], edge["start_time"], edge["error"]) == (10, START, False)
    legs = made.legs.select("hop", "role", "match_method", "carried", "unmatched").rows()
    assert legs == [
        (0, "client", None, 1, None),
        (1, "gateway", "connection", 1, None),
        (2, "server", "request_id", 1, None),
    ]


def test_gateways_of_an_edge_are_in_the_order_of_its_hops():
    """A waypoint behind the gateway that told of the call earlier: the gateway is still the first."""
    told = {"method": "GET", "authority": "reviews:8080", "path": "/r", "ms": 15, **ID}
    waypoint = gate(1, at=-0.5, sender="10.0.0.9:1", reporter="waypoint", gate_port=1, **told)
    made = joined(client(3, **ID), gate(2), server(4, **ID), waypoint)
    assert paths(made) == [[3, 2, 1, 4]]
    assert only(made.edges)["gateways"] == [2, 1]


def test_an_id_that_goes_on_to_another_service_is_another_conversation():
    """Services pass x-request-id on: authority, method and path tell the calls apart."""
    other = {"authority": "ratings:8080", "service": "ratings"}
    made = joined(
        *(client(1, **ID), server(2, **ID)),
        *(client(3, at=0.004, port=40_001, **ID, **other), server(4, at=0.006, **ID, **other)),
    )
    assert paths(made) == [[1, 2], [3, 4]]


def test_a_call_that_was_sent_twice_has_both_attempts_at_one_hop():
    """As many servers' records as the client's proxy says it sent, and the last is the answer's."""
    made = joined(
        client(1, ms=900, attempts=2, **ID),
        server(2, at=0.01, ms=5, status=503, **ID),
        server(3, at=0.5, ms=40, **ID),
    )
    assert paths(made) == [[1, 2, 3]]
    assert made.legs["hop"].to_list() == [0, 1, 1]
    edge = only(made.edges)
    assert (edge["attempts"], edge["server_ms"], edge["hops"]) == (2, 40, 2)


def test_more_records_than_it_was_sent_are_not_guessed_at():
    """One attempt, two servers' records of the same id: neither is taken, both are counted."""
    made = joined(client(1, **ID), server(2, **ID), server(3, at=0.01, **ID))
    assert paths(made) == [[1]]
    assert why(made) == {1: "ambiguous", 2: "ambiguous", 3: "ambiguous"}


def test_calls_with_one_id_in_turn_are_paired_in_their_order():
    """The same call twice: one shift of the clocks must do for both, as it does here and only here."""
    calls = client(1, ms=20, **ID), client(2, at=0.1, ms=20, **ID)
    assert paths(joined(*calls, server(3, at=1.005, **ID), server(4, at=1.105, **ID))) == [
        [1, 3],
        [2, 4],
    ]
    wrong = joined(*calls, server(3, at=1.005, **ID), server(4, at=1.205, **ID))
    assert paths(wrong) == [[1], [2]]
    assert set(why(wrong).values()) == {"ambiguous"}


def test_an_id_that_many_calls_have_leaves_it_to_their_connections():
    """A client that always sends the same one: sockets tell, and in a network without them nothing."""
    ends = [
        (FLAT, FLAT_SERVER),
        (
            sockets(upstream_local="10.0.0.5:40001", upstream_remote="10.0.0.6:8080"),
            sockets(downstream_remote="10.0.0.5:40001", downstream_local="10.0.0.6:8080"),
        ),
    ]
    rows = [
        row
        for nth, (asked, served) in enumerate(ends)
        for row in (
            client(1 + nth, dst_method="exact", **asked, **ID),
            server(3 + nth, at=0.002 * (2 - nth), **served, **EAST, **ID),
        )
    ]
    made = joined(*rows)
    assert paths(made) == [[1, 3], [2, 4]]
    assert made.edges["match_method"].to_list() == ["connection", "connection"]
    assert set(why(made).values()) == set()
    apart = [row | sockets(downstream_remote="10.0.0.9:1") for row in rows[1::2]]
    assert paths(joined(*rows[::2], *apart)) == [[1], [2]]


def test_the_same_socket_in_the_same_network_joins_without_ids():
    """A flat network: 4-tuple and time; and the address is who it is in that network only."""
    flat = {**FLAT, "dst_method": "exact"}
    made = joined(client(1, **flat), server(2, **FLAT_SERVER, **EAST))
    edge = only(made.edges)
    assert (edge["match_method"], edge["confidence"]) == ("connection", 0.98)
    assert edge["path_model"] == "flat"  # reviews is of another cluster
    elsewhere = joined(client(1, **flat), server(2, **FLAT_SERVER))
    assert paths(elsewhere) == [[1], [2]]


def test_a_public_socket_is_the_same_in_every_network():
    """No translation on the way: what the gateway saw come is what the client's proxy opened."""
    public = sockets(upstream_local="192.0.2.7:40000")
    seen = gate(2, sender="192.0.2.7:40000")
    made = joined(client(1, **public), seen, server(3))
    assert paths(made) == [[1, 2, 3]]
    assert only(made.edges)["match_method"] == "connection"
    private = gate(2, sender="10.0.0.5:40000", src_endpoint_id=FRONTEND)
    assert paths(joined(client(1), private, server(3))) == [[1], [2, 3]]


def test_a_recorded_translation_bridges_a_nat():
    """Address and port are others behind it; the flow record of the NAT says which."""
    told = translation("10.0.0.5:40000", "198.51.100.9:1234")
    rows = client(1), gate(2, sender="198.51.100.9:1234"), server(3)
    made = joined(*rows, flows=told)
    assert paths(made) == [[1, 2, 3]]
    edge = only(made.edges)
    assert edge["match_method"] == "nat"
    assert edge["confidence"] == pytest.approx(0.97 * 0.98)


def test_a_translation_whose_far_side_nobody_saw_leads_to_nobody_else():
    """What the port or the name would say is known to be wrong."""
    told = translation("10.0.0.5:40000", "198.51.100.9:1234")
    made = joined(client(1), gate(2, sender="198.51.100.9:4321"), server(3), flows=told)
    assert paths(made) == [[1], [2, 3]]


def test_a_port_that_a_node_kept_joins_with_service_and_gateway():
    """A node hides its pods' addresses and keeps their ports where it can."""
    made = joined(client(1), gate(2, **FROM_NODE), server(3))
    assert paths(made) == [[1, 2, 3]]
    assert only(made.edges)["match_method"] == "nat_port"


def test_two_pods_with_one_port_are_not_told_apart_by_it():
    """Both could have kept it: neither is taken, nor asked about by weaker evidence."""
    two = sockets(upstream_local="10.0.0.6:40000")
    made = joined(client(1), client(4, **two), gate(2, **FROM_NODE), server(3))
    assert paths(made) == [[1], [2, 3], [4]]


def test_the_only_connection_for_a_service_then_is_the_one():
    """No port, no record: SNI, gateway, time and octets, if one fits one."""
    rows = client(1), gate(2, sender="198.51.100.9:1"), server(3)
    made = joined(*rows)
    assert paths(made) == [[1, 2, 3]]
    edge = only(made.edges)
    assert edge["match_method"] == "sni"
    assert edge["confidence"] == pytest.approx(0.8 * 0.98)


@pytest.mark.parametrize(
    "other",
    [
        {"service": "ratings"},
        {"service_subset": "v2"},
        {"cluster": "south"},
        {"network": "n-south"},
        {"at": 2.5},
        {"bytes_sent": 499},
        {"src_endpoint_id": REVIEWS},
    ],
)
def test_what_does_not_fit_is_not_the_one(other: dict[str, Any]):
    """Another service, subset, gateway, network or time; fewer octets than went; another's pod."""
    made = joined(client(1), gate(2, **{"sender": "198.51.100.9:1", **other}))
    assert paths(made) == [[1], [2]]
    assert why(made) == {1: "no_server", 2: "no_ends"}


def test_two_connections_that_fit_are_ambiguous():
    """One of them is it; that is no reason to take either."""
    gates = gate(2, sender="198.51.100.9:1"), gate(3, sender="198.51.100.9:2", gate_port=50_001)
    assert paths(joined(client(1), *gates)) == [[1], [2], [3]]


@pytest.mark.parametrize("ahead", [0, 1.5, -1.5])
def test_a_port_used_again_at_once_is_told_apart_by_clocks_that_are_known(ahead: float):
    """Two connections with one socket, 0.5 s apart; a third shows what the servers' clock is."""
    rows = [
        *(client(1, request_id="a"), gate(2, ms=30)),
        server(3, at=0.002 + ahead, request_id="a"),
        *(client(1, at=0.5, port=40_001, request_id="b"), gate(2, at=0.5, ms=100)),
        server(3, at=0.502 + ahead, request_id="b"),
    ]
    assert _gates_ms(joined(*rows)) == {0: [], 500: []}
    certain = [
        *(client(1, at=5, port=40_002, request_id="c"), gate(2, at=5, ms=40, gate_port=50_001)),
        server(3, at=5.002 + ahead, port=50_001, request_id="c"),
    ]
    assert _gates_ms(joined(*rows, *certain)) == {0: [30], 500: [100], 5_000: [40]}
    # Of another proxy's clock nothing is known.
    other = [{**row, "vantage_id": 4} if row["reporter"] == "gateway" else row for row in certain]
    assert _gates_ms(joined(*rows, *other)) == {0: [], 500: [], 5_000: [40]}


def test_a_connection_is_not_that_of_calls_which_do_not_fit_into_it():
    """The port was used before, by a connection whose record was lost: whose calls are whose?"""
    first = client(1, request_id="a"), server(3, request_id="a")
    second = client(1, at=0.5, port=40_001, request_id="b"), server(3, at=0.502, request_id="b")
    assert _gates_ms(joined(*first, *second, gate(2, at=0.5, ms=100))) == {0: [], 500: []}
    assert _gates_ms(joined(*first, *second, gate(2, ms=550))) == {0: [550], 500: [550]}


def test_calls_that_do_not_fit_into_a_connection_are_not_of_it():
    """A client used its port again, the gateway's record of the first connection was lost."""
    calls = client(1), client(1, at=2)
    assert paths(joined(*calls, gate(2, at=2, ms=100, **FROM_NODE))) == [[1], [1], [2]]
    assert paths(joined(*calls, gate(2, ms=2_100, **FROM_NODE))) == [[1, 2], [1, 2]]


def test_a_connection_of_which_the_servers_are_not_known_is_no_only_one():
    """One of its servers' records is of another connection; which service name says nothing."""
    asked, through = client(1, at=0.5), gate(2, at=0.5, ms=100)
    assert paths(joined(asked, through, server(3, at=0.502))) == [[1, 2, 3]]
    assert paths(joined(asked, through, server(3), server(4, at=0.502))) == [[1], [2], [3], [4]]


def _gates_ms(made: Stitched) -> dict[int, list[float]]:
    """By when a conversation began, its gateways' durations: all milliseconds."""
    gates = made.legs.filter(pl.col("role") == "gateway").group_by("edge_id").agg("duration_ms")
    edges = made.edges.join(gates, on="edge_id", how="left").with_columns(
        at=(pl.col("start_time") - START).dt.total_milliseconds(),
        duration_ms=pl.col("duration_ms").fill_null([]),
    )
    clients = edges.filter(pl.col("client_ms").is_not_null())
    return dict(clients.select("at", "duration_ms").iter_rows())


def test_many_calls_share_one_connection():
    """A pool: the gateway's one record is a leg of each, and says of how many."""
    calls = [client(n, at=n / 10) for n in (1, 2, 3)]
    served = [server(n + 10, at=n / 10 + 0.002) for n in (1, 2, 3)]
    made = joined(*calls, gate(9, **FROM_NODE), *served)
    assert paths(made) == [[1, 9, 11], [2, 9, 12], [3, 9, 13]]
    assert made.legs.filter(role="gateway")["carried"].to_list() == [3, 3, 3]


def test_calls_of_a_connection_of_which_some_are_missing_are_not_numbered_off():
    """Two clients' records, three servers': which is missing is not known, but who served is."""
    served = [server(n + 10, at=n / 10 + 0.002) for n in (1, 2, 3)]
    made = joined(client(1, at=0.1), client(2, at=0.3), gate(9, **FROM_NODE), *served)
    assert paths(made) == [[1, 9], [2, 9]]
    assert made.edges["server_endpoint_id"].to_list() == [REVIEWS, REVIEWS]
    assert why(made) == dict.fromkeys([1, 2, 11, 12, 13], "ambiguous")
    assert made.legs.filter(pl.col("vantage_id") > 10)["edge_id"].to_list() == [None] * 3


def test_a_connection_that_goes_on_beyond_what_was_read_is_not_numbered_off():
    """Its records of one end may be in the next minute."""
    begun = int(START.timestamp() * 1e6)
    rows = client(1, at=5), gate(9, at=5, **FROM_NODE), server(3, at=5.002)
    inside = Span(begun, begun + 10_000_000)
    assert paths(joined(*rows, span=inside)) == [[1, 9, 3]]
    assert paths(joined(*rows, span=Span(begun, begun + 6_000_000))) == [[1, 9]]


def test_ids_that_differ_are_not_joined_by_what_is_weaker():
    """Both ends have an id, of another call each: the same connection does not make them one."""
    made = joined(client(1, request_id="a"), gate(2, **FROM_NODE), server(3, request_id="b"))
    assert paths(made) == [[1, 2], [2, 3]]
    lone = made.edges.filter(pl.col("request_id") == "b").row(0, named=True)
    assert lone["client_endpoint_id"] == FRONTEND  # by its connection, not by its call
    assert why(made) == {1: "no_server", 3: "no_client"}


def test_the_only_call_by_an_identity_to_a_service_is_the_one():
    """Where no gateway told of the connection: who called what, in the network called into."""
    peer = {"downstream_peer_identity": "spiffe://m/frontend"}
    made = joined(client(1), server(2, **peer))
    edge = only(made.edges)
    assert (edge["match_method"], edge["confidence"]) == ("identity", 0.6)
    two = joined(client(1), server(2, **peer), server(3, at=0.5, **peer))
    assert paths(two) == [[1], [2], [3]]
    assert why(two) == {1: "ambiguous", 2: "no_client", 3: "no_client"}
    assert paths(joined(client(1), server(2, network="n-south", cluster="south", **peer))) == [
        [1],
        [2],
    ]


def test_what_two_channels_tell_is_one_record():
    """A stream has fractions of a millisecond, a file has not."""
    made = joined(
        client(1, ms=20.7, **ID), client(5, ms=20, **ID), server(3, **ID), server(7, **ID)
    )
    assert paths(made) == [[1, 3]]


def test_health_checks_and_records_of_what_goes_on_are_no_conversations():
    """Nor what a proxy says of one try, of a call that has its own record."""
    made = joined(
        client(1, is_health_check=True),
        client(2, log_type="periodic"),
        client(3, log_type="attempt"),
        client(4, reporter="unknown"),
    )
    assert made.edges.height == made.legs.height == 0


def test_an_edge_keeps_its_id_when_more_becomes_known():
    """A late record makes it longer, not another one."""
    alone, whole = joined(client(1, **ID)), joined(client(1, **ID), server(3, **ID))
    ids = alone.edges["edge_id"].to_list(), whole.edges["edge_id"].to_list()
    assert ids == ([598695057213812209], [598695057213812209])


_ROW = st.builds(
    lambda make, at, port, other: make(1, at=at, port=port, **other),
    st.sampled_from([client, server]),
    st.sampled_from([-3e9, 0, 0.001, 59.9]),
    st.sampled_from([40_000, 50_000]),
    st.fixed_dictionaries(
        {
            "request_id": st.sampled_from([None, "", "a"]),
            "duration_ms": st.sampled_from([None, -1.0, 0.5, 1e300, float("nan"), float("inf")]),
            "bytes_sent": st.sampled_from([None, 0, 2**64 - 1]),
            "attempts": st.sampled_from([None, 0, 2, 2**32 - 1]),
            "method": st.sampled_from([None, "GET"]),
            "network": st.sampled_from([None, "n-east", "n-west"]),
            "reporter": st.sampled_from([None, "source", "gateway", "waypoint", "destination"]),
            "upstream_local_ip_lo": st.sampled_from([None, 0, 2**64 - 1]),
            "service": st.sampled_from([None, "reviews"]),
        }
    ),
)


@settings(max_examples=60)
@given(st.lists(_ROW, min_size=1, max_size=12))
def test_any_records_are_legs_each_once_at_its_end(rows: list[dict[str, Any]]):
    """Whatever proxies say: no exception, nothing lost, nothing at an end of two conversations."""
    numbered = [{**row, "vantage_id": number} for number, row in enumerate(rows)]
    made = joined(*numbered)
    ends = made.legs.filter(pl.col("role") != "gateway")["vantage_id"]
    assert ends.is_duplicated().sum() == 0
    assert made.edges["edge_id"].is_duplicated().sum() == 0
    legs = made.legs.drop_nulls("edge_id")
    assert set(legs["edge_id"]) == set(made.edges["edge_id"])
