"""How safe each pair of workloads is, leg by leg, of conversations made by hand."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from edge_rows import NOON
from small_lake import SmallLake, emptied
from two_clusters import INVENTORY

from pipeline import schema
from pipeline.health.security import _alike
from pipeline.views.security import security_sql

FRONTEND, REVIEWS = "east/shop/frontend", "west/shop/reviews"
OURS, THEIRS = "spiffe://shop.test/ns/shop/sa/frontend", "spiffe://shop.test/ns/shop/sa/reviews"
EAST, WEST, WAY = 1, 2, 3
TLS = "TLSv1.3"
END = NOON.replace(minute=1)
EACH = "(SELECT *, 1 AS alike FROM edges)"


@pytest.fixture
def lake(tmp_path: Path) -> SmallLake:
    """Two clusters, one proxy log each, and a gateway's."""
    lake = emptied()
    lake.inventory(tmp_path, INVENTORY)
    for number, cluster, exporter in (
        (EAST, "east", "a"),
        (WEST, "west", "b"),
        (WAY, "west", "way-1"),
    ):
        lake.add("vantages", {"vantage_id": number, "cluster": cluster, "exporter": exporter})
    return lake


def converse(lake: SmallLake, number: int, *legs: dict[str, Any], **more: Any) -> None:
    """One conversation of frontend and reviews, and its legs in order."""
    ids = dict(lake.read("SELECT cluster, endpoint_id FROM endpoints"))
    ends = {
        "client_endpoint_id": ids["east"],
        "client_cluster": "east",
        "server_endpoint_id": ids["west"],
        "server_cluster": "west",
        "path_model": "gateway" if any(leg["role"] == "gateway" for leg in legs) else "flat",
    }
    lake.add("edges", {"edge_id": number, "window_start": NOON, "error": False, **ends, **more})
    for hop, leg in enumerate(legs):
        lake.add("legs", {"edge_id": number, "window_start": NOON, "hop": hop, **leg})


CLIENT = {
    "role": "client",
    "vantage_id": EAST,
    "upstream_tls": TLS,
    "upstream_peer_identity": THEIRS,
}
SERVER = {
    "role": "server",
    "vantage_id": WEST,
    "downstream_tls": TLS,
    "downstream_peer_identity": OURS,
}
PASSES = {"role": "gateway", "vantage_id": WAY}


def open_client() -> dict[str, Any]:
    return CLIENT | {"upstream_tls": None, "upstream_peer_identity": None}


def open_server() -> dict[str, Any]:
    return SERVER | {"downstream_tls": None, "downstream_peer_identity": None}


ENDS = {"downstream_tls": TLS}
"""Of a gateway that ends TLS."""
CONVERSATIONS = {
    "flat": ([CLIENT, SERVER], 1, 1, []),
    "passed through": ([CLIENT, PASSES, SERVER], 1, 1, []),
    "not seen to arrive": ([CLIENT, PASSES], 1, 0, []),
    "client alone": ([CLIENT], 1, 1, []),
    "server alone": ([SERVER], 1, 1, []),
    "in the clear": ([open_client(), open_server()], 0, 0, ["client east -> server west"]),
    "one end says so": ([CLIENT, open_server()], 1, 1, []),
    "sent on in the clear": (
        [CLIENT, PASSES | ENDS, open_server()],
        0,
        0,
        ["gateway west -> server west"],
    ),
    "in the clear to the gateway": (
        [open_client(), PASSES | {"upstream_tls": TLS}, SERVER],
        0,
        0,
        ["client east -> gateway west"],
    ),
    "gateway alone": ([PASSES], 0, 0, ["client -> gateway west", "gateway -> server"]),
    "nobody shown at the end": (
        [
            CLIENT,
            PASSES | ENDS | {"upstream_tls": TLS},
            SERVER | {"downstream_peer_identity": None},
        ],
        1,
        0,
        [],
    ),
}


def test_conversations_leg_by_leg(lake: SmallLake):
    """One end that says so is enough; what a gateway passes on is as it came."""
    for number, (name, (legs, *_)) in enumerate(CONVERSATIONS.items()):
        converse(lake, number, *legs, server_endpoint_id=None, service=name)
    told = lake.read(
        "SELECT server_entity, encrypted, identified, open_legs"
        f" FROM ({security_sql(NOON, END, EACH, 'legs')})"
    )
    assert {name.removeprefix("service:"): tuple(row) for name, *row in told} == {
        name: tuple(expected) for name, (_, *expected) in CONVERSATIONS.items()
    }


def test_a_failed_call_is_not_called_plaintext(lake: SmallLake):
    """It never came so far."""
    converse(lake, 1, CLIENT, SERVER)
    converse(lake, 2, open_client(), error=True)
    told = lake.read(f"SELECT conversations, encrypted FROM ({security_sql(NOON, END, EACH, 'legs')})")  # fmt: skip
    assert told == [(1, 1)]


def test_conversations_that_are_alike_are_one():
    """Whichever call, whatever order its legs come in; not by another end, peer, proxy or TLS."""
    taken = SERVER | {"hop": 1}
    others = [
        ({}, SERVER | {"hop": 2}),
        ({}, taken | {"vantage_id": EAST}),
        ({}, taken | {"downstream_tls": None}),
        ({}, taken | {"downstream_peer_identity": None}),
        ({"server_endpoint_id": None}, taken),
        ({"error": True}, taken),
    ]
    ends = {"client_endpoint_id": 7, "server_endpoint_id": 2**64 - 1, "error": False}
    edges, legs = [], []
    for number, (more, server) in enumerate([({}, taken), ({}, taken), *others]):
        edges.append(ends | {"edge_id": number} | more)
        legs += [leg | {"edge_id": number} for leg in (CLIENT | {"hop": 0}, server)]
    unstitched = SERVER | {"hop": 0}
    told = _alike(
        pl.DataFrame(edges, schema.EDGES.schema),
        pl.DataFrame([unstitched, *reversed(legs[:2]), *legs[2:]], schema.LEGS.schema),
    )
    counts = dict(told[0].select("edge_id", "alike").iter_rows())
    assert counts == {0: 2, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1, 7: 1}
    assert sorted(told[1]["edge_id"]) == sorted([*counts, *counts])


def test_trust_domains_as_peers_saw_them(lake: SmallLake):
    """Of the client as the next hop saw it, of the server as the last saw it."""
    other = "spiffe://west.test/ns/shop/sa/reviews"
    converse(lake, 1, CLIENT | {"upstream_peer_identity": other}, SERVER)
    told = lake.read(
        "SELECT client_trust_domains, server_trust_domains, exporters"
        f" FROM ({security_sql(NOON, END, EACH, 'legs')})"
    )
    assert told == [(["shop.test"], ["west.test"], [])]


def test_what_policies_decided(lake: SmallLake):
    """Requests a proxy let in, and packets of which a datapath says what matched; of this pair alone."""
    converse(lake, 1, CLIENT, SERVER)
    ids = dict(lake.read("SELECT cluster, endpoint_id FROM endpoints"))
    pair = {"src_endpoint_id": ids["east"], "dst_endpoint_id": ids["west"]}
    let_in = pair | {"start_time": NOON, "reporter": "destination", "authz": "allowed"}
    lake.add("requests", let_in, let_in | {"reporter": "source"}, let_in | {"start_time": END})
    packet = pair | {"event_time": NOON, "event_type": "policy_verdict", "verdict": "FORWARDED"}
    lake.add(
        "verdicts",
        packet | {"policy_match": "l3_l4", "allowed_by": []},
        packet | {"policy_match": "none", "allowed_by": []},
        packet | {"policy_match": "none", "allowed_by": None},
        packet | {"policy_match": "none", "allowed_by": [], "event_type": "trace"},
    )
    columns = "SELECT allowed, unmatched FROM"
    with_verdicts = security_sql(NOON, END, EACH, "legs")
    without = security_sql(NOON, END, EACH, "legs", verdicts=False)
    assert lake.read(f"{columns} ({with_verdicts})") == [(2, 2)]
    assert lake.read(f"{columns} ({without})") == [(1, 0)]


def minute(lake: SmallLake, **more: Any) -> None:
    """A row of a minute between the two."""
    row = {
        "minute": NOON,
        "client_entity": FRONTEND,
        "client_cluster": "east",
        "server_entity": REVIEWS,
        "server_cluster": "west",
        "path_model": "gateway",
        "gateway": "west-gateway",
        "conversations": 10,
        "encrypted": 10,
        "identified": 9,
        "open_legs": [],
        "client_trust_domains": [],
        "server_trust_domains": [],
        "denied": 0,
        "denied_by": [],
        "allowed": 0,
        "unmatched": 0,
    }
    lake.add("security_1m", row | more)


def edges(lake: SmallLake, columns: str, span: str = "v_security_edges") -> list[tuple[Any, ...]]:
    return lake.read(f"SELECT {columns} FROM {span} ORDER BY client, server")


def test_minutes_add_up(lake: SmallLake):
    """Shares are of all calls of the span, and a span is cut at its ends."""
    minute(lake)
    minute(lake, minute=END, encrypted=0, identified=0, open_legs=["client east -> gateway west"])
    shares = "requests, tls_requests, tls_share, identity_share, plaintext_legs"
    legs = ["client east -> gateway west"]
    assert edges(lake, shares) == [(20, 10, 0.5, 0.45, legs)]
    first = f"security_between(TIMESTAMPTZ '{NOON}', TIMESTAMPTZ '{END}')"
    assert edges(lake, shares, first) == [(10, 10, 1.0, 0.9, [])]


def test_nobody_tells_of_tls(lake: SmallLake):
    """Where no proxy of the sending cluster ever does, that a leg is in the clear is not known."""
    minute(lake, encrypted=0, identified=0, open_legs=["client east -> gateway west"])
    told = edges(lake, "plaintext_legs, untold_legs")
    assert told == [([], ["client east -> gateway west"])]


def test_what_graphs_ask_is_what_the_view_says(lake: SmallLake):
    """Pairs with a plaintext leg, and no other: not what is encrypted, nor what nobody can tell."""
    minute(lake, open_legs=["gateway west -> server west", "client east -> gateway west"])
    minute(lake, server_entity="b")
    minute(
        lake,
        client_cluster="lab",
        server_entity="c",
        encrypted=0,
        open_legs=["client lab -> server west"],
    )
    span = f"plaintext_between(TIMESTAMPTZ '{NOON}', TIMESTAMPTZ '{END}')"
    found = lake.read(f"SELECT client, server, plaintext_legs FROM {span}")
    assert found == edges(
        lake, "client, server, plaintext_legs", "v_security_edges WHERE len(plaintext_legs) > 0"
    )
    assert [legs for _, _, legs in found] == [["client east -> gateway west"]]


def test_what_a_server_got_from_nobody_known_is_told_by_its_own_cluster(lake: SmallLake):
    """No TLS at a sidecar whose cluster tells of TLS is plaintext; a gateway that passes it on tells none."""
    minute(lake, client_cluster="west", server_entity="a")
    unknown = {"client_entity": "unknown", "client_cluster": None, "encrypted": 0}
    minute(lake, **unknown, server_entity="b", open_legs=["client -> server west"])
    minute(lake, **unknown, server_entity="c", open_legs=["client -> gateway west"])
    minute(lake, **unknown, server_entity="d", open_legs=["client -> server lab"])
    minute(lake, **unknown, server_entity="e", open_legs=["gateway -> server"])
    minute(lake, **unknown, server_entity="f", open_legs=["gateway -> server west"])
    assert edges(lake, "server, plaintext_legs, untold_legs") == [
        ("a", [], []),
        ("b", ["client -> server west"], []),
        ("c", [], ["client -> gateway west"]),
        ("d", [], ["client -> server lab"]),
        ("e", [], ["gateway -> server"]),
        ("f", ["gateway -> server west"], []),
    ]


def test_policy_is_told_or_unknown(lake: SmallLake):
    """Denied or allowed by one: covered; no policy matched: not covered; nobody tells: unknown."""
    for entity, told in {
        "a": {},
        "b": {"denied": 2, "denied_by": ["ns[shop]-policy[b]"]},
        "c": {"allowed": 1, "unmatched": 3},
        "d": {"unmatched": 3},
    }.items():
        minute(lake, server_entity=entity, **told)
    assert edges(lake, "server, denied, policy, covered_by_policy") == [
        ("a", 0, None, None),
        ("b", 2, "ns[shop]-policy[b]", True),
        ("c", 0, None, True),
        ("d", 0, None, False),
    ]


def test_proxies_that_decide_cover_their_server(lake: SmallLake):
    """Counters of decisions, and certificates, of the proxies of either end."""
    ids = {
        "endpoint_id": 7,
        "network": "net-west",
        "cluster": "west",
        "namespace": "shop",
        "workload": "reviews",
        "pod": "reviews-0",
        "kind": "pod",
        "endpoint_ip": "10.0.0.12",
    }
    lake.add("endpoints", ids)
    lake.add("vantages", {"vantage_id": 9, "cluster": "west", "exporter": "reviews-0", "format": "prometheus"})  # fmt: skip
    scraped = {"vantage_id": 9, "received_time": NOON}
    expires = NOON.replace(day=29).timestamp()
    lake.add(
        "proxy_samples",
        scraped | {"metric": "scrape_samples", "value": 3.0},
        scraped | {"metric": "authz_allowed", "value": 5.0, "direction": "inbound"},
        scraped | {"metric": "certificate_expiry_time", "name": "default", "value": expires},
    )
    minute(lake)
    assert edges(lake, "covered_by_policy, certificate_days_left") == [(True, 3.0)]


def test_trust_domains_of_the_inventory(lake: SmallLake):
    """Seen or declared, they cross if they differ; what is seen and not declared is unexpected."""
    crossing = "client_trust_domains, server_trust_domains, crosses_trust_domains, unexpected_trust_domains"
    minute(lake)
    assert edges(lake, crossing) == [([], [], None, [])]
    lake.connection.execute("UPDATE clusters SET trust_domain = cluster || '.test'")
    assert edges(lake, crossing) == [(["east.test"], ["west.test"], True, [])]
    minute(lake, client_trust_domains=["west.test"], server_trust_domains=["west.test"])
    assert edges(lake, crossing) == [(["west.test"], ["west.test"], False, ["west.test"])]
