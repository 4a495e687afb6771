"""
Who is to blame for a call that failed, by what both proxies and their neighbours logged.

One lake serves all tests: each test has a minute, and names of requests, of its own.
"""

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from two_clusters import INVENTORY

from pipeline import schema
from pipeline.inventory import file as inventory
from pipeline.lake import Commit, Lake, sync_inventory
from pipeline.memory import asked
from pipeline.rollup import WRONG_CALLS, rollup, wrong_calls
from pipeline.views.failed import failed_sql
from pipeline.windows import Window

MAPPED = 0xFFFF << 32
FRONTEND = REVIEWS = MAPPED | 0x0A00000B
GATEWAY = MAPPED | 0xCB007114
BEGAN = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
EAST, WEST, EAST_ALS = 1, 2, 3
VANTAGES = [
    (EAST, "east", "net-east", "a", "frontend.log", "envoy_json", 0),
    (WEST, "west", "net-west", "b", "reviews.log", "envoy_json", 0),
]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Generator[Lake]:
    """A lake with two clusters of the same pod addresses, west behind a gateway."""
    tmp_path = tmp_path_factory.mktemp("blame")
    file = tmp_path / "inventory.toml"
    file.write_text(INVENTORY)
    with Lake(tmp_path / "lake") as opened:
        sync_inventory(opened, inventory.load(file).tables)
        rows = pl.DataFrame(VANTAGES, schema.VANTAGES.schema, orient="row")
        opened.commit(Commit({"vantages": rows}))
        yield opened


def endpoint(lake: Lake, cluster: str) -> int:
    return lake.read(f"SELECT endpoint_id FROM endpoints WHERE cluster = '{cluster}'").item()


def log(lake: Lake, minute: int, *rows: dict[str, Any]) -> None:
    """Put rows into `requests`; every row has its own start unless it says otherwise."""
    began = BEGAN + timedelta(minutes=minute)
    ends = {
        "source": {
            "vantage_id": EAST,
            "src_endpoint_id": endpoint(lake, "east"),
            "upstream_local_ip_hi": 0,
            "upstream_local_ip_lo": FRONTEND,
        },
        "destination": {"vantage_id": WEST, "dst_endpoint_id": endpoint(lake, "west")},
    }
    base = {
        "received_time": BEGAN,
        "protocol": "HTTP/1.1",
        "method": "GET",
        "path": "/",
        "authority": "reviews",
        "service": "reviews.shop",
        "response_flags": [],
        "duration_ms": 1.0,
    }
    filled = [
        base
        | {"start_time": began + timedelta(milliseconds=n)}
        | ends.get(row["reporter"], {})
        | row
        for n, row in enumerate(rows)
    ]
    columns = schema.REQUESTS.schema
    frame = pl.DataFrame(
        [{name: row.get(name) for name in columns} for row in filled], schema=columns
    )
    lake.commit(Commit({"requests": frame}))


def client(request: str | None, **values: Any) -> dict[str, Any]:
    """What the client's proxy logged of a call through the gateway."""
    through = {"upstream_remote_ip_hi": 0, "upstream_remote_ip_lo": GATEWAY}
    return {
        "reporter": "source",
        "request_id": request,
        "upstream_remote_port": 15443,
        **through,
        **values,
    }


def server(request: str | None, **values: Any) -> dict[str, Any]:
    """What the server's proxy logged of it."""
    return {"reporter": "destination", "request_id": request, **values}


def blamed(lake: Lake, request: str) -> tuple[Any, ...]:
    query = f"SELECT error, blame, blamed_entity, blame_reason FROM v_calls WHERE request_id = '{request}'"
    rows = lake.read(query).rows()
    assert len(rows) == 1
    return rows[0]


CASES = {
    "all is well": (client("x", status=200), server("x", status=200), (False, None, None, None)),
    "the application answers 500": (
        client("x", status=500),
        server("x", status=500),
        (True, "server", "west/shop/reviews", "the application answered 500"),
    ),
    "the application refuses connections": (
        client("x", status=503, response_flags=["URX"]),
        server("x", status=503, response_flags=["UF"]),
        (True, "server", "west/shop/reviews", "server's proxy: UF; client's proxy: URX"),
    ),
    "too slow: the client's proxy gives up, the server's sees it go": (
        client("x", status=504, response_flags=["UT"]),
        server("x", status=None, response_flags=["DC"]),
        (True, "server", "west/shop/reviews", "server's proxy: DC; client's proxy: UT"),
    ),
    "the client breaks off: no error": (
        client("x", status=None, response_flags=["DC"]),
        server("x", status=None, response_flags=["DC"]),
        (False, "client", "east/shop/frontend", "server's proxy: DC; client's proxy: DC"),
    ),
    "denied by a policy: no error of the service": (
        client("x", status=403),
        server("x", status=403, authz="denied", policy="deny-all"),
        (False, "policy", "deny-all", ""),
    ),
    "plaintext, where the server wants mTLS: no error of the service": (
        None,
        server("x", protocol="TCP", method=None, path=None, response_flags=["NR"]),
        (False, "policy", None, "no policy allows it; server's proxy: NR"),
    ),
    "a circuit breaker of the client's proxy": (
        client("x", status=503, response_flags=["UO"]),
        None,
        (True, "limit", "east/shop/frontend", "client's proxy: UO; not logged at the server"),
    ),
    "a certificate that does not verify, and no room to try again": (
        client(
            "x",
            status=503,
            response_flags=["UF", "UO"],
            upstream_failure="CERTIFICATE_VERIFY_FAILED",
        ),
        None,
        (
            True,
            *("server", "west/shop/reviews"),
            "client's proxy: UF,UO; CERTIFICATE_VERIFY_FAILED; not logged at the server",
        ),
    ),
    "no route": (
        client("x", status=404, response_flags=["NR"]) | {"status": 503},
        None,
        (
            True,
            "configuration",
            "east/shop/frontend",
            "client's proxy: NR; not logged at the server",
        ),
    ),
    "an injected fault": (
        client("x", status=503, response_flags=["FI"]),
        None,
        (True, "injected", "east/shop/frontend", "client's proxy: FI; not logged at the server"),
    ),
    "a fault injected at the server": (
        client("x", status=500),
        server("x", status=500, response_flags=["FI"]),
        (True, "injected", "west/shop/reviews", "server's proxy: FI"),
    ),
    "the gateway refuses": (
        client(
            "x",
            status=503,
            response_flags=["URX", "UF"],
            upstream_failure="connection refused",
        ),
        None,
        (
            True,
            "network",
            "west-gateway",
            "client's proxy: URX,UF; connection refused; not logged at the server; nothing came through west-gateway",
        ),
    ),
    "the server's certificate does not verify": (
        client(
            "x",
            status=503,
            response_flags=["UF"],
            upstream_failure="TLS_error:CERTIFICATE_VERIFY_FAILED",
        ),
        None,
        (
            True,
            "server",
            "west/shop/reviews",
            "client's proxy: UF; TLS_error:CERTIFICATE_VERIFY_FAILED; not logged at the server",
        ),
    ),
    "nobody else tried: not known": (
        client("x", status=504, response_flags=["UT"]),
        None,
        (True, "unknown", None, "client's proxy: UT; not logged at the server"),
    ),
}


@pytest.fixture(scope="module")
def cases(lake: Lake) -> dict[str, tuple[Any, ...]]:
    """What `v_calls` says of each case."""
    for minute, (case, (at_client, at_server, _)) in enumerate(CASES.items()):
        both = filter(None, (at_client, at_server))
        log(lake, minute, *(row | {"request_id": case} for row in both))
    query = "SELECT request_id, error, blame, blamed_entity, blame_reason FROM v_calls"
    return {case: found for case, *found in lake.read(query).rows()}


@pytest.mark.parametrize("case", CASES)
def test_blame(cases: dict[str, tuple[Any, ...]], case: str):
    """One call, logged by its client's proxy and perhaps by its server's."""
    assert tuple(cases[case]) == CASES[case][2]


@pytest.mark.parametrize("case", CASES)
def test_health_blames_by_itself_what_was_seen_at_its_server(
    lake: Lake, cases: dict[str, tuple[Any, ...]], case: str
):
    """As `v_calls` does, without looking at others; and not what was not seen there."""
    assert case in cases
    _, at_server, expected = CASES[case]
    began = BEGAN + list(CASES).index(case) * timedelta(minutes=1)
    window = Window(began, began + timedelta(minutes=1))
    wrong = wrong_calls(lake, window)
    assert wrong["unseen"].any() == (at_server is None)
    is_told = expected[0] or expected[1] == "policy"
    if is_told:
        assert_frame_equal(rollup(lake, window).aside[WRONG_CALLS], wrong)
    else:
        assert rollup(lake, window).aside == {}
    if at_server is not None:
        found = asked(lake, failed_sql("FROM wrong"), {"wrong": wrong.drop("unseen")})
        told = found.select("error", "blame", "blamed_entity", "blame_reason").rows()
        assert told == ([expected] if is_told else [])


def test_what_others_saw_of_the_gateway_tells_it_from_the_server(lake: Lake):
    """A call that was lost behind a gateway which works for others is the server's fault."""
    lost = client("lost", status=504, response_flags=["UT"])
    log(lake, 100, lost, client("good", status=200), server("good", status=200))
    assert blamed(lake, "lost")[1:3] == ("server", "west/shop/reviews")


def test_a_gateway_that_does_not_know_a_name_says_so(lake: Lake):
    """NC in its own log is its fault for that name in that minute, though others come through."""
    lost = client("unaware", status=503, response_flags=["UF", "URX"])
    tcp = {"protocol": "TCP", "method": None, "path": None, "authority": None, "status": None}
    no_way = {**tcp, "reporter": "gateway", "vantage_id": WEST, "response_flags": ["NC"]}
    others = client("pass", status=200, service="ratings.shop")
    log(lake, 110, lost, no_way, others)
    assert blamed(lake, "unaware")[1:] == (
        *("network", "west-gateway"),
        "client's proxy: UF,URX; not logged at the server; west-gateway has no way to it: NC",
    )
    log(lake, 111, client("aware", status=503, response_flags=["UF", "URX"]), others)
    assert blamed(lake, "aware")[1:3] == ("server", "west/shop/reviews")


def test_a_gateway_nothing_comes_through_is_to_blame(lake: Lake):
    """Two services behind it fail, and neither logs anything: it is the gateway."""
    other = client("b", status=503, response_flags=["UH"], service="ratings.shop")
    log(lake, 101, client("a", status=504, response_flags=["UT"]), other)
    assert blamed(lake, "a")[1:3] == ("network", "west-gateway")
    assert blamed(lake, "b")[1:3] == ("network", "west-gateway")


def test_no_healthy_upstream_is_judged_by_the_path_it_usually_takes(lake: Lake):
    """UH has no address; the gateway this service was reached through before is looked at."""
    gone = dict.fromkeys(("upstream_remote_ip_hi", "upstream_remote_ip_lo", "upstream_remote_port"))
    log(
        lake,
        102,
        client("early", status=200),
        server("early", status=200),
        client("late", status=503, response_flags=["UH"]) | gone,
        client("other", status=200, service="ratings.shop"),
    )
    assert blamed(lake, "late")[1:3] == ("server", "west/shop/reviews")


def test_grpc_failures_are_errors_though_the_status_is_200(lake: Lake):
    """UNAVAILABLE (14) is the server's failure, NOT_FOUND (5) an answer."""
    log(
        lake,
        103,
        client("down", status=200, grpc_status=14),
        server("down", status=200, grpc_status=14),
        client("none", status=200, grpc_status=5),
        server("none", status=200, grpc_status=5),
    )
    assert blamed(lake, "down")[:3] == (True, "server", "west/shop/reviews")
    assert blamed(lake, "none")[:2] == (False, None)


def test_a_tcp_connection_is_an_error_only_by_its_flags(lake: Lake):
    """TCP has no status: without a flag it went well."""
    tcp = {"protocol": "TCP", "method": None, "path": None, "authority": None, "status": None}
    log(lake, 104, client("well", **tcp), client("ill", **tcp, response_flags=["UF"]))
    assert blamed(lake, "well")[:2] == (False, None)
    assert blamed(lake, "ill")[:2] == (True, "unknown")


def test_health_checks_and_open_connections_are_no_calls(lake: Lake):
    """A proxy's own checks and reports about what goes on are left out."""
    log(
        lake,
        105,
        client("check", status=200, is_health_check=True),
        client("open", status=None, log_type="periodic"),
        client("try", status=503, log_type="attempt"),
        client("over", status=200, log_type="end", is_health_check=False),
    )
    query = "SELECT request_id FROM v_calls WHERE request_id IN ('check', 'open', 'try', 'over')"
    assert lake.read(query)["request_id"].to_list() == ["over"]


def test_a_request_told_through_two_channels_is_one_call(lake: Lake):
    """ALS and a file of one proxy: the same start, in milliseconds, is the same request."""
    also = pl.DataFrame(
        [(EAST_ALS, "east", "net-east", "a", "sidecar~", "envoy_als", 0)],
        schema.VANTAGES.schema,
        orient="row",
    )
    lake.commit(Commit({"vantages": also}))
    first = BEGAN + timedelta(minutes=106)
    second = first + timedelta(milliseconds=7)
    twice = [
        client("twice", status=200, start_time=at, vantage_id=vantage)
        for at in (first, second)
        for vantage in (EAST, EAST_ALS)
    ]
    twice[1]["start_time"] = first + timedelta(microseconds=900)
    log(lake, 106, *twice)
    query = "SELECT count(*) FROM v_calls WHERE request_id = 'twice'"
    assert lake.read(query).item() == 2


def test_a_connection_both_proxies_log_without_an_id_is_one_call(lake: Lake):
    """TCP has no request id: where the client's proxy tells of its own, the server's is left out."""
    tcp = {"protocol": "TCP", "method": None, "path": None, "authority": None, "status": None}
    began = BEGAN + timedelta(minutes=107)
    both = endpoint(lake, "east")
    log(lake, 107, client(None, **tcp), server(None, **tcp, src_endpoint_id=both))
    query = f"SELECT count(*) FROM v_calls WHERE start_time BETWEEN '{began}' AND '{began + timedelta(seconds=9)}'"
    assert lake.read(query).item() == 1


def test_a_connection_of_a_client_without_a_proxy_is_the_servers_to_tell(lake: Lake):
    """Nobody else logged it: it counts, and says that only the server's proxy did."""
    udp = {"protocol": "DNS", "method": None, "path": None, "authority": None, "status": None}
    began = BEGAN + timedelta(minutes=108)
    log(lake, 108, server(None, **udp, src_endpoint_id=endpoint(lake, "east")))
    query = f"SELECT match_method FROM v_calls WHERE start_time BETWEEN '{began}' AND '{began + timedelta(seconds=9)}'"
    assert lake.read(query)["match_method"].to_list() == ["destination_only"]


def test_a_proxy_that_does_not_name_the_service_is_helped_by_the_authority(lake: Lake):
    """ALS has no upstream cluster for UH: the host that was asked for is a service we know."""
    gone = dict.fromkeys(("upstream_remote_ip_hi", "upstream_remote_ip_lo", "upstream_remote_port"))
    bare = {"service": None, "authority": "reviews.shop:8080", **gone}
    log(lake, 109, client("unnamed", status=503, response_flags=["UH"]) | bare)
    query = "SELECT service, server_entity FROM v_calls WHERE request_id = 'unnamed'"
    assert lake.read(query).row(0) == ("reviews.shop", "west/shop/reviews")
