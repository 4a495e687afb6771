"""Scrapes to rows of proxy_samples: every mesh's labels, real recordings, and what is refused."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scraped import EPOCH_S, decode

from pipeline import schema
from pipeline.decode import Decoded
from pipeline.decode.prometheus.families import FAMILIES
from pipeline.schema.proxies import METRICS

CASES = Path(__file__).parents[2] / "cases"
NOTHING = dict.fromkeys(schema.DECODED_SAMPLES.names())
MAPPED = 0xFFFF_0000_0000


def samples(decoded: Decoded) -> pl.DataFrame:
    """Rows but the one that says the target answered."""
    frame = decoded.frames["proxy_samples"]
    assert frame.schema == schema.DECODED_SAMPLES
    found = frame.filter(pl.col("metric") != "scrape_samples")
    assert decoded.counts["decoded_records"].sum() == len(found)
    told = decoded.counts["decoded_records"].sum() + decoded.counts["ignored_records"].sum()
    scrapes = frame.filter(pl.col("metric") == "scrape_samples")
    assert scrapes["value"].sum() == told
    return found


def rows(text: str, mesh: str = "") -> list[dict[str, object]]:
    """What is told in each row, without what is null."""
    found = samples(decode("prometheus", ("proxy-1", 0, text.encode()), mesh=mesh))
    return [
        {name: value for name, value in row.items() if value is not None and name not in ("vantage", "received_ns")}
        for row in found.to_dicts()
    ]  # fmt: skip


def row(line: str) -> dict[str, object]:
    (only,) = rows(line)
    return only


def test_every_family_has_a_metric_and_every_metric_a_family():
    """No metric is documented that nothing can fill, and none filled that is not documented."""
    by_label = {"scrape_samples", "upstream_members_pending"}
    filled = {family.metric for families in FAMILIES.values() for family in families.values()}
    assert filled | by_label == set(METRICS)


ENVOY = {
    "metric": "upstream_members_healthy",
    "value": 3.0,
    "mesh": "istio",
    "direction": "outbound",
}
ENVOY |= {
    "reporter": "source",
    "upstream_cluster": "outbound|9080|v1|reviews.my-shop.svc.cluster.local",
}
ENVOY |= {
    "service": "reviews.my-shop.svc.cluster.local",
    "service_port": 9080,
    "service_subset": "v1",
}


@pytest.mark.parametrize(
    "line",
    [
        'envoy_cluster_membership_healthy{envoy_cluster_name="outbound|9080|v1|reviews.my-shop.svc.cluster.local"} 3',
        'envoy_cluster_membership_healthy{cluster_name="outbound|9080|v1|reviews.my-shop.svc.cluster.local;"} 3',
        'envoy_cluster_my_shop_svc_cluster_local_membership_healthy{envoy_cluster_name="outbound|9080|v1|reviews"} 3',
        'envoy_cluster_my_shop_svc_cluster_local__membership_healthy{cluster_name="outbound|9080|v1|reviews"} 3',
        (
            'envoy_cluster_membership_healthy{envoy_cluster_name="outbound|9080|v1|reviews",'
            'cluster_name="outbound|9080|v1|reviews.my-shop.svc.cluster.local"} 3'
        ),
    ],
)
def test_a_clusters_name_is_whole_however_its_tags_cut_it(line: str):
    """By default tags, Istio's, both, and with the sign Istio ends names with: one name."""
    assert row(line) == ENVOY


def test_a_rest_that_could_be_several_names_is_not_read():
    """Outside svc.cluster.local an underscore may be a dot or a dash: kept, and no service told."""
    told = row('envoy_cluster_a_b_corp_upstream_rq_total{envoy_cluster_name="outbound|80||web"} 1')
    assert told["upstream_cluster"] == "outbound|80||web.a_b_corp"


def test_consuls_tags_name_the_cluster():
    """The full target, whose end the tag leaves out."""
    told = row(
        'envoy_cluster_upstream_rq_total{consul_destination_full_target="web.default.dc1.internal.'
        '0a1b2c3d-0000-1111-2222-333344445555",envoy_cluster_name="x"} 4'
    )
    assert (
        told["upstream_cluster"]
        == "web.default.dc1.internal.0a1b2c3d-0000-1111-2222-333344445555.consul"
    )
    assert told["mesh"] == "consul"


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ('envoy_cluster_upstream_rq{envoy_cluster_name="a",envoy_response_code="503"} 2', {"metric": "responses", "value": 2.0, "status": 503}),
        ('envoy_cluster_upstream_cx_tx_bytes_total{envoy_cluster_name="a"} 7', {"metric": "bytes_received"}),
        ('envoy_cluster_circuit_breakers_high_rq_open{envoy_cluster_name="a"} 1', {"metric": "circuit_open", "name": "high/rq"}),
        ('envoy_cluster_ssl_fail_verify_san{envoy_cluster_name="a"} 1', {"metric": "tls_failures", "name": "verify_san"}),
        ('envoy_cluster_outlier_detection_ejections_active{envoy_cluster_name="a"} 1', {"metric": "ejections_active"}),
        ('envoy_cluster_update_time{cluster_name="a"} 1795719184443', {"metric": "config_update_time", "name": "eds", "value": 1795719184.443}),
        ("envoy_cluster_manager_cds_update_time{} 1795719188416", {"metric": "config_update_time", "name": "cds", "value": 1795719188.416}),
        ('envoy_http_0_0_0_8443_rbac_denied{envoy_http_conn_manager_prefix="inbound_0"} 1', {"metric": "authz_denied", "listener": "inbound_0.0_0_0_8443", "direction": "inbound"}),
        ('envoy_http_rbac_my_rules_allowed{envoy_http_conn_manager_prefix="in"} 1', {"metric": "authz_allowed", "listener": "in"}),
        ('envoy_http_rbac_policy_shadow_denied{envoy_rbac_policy_name="p1",envoy_http_conn_manager_prefix="in"} 1', {"metric": "authz_shadow_denied", "name": "p1"}),
        ('envoy_denied{envoy_rbac_prefix="tcp",envoy_tcp_prefix="rbac"} 5', {"metric": "authz_denied", "listener": "tcp"}),
        ('envoy_http_downstream_rq_xx{envoy_response_code_class="5",envoy_http_conn_manager_prefix="in"} 1', {"metric": "responses", "status": 500}),
        ('envoy_listener_ssl_certificate_expiration_unix_time_seconds{envoy_tls_certificate="c",envoy_listener_address="0.0.0.0_15006"} 1796150115', {"metric": "certificate_expiry_time", "name": "c", "listener": "0.0.0.0_15006", "value": 1796150115.0}),
        ("envoy_server_days_until_first_cert_expiring{} 5", {"metric": "certificate_time_left", "value": 432_000.0}),
        ('envoy_http_rbac{authz_enforce_result="denied",http_conn_manager_prefix="inbound_0.0.0.0_80"} 2', {"metric": "authz_denied", "listener": "inbound_0.0.0.0_80"}),
        ('envoy_http_rbac{authz_dry_run_action="allow",authz_dry_run_result="denied",http_conn_manager_prefix="i"} 2', {"metric": "authz_shadow_denied"}),
        ('envoy_tcp{authz_enforce_result="allowed",tcp_prefix="rbac"} 2', {"metric": "authz_allowed", "listener": "tcp"}),
        ('envoy_cluster_upstream_rq{cluster_name="a",response_code="404"} 2', {"metric": "responses", "status": 404}),
        ('envoy_http_downstream_rq{response_code_class="4xx",http_conn_manager_prefix="inbound_0"} 2', {"metric": "responses", "status": 400}),
        ('envoy_listener_ssl_certificate_my_cert_1_expiration_unix_time_seconds{listener_address="0.0.0.0_15006"} 9', {"metric": "certificate_expiry_time", "name": "my_cert_1", "listener": "0.0.0.0_15006"}),
        ("envoy_control_plane_connected_state{} 0", {"metric": "control_plane_connected", "value": 0.0}),
        ('istio_agent_cert_expiry_seconds{resource_name="default"} 86362.5', {"metric": "certificate_time_left", "name": "default", "value": 86362.5}),
        ('istio_xds_connection_terminations_total{reason="Reconnect"} 2', {"metric": "control_plane_disconnects", "name": "Reconnect"}),
        ('pilot_total_xds_rejects{type="lds",node="a"} 2', {"metric": "control_plane_rejects", "name": "lds"}),
        ('istiod_remote_cluster_sync_status{cluster="west",status="timeout"} 1', {"metric": "control_plane_cluster_state", "name": "timeout", "destination_cluster": "west"}),
        ('outbound_http_balancer_endpoints{endpoint_state="ready",backend_name="web",backend_namespace="shop",backend_port="80"} 2', {"metric": "upstream_members_healthy", "upstream_cluster": "shop/web:80"}),
        ('outbound_http_balancer_endpoints{endpoint_state="pending",backend_name="web",backend_namespace="shop",backend_port="80"} 1', {"metric": "upstream_members_pending"}),
        ('inbound_http_authz_deny_total{srv_name="web-http",client_id="a.b.serviceaccount.identity.linkerd.cluster.local",tls="true"} 3', {"metric": "authz_denied", "name": "web-http", "direction": "inbound", "tls": True, "source_identity": "a.b.serviceaccount.identity.linkerd.cluster.local"}),
        ('response_total{direction="outbound",authority="web.shop.svc.cluster.local:80",dst_service="web",dst_namespace="shop",status_code="500",classification="failure"} 3', {"metric": "responses", "status": 500, "service": "web.shop.svc.cluster.local", "service_port": 80, "reporter": "source"}),
    ],
)  # fmt: skip
def test_families_of_every_mesh(line: str, part: dict[str, object]):
    """Metric, name, unit and place of each kind of family."""
    told = row(line)
    assert {name: told[name] for name in part} == part


@pytest.mark.parametrize(
    "line",
    [
        "go_goroutines 5",
        'envoy_cluster_external_upstream_rq{envoy_cluster_name="a",envoy_response_code="200"} 1',
        'envoy_cluster_shop_svc_cluster_local_internal_upstream_rq{envoy_cluster_name="a"} 1',
        'envoy_cluster_zone_a_b_upstream_rq{envoy_cluster_name="a"} 1',
        "envoy_cluster_upstream_rq_total 1",
        'envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix="admin"} 1',
        "envoy_listener_admin_downstream_cx_total{} 1",
        'envoy_listener_worker_downstream_cx_total{envoy_worker_id="0",envoy_listener_address="a"} 1',
        "envoy_denied{} 1",
        "envoy_tcp{} 1",
        'envoy_http_rbac{http_conn_manager_prefix="in"} 1',
        'envoy_cluster_upstream_rq{cluster_name="a",response_code_class="2xx"} 1',
        "envoy_server_days_until_first_cert_expiring{} 4294967295",
        "envoy_server_days_until_first_cert_expiring{} 2147483647",
        'envoy_cluster_membership_total{envoy_cluster_name="a"} NaN',
        'envoy_cluster_membership_total{envoy_cluster_name="a"} +Inf',
        'envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="a",le="1"} 1',
        'tcp_open_total{direction="outbound",peer="src"} 1',
        'outbound_http_balancer_endpoints{backend_name="web"} 1',
    ],
)
def test_what_is_ignored(line: str):
    """Not in the table, a part of another's counts, Envoy's own, without a value: counted, no row."""
    decoded = decode("prometheus", ("proxy-1", 0, line.encode()))
    assert samples(decoded).height == 0
    assert decoded.counts["ignored_records"].to_list() == [1]
    assert decoded.counts["decoded_payloads"].to_list() == [1]


def test_of_linkerds_connections_the_peers_half_counts():
    """Out: what is read is the server's; in: the client's. Both name the address of the peer only."""
    text = """
tcp_read_bytes_total{direction="outbound",peer="dst",target_addr="10.42.0.122:8080",tls="true",server_id="s"} 8
tcp_read_bytes_total{direction="outbound",peer="src",target_addr="10.42.0.122:8080",tls="no_identity"} 3
tcp_read_bytes_total{direction="inbound",peer="src",target_addr="0.0.0.0:4191",tls="no_identity"} 5
tcp_read_bytes_total{direction="inbound",peer="dst",target_addr="0.0.0.0:4191"} 6
"""
    out, back = rows(text)
    assert out == {
        "metric": "bytes_sent",
        "value": 8.0,
        "reporter": "source",
        "direction": "outbound",
        "upstream_cluster": "10.42.0.122:8080",
        "tls": True,
        "destination_identity": "s",
        "peer_ip_hi": 0,
        "peer_ip_lo": MAPPED | 0x0A2A_007A,
        "peer_port": 8080,
    }
    assert back == {
        "metric": "bytes_received",
        "value": 5.0,
        "reporter": "destination",
        "direction": "inbound",
        "tls": False,
    }


def test_istios_standard_metrics():
    """Both ends, what is unknown is null, and the clusters of a call between two."""
    text = (
        'istio_requests_total{reporter="destination",source_workload="web",source_workload_namespace="shop",'
        'source_principal="spiffe://td/ns/shop/sa/web",source_cluster="east",destination_workload="reviews",'
        'destination_workload_namespace="shop",destination_principal="unknown",destination_cluster="west",'
        'destination_service="reviews.shop.svc.cluster.local",destination_service_name="reviews",'
        'request_protocol="grpc",response_code="200",grpc_response_status="14",response_flags="UC",'
        'connection_security_policy="mutual_tls"} 12'
    )
    assert row(text) == {
        "metric": "responses",
        "value": 12.0,
        "reporter": "destination",
        "direction": "inbound",
        "service": "reviews.shop.svc.cluster.local",
        "status": 200,
        "grpc_status": 14,
        "response_flags": "UC",
        "tls": True,
        "source_cluster": "east",
        "source_namespace": "shop",
        "source_workload": "web",
        "source_identity": "spiffe://td/ns/shop/sa/web",
        "destination_cluster": "west",
        "destination_namespace": "shop",
        "destination_workload": "reviews",
    }


def test_what_an_agent_declares_of_a_mesh_is_kept():
    """A name that is nobody's is of the mesh the configuration says."""
    (told,) = rows('envoy_cluster_membership_total{envoy_cluster_name="web"} 1', mesh="consul")
    assert told["mesh"] == "consul"


def test_a_time_the_exposition_gives_is_kept_beside_that_of_the_scrape():
    """Federated samples are older than their scrape."""
    decoded = decode("prometheus", ("p", 1, b"pilot_services 5 1795719000123"))
    (only,) = samples(decoded).to_dicts()
    assert only["received_ns"] == (EPOCH_S + 1) * 10**9
    assert only["sample_time"].isoformat() == "2026-11-26T18:50:00.123000+00:00"


def test_a_scrape_with_bad_lines_gives_the_others():
    """One reject a scrape: how many lines, which was first, and its bytes."""
    text = b"pilot_services 5\n<html>\nnot a sample\npilot_services 6\n"
    decoded = decode("prometheus", ("p", 0, text), ("q", 0, b"pilot_services 7"))
    assert samples(decoded)["value"].to_list() == [5.0, 6.0, 7.0]
    assert decoded.counts["partial_payloads"].to_list() == [1, 0]
    assert decoded.rejects.select("payload", "reason", "detail", "raw", "raw_length").rows() == [
        (0, "exposition_malformed", "2 lines, the first is line 2", b"<html>", len(text))
    ]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "payload_empty"),
        (b" \n\t\n", "payload_empty"),
        (b"\xff\xfe", "exposition_malformed"),
        (b"<html>\n<body>\n", "exposition_malformed"),
    ],
)
def test_what_is_no_exposition_is_rejected(payload: bytes, reason: str):
    """With its bytes, and no row that says the target answered."""
    decoded = decode("prometheus", ("p", 0, payload))
    assert decoded.frames["proxy_samples"].height == 0
    assert decoded.counts["rejected_payloads"].to_list() == [1]
    assert decoded.rejects["reason"].to_list() == [reason]


def test_a_scrape_without_samples_is_an_answer():
    """A filter that fits nothing gives comments only: the target is not silent."""
    decoded = decode("prometheus", ("p", 0, b"# nothing\n"))
    assert decoded.frames["proxy_samples"].select("metric", "value").rows() == [
        ("scrape_samples", 0.0)
    ]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(max_size=200) | st.text(max_size=200).map(str.encode), max_size=4))
def test_any_bytes_are_rows_or_rejects(raws: list[bytes]):
    """Nothing a target can answer raises; every payload is accounted for."""
    samples(decode("prometheus", *(("p", number, raw) for number, raw in enumerate(raws))))


def test_scrapes_larger_than_a_slice_are_whole(monkeypatch: pytest.MonkeyPatch):
    """Where text is taken apart in several goes, no sample is cut, lost or given to another."""
    monkeypatch.setattr("pipeline.decode.prometheus._SLICE_BYTES", 100)
    texts = [b"pilot_services %d\n" % number * 4 for number in range(20)]
    decoded = decode("prometheus", *(("p", number, text) for number, text in enumerate(texts)))
    found = samples(decoded)
    assert found["value"].to_list() == [float(number) for number in range(20) for _ in range(4)]
    seconds = (found["received_ns"].to_numpy() // 10**9 - EPOCH_S).astype(np.int64)
    assert seconds.tolist() == [number for number in range(20) for _ in range(4)]


def figures(decoded: Decoded, upstream: str) -> dict[str, float]:
    found = samples(decoded).filter(pl.col("upstream_cluster") == upstream)
    return {
        metric if name is None else f"{metric} {name}": value
        for metric, name, value in found.select("metric", "name", "value").rows()
    }


def test_a_real_envoy_with_default_tags():
    """What was done is what is counted: 3 requests, 15 health checks, certificates of both sides."""
    text = (CASES / "envoy_statistics" / "default_tags.prom").read_bytes()
    decoded = decode("prometheus", ("envoy", 0, text))
    assert decoded.rejects.height == 0
    reviews = figures(decoded, "outbound|9080|v1|reviews.shop.svc.cluster.local")
    assert reviews["requests"] == reviews["responses"] == 3
    assert (reviews["health_checks"], reviews["health_check_failures"]) == (15, 1)
    assert (reviews["upstream_members"], reviews["upstream_members_healthy"]) == (1, 1)
    wrong = figures(decoded, "outbound|8443||wrong.shop.svc.cluster.local")
    assert wrong["tls_failures verify_error"] == wrong["connect_failures"] == 6
    assert wrong["retries"] == 3
    assert wrong["certificate_expiry_time unnamed_cert_e3b0c442"] == 1_803_494_115
    authz = samples(decoded).filter(pl.col("metric").cast(pl.String).str.starts_with("authz_"))
    assert authz.select("metric", "listener", "value").rows() == [
        ("authz_allowed", "inbound_0.0_0_0_8443", 3.0),
        ("authz_denied", "inbound_0.0_0_0_8443", 1.0),
    ]


def test_a_real_envoy_with_istios_tags_and_istiod():
    """The members istiod discovered, in whole names; when they came; that it is connected."""
    text = (CASES / "envoy_statistics" / "istio_tags.prom").read_bytes()
    decoded = decode("prometheus", ("cart-0", 0, text))
    reviews = figures(decoded, "outbound|9080||reviews.shop.svc.cluster.local")
    assert (reviews["upstream_members"], reviews["upstream_members_healthy"]) == (5, 4)
    assert reviews["config_update_time eds"] == 1_795_719_184.444
    plain = samples(decoded).filter(pl.col("upstream_cluster").is_null())
    told = dict(plain.select("metric", "value").rows())
    assert told["control_plane_connected"] == 1
    assert told["config_update_time"] == 1_795_719_188.416


def test_a_real_istiod():
    """Three proxies, five services, two remote clusters of which one timed out."""
    text = (CASES / "istiod_multicluster" / "metrics.prom").read_bytes()
    found = samples(decode("prometheus", ("istiod-1", 0, text)))
    wanted = ["control_plane_proxies", "control_plane_services", "control_plane_clusters"]
    wanted += ["control_plane_cluster_timeouts", "control_plane_pushes"]
    told = found.filter(pl.col("metric").is_in(wanted)).select(
        "metric", "name", "destination_cluster", "value"
    )
    assert sorted(told.rows(), key=str) == [
        ("control_plane_cluster_timeouts", None, "cluster-gone", 1.0),
        ("control_plane_clusters", "local", None, 1.0),
        ("control_plane_clusters", "remote", None, 2.0),
        ("control_plane_proxies", "1.31.0", None, 3.0),
        ("control_plane_pushes", "cds", None, 6.0),
        ("control_plane_pushes", "eds", None, 5.0),
        ("control_plane_services", None, None, 5.0),
    ]


def test_every_exposition_of_the_corpus_decodes(corpus: Path):
    """Linkerd's proxy and istiod, as other projects keep them: no line is bad, and rows come of it."""
    files = [
        "elastic-integrations/istio/_dev/deploy/docker/istiod.txt",
        "linkerd2/testutil/prommatch/testdata/sampleMetrics.txt",
        "linkerd2/cli/cmd/testdata/obfuscate-diagnostics-proxy-metrics.input",
        "linkerd2/cli/cmd/testdata/obfuscate-diagnostics-proxy-metrics.golden",
    ]
    decoded = decode("prometheus", *((name, 0, (corpus / name).read_bytes()) for name in files))
    assert decoded.rejects.height == 0
    counts = samples(decoded).group_by("vantage", maintain_order=True).len().sort("vantage")
    assert counts["len"].to_list() == [14, 17, 4, 4]
    certificates = samples(decoded).filter(pl.col("metric") == "certificate_expiry_time")
    assert certificates.select("name", "value").rows() == [
        ("root", 1_979_112_171.0),
        ("identity", 1_651_053_543.0),
    ]


_VARIABLE = re.compile(r"\{\{.*?\}\}")


def test_every_label_set_istio_expects_of_its_proxies_decodes(corpus: Path):
    """The goldens of istio/proxy, written as an exposition: a row each, both ends as they say."""
    expected = []
    for path in sorted((corpus / "istio-proxy-testdata" / "metric").glob("*.tmpl")):
        text = path.read_text("utf-8")
        name = re.search(r"^name: (\S+)", text, re.MULTILINE)
        labels = dict(re.findall(r"- name: (\S+)\n(?:\s*\{\{[^\n]*\n)*\s*value: (.+)", text))
        if name is not None and name[1] in FAMILIES["plain"] and name[1].startswith("istio_"):
            plain = {key: _VARIABLE.sub("0", value).strip('"') for key, value in labels.items()}
            expected.append((name[1], plain))
    assert len(expected) == 26
    told = rows(
        "\n".join(
            name + "{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "} 1"
            for name, labels in expected
        )
    )
    names = {"reporter": "reporter", "destination_service": "service"} | {
        f"{end}_{theirs}": f"{end}_{ours}"
        for end in ("source", "destination")
        for theirs, ours in (
            ("workload", "workload"),
            ("workload_namespace", "namespace"),
            ("principal", "identity"),
            ("cluster", "cluster"),
        )
    }
    for row, (_, labels) in zip(told, expected, strict=True):
        for theirs, ours in names.items():
            value = labels.get(theirs)
            assert row.get(ours) == (None if value in ("unknown", "") else value)
