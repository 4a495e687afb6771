"""Every kind of finding: the rows that make it, and rows that come near it and do not."""

from typing import Any

import pytest
from small_lake import SmallLake, emptied
from troubled import (
    EAST,
    NOON,
    PAY,
    TROUBLES,
    WEB,
    Trouble,
    at,
    calls,
    endpoint,
    fleet,
    judged,
    scrape,
    worse,
)

from pipeline.findings.kind import evidence
from pipeline.findings.kinds import FINDINGS
from pipeline.schema import create_view
from pipeline.views.ipspace import CONTENDED
from pipeline.views.unwell import UNWELL

KINDS = {kind.name: kind for kind in FINDINGS}
UNTIL = at(60)


@pytest.fixture
def lake() -> SmallLake:
    """The fleet, at peace."""
    lake = emptied()
    for view in (CONTENDED, UNWELL):
        lake.connection.execute(create_view(view))
    lake.connection.execute(f"SET VARIABLE until = TIMESTAMPTZ '{UNTIL.isoformat()}'")
    fleet(lake)
    return lake


def ask(lake: SmallLake, kind: str) -> list[dict[str, Any]]:
    result = lake.connection.execute(f"SELECT * FROM ({KINDS[kind].rows}) ORDER BY entity")
    names = [column[0] for column in result.description or ()]
    found = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    if found and (only_if := KINDS[kind].only_if):
        assert lake.connection.execute(f"{only_if} LIMIT 1").fetchone() is not None
    return found


def told(row: dict[str, Any]) -> tuple[object, ...]:
    return tuple(row[name] for name in ("severity", "entity", "clusters", "summary"))


def test_a_quiet_fleet_gives_no_findings(lake: SmallLake):
    """Good calls, one unit of a thousand lost: nothing to look at, of any kind."""
    assert [(kind, told(row)) for kind in KINDS for row in ask(lake, kind)] == []


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.kind)
def test_a_trouble_is_told_with_figures_and_evidence(lake: SmallLake, trouble: Trouble):
    """One finding, in these words; its evidence runs as it stands and gives the rows behind it."""
    lake.add(trouble.table, *trouble.rows())
    found = ask(lake, trouble.kind)
    assert trouble.finding in [told(row) for row in found]
    assert len(found) == 1 or trouble.kind == "range_exhaustion"
    (row,) = (row for row in found if told(row) == trouble.finding)
    query = evidence(KINDS[trouble.kind], row, UNTIL)
    assert "$" not in query
    assert len(lake.read(query)) == trouble.evidence


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.kind)
def test_what_comes_near_a_trouble_is_none(lake: SmallLake, trouble: Trouble):
    """Below the threshold, or another kind's."""
    lake.add(trouble.table, *trouble.less())
    assert ask(lake, trouble.kind) == []


def test_a_gateway_that_nothing_gets_through(lake: SmallLake):
    """Ten calls went to it, and no server's proxy logged any: the gateway is told, with its cluster."""
    gateway = {"name": "way-west", "network": "net-east", "cluster": "west"}
    lake.add(
        "gateways",
        gateway | {"gateway_ip": "203.0.113.20", "port": 15443, "to_network": "net-west"},
    )
    through = {"upstream_remote_ip": "203.0.113.20", "upstream_remote_port": 15443}
    lost = {"dst_endpoint_id": None, "status": 503, "service": "pay.shop"}
    lake.add("requests", *calls(10, WEB, PAY, **through, **lost))
    gone = {"state": "failing", "errors": 10, "requests": 10, "flags": ["UF", "URX"]}
    lake.add("health_1m", judged("gateway", "way-west", 0, **gone, blamed="network way-west"))
    (row,) = ask(lake, "unhealthy_gateway")
    assert told(row) == (
        *("error", "way-west", ["west"]),
        "failing: 100.0% errors; flags UF,URX; blame: network way-west (10 calls)",
    )
    assert len(lake.read(evidence(KINDS["unhealthy_gateway"], row, UNTIL))) == 10


def test_what_only_suffers_is_no_finding(lake: SmallLake):
    """A gateway is down: it is told, with the service, edge and cluster that suffer from it."""
    suffers = {"state": "failing", "errors": 10, "caused_by": "gateway way-west"}
    lake.add(
        "health_1m",
        judged("gateway", "way-west", cluster="west", state="failing", requests=10, errors=10),
        judged("service", "west/shop/pay", 0, **suffers),
        judged("edge", "east/shop/web -> west/shop/pay", 0, **suffers),
        judged("cluster", "west", 0, **suffers),
    )
    assert ask(lake, "unhealthy_service") == ask(lake, "unhealthy_edge") == []
    (row,) = ask(lake, "unhealthy_gateway")
    assert row["symptoms"] == [
        "cluster west",
        "edge east/shop/web -> west/shop/pay",
        "service west/shop/pay",
    ]
    assert row["summary"] == "failing: 100.0% errors (10 calls); 3 others suffer from it"


def test_an_upstream_that_fails_for_a_gateway_shows_the_gateway(lake: SmallLake):
    """East's proxies have no member of pay: its calls suffer from the gateway, so the stage joins them."""
    suffers = {"state": "failing", "errors": 10, "caused_by": "gateway way-west"}
    lake.add(
        "health_1m",
        judged("gateway", "way-west", cluster="west", state="failing", requests=10, errors=10),
        judged("edge", "east/shop/web -> west/shop/pay", 0, **suffers),
    )
    for row in scrape(0, upstream_members=2, upstream_members_healthy=0):
        lake.add("proxy_samples", row | {"service": "a"})
    (gateway,) = ask(lake, "unhealthy_gateway")
    (upstream,) = ask(lake, "upstream_failing")
    assert gateway["explains"] == ["east a"] == [upstream["shows"]]


def test_what_suffers_from_nobody_found_is_told_itself(lake: SmallLake):
    """A cause that is not bad enough to be a finding hides nothing."""
    told_by = {"state": "failing", "errors": 20, "caused_by": "certificate east/shop/cart"}
    lake.add("health_1m", judged("service", "east/shop/cart", 0, **told_by))
    (row,) = ask(lake, "unhealthy_service")
    assert row["entity"] == "east/shop/cart"
    assert row["summary"] == (
        "failing: 100.0% errors (20 calls); because of certificate east/shop/cart"
    )


def test_slower_for_a_gateway_is_the_gateways(lake: SmallLake):
    """Its clients' edges and services are told with it; a slow minute alone is none."""
    slow = {"caused_by": "gateway way-west"}
    lake.add(
        "health_1m",
        *worse("latency", "mean on the way 31 ms, usually 2.0 ms", ("gateway", "way-west")),
        *worse("latency", "median 33 ms, usually 4.0 ms", ("service", "west/shop/pay"), **slow),
        judged("service", "east/shop/cart", 0, regressed=["latency"], state="degraded"),
    )
    assert ask(lake, "latency_regressed") == []
    (row,) = ask(lake, "gateway_tax_regressed")
    assert row["symptoms"] == ["service west/shop/pay"]


def test_nobody_sees_what_is_there(lake: SmallLake):
    """After an hour of watching: nodes of a cluster together, clusters by themselves; no idle gateway."""
    lake.add("clusters", {"cluster": "south", "network": "net-south"})
    way = {
        "name": "way-south",
        "network": "net-east",
        "cluster": "south",
        "to_network": "net-south",
    }
    lake.add("gateways", way | {"gateway_ip": "203.0.113.30", "port": 15443})
    nodes = [
        endpoint(40 + n, "east", "n", f"10.1.9.{n}", kind="node", node=f"n{n}", pod=None)
        for n in range(7)
    ]
    lake.add("endpoints", *nodes, endpoint(50, "south", "n", "10.3.9.1", kind="node", node="s1"))
    assert ask(lake, "blind_spot") == []  # watched for a minute only
    lake.add("accounting", {"vantage_id": EAST, "minute": at(-3_600), "received_payloads": 1})
    assert [told(row) for row in ask(lake, "blind_spot")] == [
        ("warning", "cluster south", ["south"], "1 not seen for an hour: south"),
        (
            "warning",
            "nodes of east",
            ["east"],
            "7 not seen for an hour: east/n0, east/n1, east/n2, east/n3, east/n4...",
        ),
    ]
    row = ask(lake, "blind_spot")[1]
    assert len(lake.read(evidence(KINDS["blind_spot"], row, UNTIL))) == 7


def test_names_in_evidence_are_quoted():
    """What a peer calls itself cannot become SQL, nor another column's value."""
    row = {"cluster": "x' OR 'a' = 'a", "exporter": "$cluster", "format": None}
    query = evidence(KINDS["telemetry_loss"], row, NOON)
    assert (
        "WHERE cluster = 'x'' OR ''a'' = ''a' AND exporter = '$cluster' AND format = NULL" in query
    )
    assert "minute >= TIMESTAMPTZ '2026-11-26T11:45:00+00:00'" in query


def test_every_kind_has_a_test():
    """By the troubles above, or by a test of its own."""
    own = {"unhealthy_gateway", "blind_spot"}
    assert {trouble.kind for trouble in TROUBLES} | own == set(KINDS)
