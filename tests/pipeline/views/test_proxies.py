"""Views of proxies: literal answers for scrapes written by hand, and for real recordings."""

from pathlib import Path

import polars as pl
import pytest
from scraped import EPOCH_S, Pane

from pipeline import schema

CASES = Path(__file__).parents[2] / "cases"
DAY_S = 86_400


@pytest.fixture
def pane() -> Pane:
    return Pane()


def cluster(**figures: float) -> bytes:
    """Statistics of one upstream of Envoy."""
    return "".join(
        f'envoy_cluster_{name}{{envoy_cluster_name="outbound|80||web.shop.svc.cluster.local"}} {value}\n'
        for name, value in figures.items()
    ).encode()


def answers(codes: dict[int, int]) -> bytes:
    return "".join(
        f'envoy_cluster_upstream_rq{{envoy_cluster_name="outbound|80||web.shop.svc.cluster.local",'
        f'envoy_response_code="{code}"}} {count}\n'
        for code, count in codes.items()
    ).encode()


def state(pane: Pane) -> tuple[object, ...]:
    (row,) = pane.rows("SELECT state, reasons FROM v_upstreams")
    return row


def test_rates_are_between_the_last_two_scrapes(pane: Pane):
    """30 requests in 10 s, 3 of them failed, 40 ms each; what was before does not count."""
    pane.add("prometheus", ("p", 0, cluster(upstream_rq_total=7) + answers({200: 7})))
    pane.add(
        "prometheus",
        ("p", 10, cluster(upstream_rq_total=100, upstream_rq_time_sum=500, upstream_rq_time_count=10)
         + answers({200: 100})),
        ("p", 20, cluster(upstream_rq_total=130, upstream_rq_time_sum=1_700, upstream_rq_time_count=40)
         + answers({200: 127, 503: 3})),
    )  # fmt: skip
    sql = "SELECT service, service_port, requests_per_s, failure_share, mean_ms, interval_s, state, reasons FROM v_upstreams"
    assert pane.rows(sql) == [
        ("web.shop.svc.cluster.local", 80, 3.0, 0.1, 40.0, 10.0, "degraded", ["10.0% of requests failed"])
    ]  # fmt: skip


def test_a_counter_that_is_smaller_counts_from_zero(pane: Pane):
    """A proxy that was started anew had 20 requests since, not 20 less than before."""
    pane.add(
        "prometheus",
        ("p", 0, cluster(upstream_rq_total=1_000)),
        ("p", 10, cluster(upstream_rq_total=20)),
    )
    assert pane.rows("SELECT requests_per_s, retries FROM v_upstreams") == [(2.0, None)]


def test_one_scrape_says_nothing_of_rates(pane: Pane):
    """Totals since the start are no rate; members are told at once."""
    pane.add(
        "prometheus",
        ("p", 0, cluster(upstream_rq_total=1_000, membership_total=2, membership_healthy=2)),
    )
    assert pane.rows("SELECT requests_per_s, failure_share, members, state, interval_s FROM v_upstreams") == [
        (None, None, 2, "healthy", None)
    ]  # fmt: skip


def test_a_counter_seen_first_now_was_zero_before(pane: Pane):
    """`usedonly` leaves out what never counted: its first count is all since the last scrape."""
    pane.add(
        "prometheus", ("p", 0, b"envoy_server_live{} 1"), ("p", 10, cluster(upstream_rq_retry=4))
    )
    assert pane.rows("SELECT retries FROM v_upstreams") == [(4,)]


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({"membership_total": 3, "membership_healthy": 3}, ("healthy", [])),
        (
            {"membership_total": 3, "membership_healthy": 2, "outlier_detection_ejections_active": 1},
            ("degraded", ["2 of 3 members healthy", "1 ejected"]),
        ),
        ({"membership_total": 3, "membership_healthy": 0}, ("failing", ["0 of 3 members healthy"])),
        (
            {"circuit_breakers_default_rq_open": 1, "circuit_breakers_high_cx_open": 0},
            ("degraded", ["circuit breakers open: default/rq"]),
        ),
        (
            {"ssl_fail_verify_error": 2, "ssl_connection_error": 1, "upstream_cx_connect_fail": 3},
            ("degraded", ["3 TLS handshakes failed: connection_error, verify_error", "3 connections failed"]),
        ),
        ({"health_check_failure": 5}, ("degraded", ["5 health checks failed"])),
        ({"upstream_cx_active": 5}, ("unknown", [])),
    ],
)  # fmt: skip
def test_the_state_of_an_upstream_and_why(
    pane: Pane, figures: dict[str, float], expected: tuple[object, ...]
):
    """Each figure alone, and nobody healthy is worse than somebody not."""
    pane.add(
        "prometheus", ("p", 0, cluster() + b"envoy_server_live{} 1"), ("p", 10, cluster(**figures))
    )
    assert state(pane) == expected


def test_many_failures_are_failing_and_few_requests_are_not(pane: Pane):
    """A quarter failed of 8 is failing; all of 4 is degraded: too few to say more."""
    pane.add("prometheus", ("p", 0, b"envoy_server_live{} 1"), ("p", 10, answers({200: 6, 500: 2})))
    assert state(pane)[0] == "failing"
    few = Pane()
    few.add("prometheus", ("p", 0, b"envoy_server_live{} 1"), ("p", 10, answers({500: 4})))
    assert state(few) == ("degraded", ["100.0% of requests failed"])


def test_linkerds_balancers_are_upstreams(pane: Pane):
    """Ready and pending endpoints are its members."""
    line = 'outbound_http_balancer_endpoints{{endpoint_state="{}",backend_name="web",backend_namespace="shop",backend_port="80"}} {}\n'
    pane.add(
        "prometheus", ("pod", 0, (line.format("ready", 2) + line.format("pending", 1)).encode())
    )
    assert pane.rows(
        "SELECT upstream_cluster, members, members_healthy, state FROM v_upstreams"
    ) == [("shop/web:80", 3, 2, "degraded")]


def expiry(time_s: float, name: str = "cert") -> bytes:
    return (
        'envoy_listener_ssl_certificate_expiration_unix_time_seconds{envoy_listener_address="a",'
        f'envoy_tls_certificate="{name}"}} {EPOCH_S + time_s:.0f}'
    ).encode()


@pytest.mark.parametrize(
    ("days", "expected"),
    [(8, "ok"), (6, "expiring"), (-1, "expired")],
)
def test_a_certificate_nobody_renews_is_expiring_seven_days_before(
    pane: Pane, days: int, expected: str
):
    """By what the proxy says of its end; days left are of now, the newest row."""
    pane.add("prometheus", ("p", 0, expiry(days * DAY_S)))
    assert pane.rows("SELECT certificate, listener, state, days_left, renewals, is_rotated FROM v_certificates") == [
        ("cert", "a", expected, float(days), 0, False)
    ]  # fmt: skip


def test_a_certificate_that_is_renewed_is_judged_by_its_own_life(pane: Pane):
    """One of a day, renewed at half of it: 9 h before its end all is well, 5 h before it is late."""
    hour = 3_600
    pane.add(
        "prometheus",
        ("p", 0, expiry(24 * hour)),
        ("p", 12 * hour, expiry(36 * hour)),
        ("p", 27 * hour, expiry(36 * hour)),
    )
    sql = "SELECT state, days_left * 24, renewals, is_rotated FROM v_certificates"
    assert pane.rows(sql) == [("ok", 9.0, 1, True)]
    pane.add("prometheus", ("p", 31 * hour, expiry(36 * hour)))
    assert pane.rows(sql) == [("expiring", 5.0, 1, True)]


def test_a_meshs_identity_is_renewed_even_if_nobody_saw_it(pane: Pane):
    """A fresh certificate of a day is no alarm."""
    line = f"identity_cert_expiration_timestamp_seconds {EPOCH_S + DAY_S}".encode()
    pane.add("prometheus", ("pod", 0, line))
    assert pane.rows("SELECT certificate, state FROM v_certificates") == [("identity", "ok")]


def test_days_left_count_where_no_certificate_is_told(pane: Pane):
    """An older Envoy says in how many days the first of its certificates expires."""
    pane.add("prometheus", ("old", 0, b"envoy_server_days_until_first_cert_expiring{} 3"))
    both = b"envoy_server_days_until_first_cert_expiring{} 3\n" + expiry(3 * DAY_S)
    pane.add("prometheus", ("new", 0, both))
    assert pane.rows(
        "SELECT exporter, certificate, state, days_left FROM v_certificates ORDER BY 1"
    ) == [
        ("new", "cert", "expiring", 3.0),
        ("old", None, "expiring", 3.0),
    ]


def test_policies_allow_and_deny(pane: Pane):
    """Totals, and since the scrape before; Envoy's of all policies, Linkerd's of each."""
    rbac = 'envoy_http_rbac_{}{{envoy_http_conn_manager_prefix="inbound_0.0.0.0_80"}} {}\n'
    first = rbac.format("allowed", 10) + rbac.format("denied", 1)
    second = rbac.format("allowed", 15) + rbac.format("denied", 4)
    linkerd = (
        'inbound_http_authz_allow_total{srv_name="web",authz_name="team-a",client_id="a.b"} 5\n'
        'inbound_http_authz_deny_total{srv_name="web",client_id="c.d"} 2\n'
    )
    pane.add("prometheus", ("envoy", 0, first.encode()), ("envoy", 10, second.encode()))
    pane.add("prometheus", ("pod", 10, linkerd.encode()))
    sql = """SELECT exporter, listener, policy, source_identity, allowed, denied, allowed_more, denied_more
        FROM v_authz ORDER BY ALL"""
    assert pane.rows(sql) == [
        ("envoy", "inbound_0.0.0.0_80", None, None, 15, 4, 5, 3),
        ("pod", None, "team-a", "a.b", 5, None, None, None),
        ("pod", None, "web", "c.d", None, 2, None, None),
    ]


ISTIOD = CASES / "istiod_multicluster"


def ask_istiod(pane: Pane, time_s: float, **documents: bytes) -> None:
    names = ("syncz", "clusterz", "connections", "endpointShardz")
    for name in names:
        raw = documents.get(name, (ISTIOD / f"{name}.json").read_bytes())
        pane.add("istiod", (f"istiod-1/debug/{name}", time_s, raw))


def test_a_real_control_plane(pane: Pane):
    """Who is connected and how far behind; three clusters, one that never answered."""
    ask_istiod(pane, 0)
    assert pane.rows(
        """SELECT proxy, proxy_cluster, proxy_type, connected, state, behind, round(staleness_ms)
        FROM v_control_plane WHERE subject = 'proxy' ORDER BY proxy"""
    ) == [
        ("cart-0.shop", "cluster-east", "sidecar", True, "synced", [], 0.0),
        ("eastwest.shop", "cluster-east", "router", True, "synced", [], 0.0),
        ("reviews-0.shop", "cluster-west", "sidecar", True, "stale", ["cds"], 411_588.0),
    ]
    assert pane.rows(
        """SELECT control_plane, remote_cluster, cluster_state, services, endpoints, endpoints_healthy
        FROM v_control_plane WHERE subject = 'cluster' ORDER BY remote_cluster"""
    ) == [
        ("istiod-1", "cluster-east", "synced", 4, 7, 7),
        ("istiod-1", "cluster-gone", "timeout", None, None, None),
        ("istiod-1", "cluster-west", "synced", 1, 3, 2),
    ]


def test_a_proxy_that_is_in_no_list_any_more_is_disconnected(pane: Pane):
    """Known from the list before; unless another control plane lists it now."""
    ask_istiod(pane, 0)
    ask_istiod(pane, 30, syncz=b"[]", connections=b'{"totalClients": 0}')
    sql = """SELECT proxy, connected, control_plane FROM v_control_plane
        WHERE told_by = 'control_plane' AND subject = 'proxy' ORDER BY proxy"""
    assert pane.rows(sql) == [
        ("cart-0.shop", False, "istiod-1"),
        ("eastwest.shop", False, "istiod-1"),
        ("reviews-0.shop", False, "istiod-1"),
    ]
    moved = b'[{"proxy": "cart-0.shop", "cluster_id": "cluster-east", "resources": {}}]'
    pane.add("istiod", ("istiod-2/debug/syncz", 31, moved))
    assert pane.rows(sql)[0] == ("cart-0.shop", True, "istiod-2")
    assert len(pane.rows(sql)) == 3


def test_a_proxy_says_itself_that_it_is_cut_off(pane: Pane):
    """Where nobody asks the control plane: connected, when it took a configuration last, what it refused."""
    lines = (
        "envoy_control_plane_connected_state{} 0\n"
        f"envoy_cluster_manager_cds_update_time{{}} {(EPOCH_S - 60) * 1_000}\n"
        "envoy_listener_manager_lds_update_rejected{} 1\n"
    )
    pane.add("prometheus", ("p", 0, b"envoy_server_live{} 1"), ("p", 10, lines.encode()))
    assert pane.rows(
        """SELECT proxy, told_by, connected, state, behind, epoch(last_update_time)
        FROM v_control_plane"""
    ) == [("p", "proxy", False, "rejected", ["lds"], EPOCH_S - 60.0)]


def test_targets_that_fell_silent(pane: Pane):
    """After three of its own intervals, while the agent goes on; one that answers nonsense has never answered."""
    pane.add(
        "prometheus",
        *(("steady", time_s, b"pilot_services 1") for time_s in (0, 10, 20, 30, 40, 50, 60)),
        *(("gone", time_s, b"pilot_services 1\npilot_xds 2") for time_s in (0, 10, 20)),
        ("nonsense", 60, b"<html>"),
    )
    assert pane.rows(
        """SELECT exporter, is_silent, silent_s, interval_s, answers, samples, rejected_answers
        FROM v_targets ORDER BY exporter"""
    ) == [
        ("gone", True, 40.0, 10.0, 3, 2, 0),
        ("nonsense", True, None, None, 0, None, 1),
        ("steady", False, 0.0, 10.0, 7, 1, 0),
    ]


def test_drops_show_that_an_agent_lives_while_its_only_target_is_silent(pane: Pane):
    """Scrapes that fail are told as drops: now is when the last was told."""
    pane.add("prometheus", ("gone", 0, b"pilot_services 1"), ("gone", 10, b"pilot_services 1"))
    assert pane.rows("SELECT is_silent FROM v_targets") == [(False,)]
    drop = {"minute": EPOCH_S + 120, "topic": "t", "agent": "node-1", "cluster": "east"}
    drop |= {"reason": "scrape_refused", "payloads": 11}
    rows = pl.DataFrame([drop]).with_columns(pl.from_epoch("minute").cast(schema.TIME))
    pane.insert("agent_drops", rows.cast(schema.AGENT_DROPS.schema))
    assert pane.rows("SELECT is_silent, silent_s FROM v_targets") == [(True, 110.0)]
