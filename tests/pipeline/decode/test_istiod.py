"""Answers of istiod to rows: a real one's, the older and the xDS form, and what is refused."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scraped import EPOCH_S, decode

from pipeline import schema

CASE = Path(__file__).parents[2] / "cases" / "istiod_multicluster"
SYNCZ = "istiod-1/debug/syncz"


def rows(
    exporter: str, payload: bytes | list[object] | dict[str, object]
) -> list[dict[str, object]]:
    """What is told in each row, without what is null."""
    raw = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    decoded = decode("istiod", (exporter, 0, raw))
    frame = decoded.frames["control_plane"]
    assert frame.schema == schema.DECODED_CONTROL_PLANE
    assert decoded.rejects.height == 0
    assert decoded.counts["decoded_records"].to_list() == [len(frame)]
    return [
        {name: value for name, value in row.items() if value is not None and name not in ("vantage", "received_ns")}
        for row in frame.to_dicts()
    ]  # fmt: skip


def states(exporter: str, raw: bytes) -> dict[tuple[object, object], object]:
    return {
        (row["proxy"], row["resource_type"]): row["state"]
        for row in rows(exporter, raw)
        if row["subject"] == "proxy"
    }


def test_a_real_syncz():
    """Three proxies; the one that was stopped has not taken the clusters sent last, and for how long."""
    raw = (CASE / "syncz.json").read_bytes()
    assert states(SYNCZ, raw) == {
        ("cart-0.shop", "cds"): "synced",
        ("cart-0.shop", "eds"): "synced",
        ("eastwest.shop", "cds"): "synced",
        ("eastwest.shop", "eds"): "synced",
        ("reviews-0.shop", "cds"): "stale",
        ("reviews-0.shop", "eds"): "synced",
    }
    own, *_ = told = rows(SYNCZ, raw)
    assert own == {"subject": "control_plane", "control_plane": "istiod-1", "proxies": 3}
    (stale,) = (row for row in told if row.get("state") == "stale")
    assert stale["proxy_cluster"] == "cluster-west"
    assert (stale["proxy_type"], stale["proxy_version"]) == ("sidecar", "1.31.0")
    assert stale["connected"] is True
    assert stale["sent_version"] != stale["acked_version"]
    assert stale["last_update_time"] == datetime(2026, 11, 26, 18, 53, 8, 411_985, tzinfo=UTC)
    # Asked at 19:00:00: 6 min 51.588 s later.
    assert stale["staleness_ms"] == pytest.approx(411_588.016, abs=0.01)
    assert {row["staleness_ms"] for row in told if row.get("state") == "synced"} == {0.0}


def test_what_proxies_refuse():
    """Rejected, with Envoy's reason, where istiod sent what plain Envoy does not know."""
    raw = (CASE / "syncz_rejected.json").read_bytes()
    assert states(SYNCZ, raw) == {
        ("cart-0.shop", "cds"): "rejected",
        ("cart-0.shop", "lds"): "rejected",
        ("eastwest.shop", "cds"): "rejected",
        ("eastwest.shop", "lds"): "synced",
    }
    errors = [str(row["error"]) for row in rows(SYNCZ, raw) if "error" in row]
    assert len(errors) == 3
    assert all("istio.metadata_exchange" in error for error in errors)


def test_a_real_clusterz():
    """Two clusters synced, the one nobody answers for timed out."""
    own, *told = rows("istiod-1/debug/clusterz", (CASE / "clusterz.json").read_bytes())
    assert own == {"subject": "control_plane", "control_plane": "istiod-1"}
    assert [(row["remote_cluster"], row["cluster_state"]) for row in told] == [
        ("cluster-east", "synced"),
        ("cluster-west", "synced"),
        ("cluster-gone", "timeout"),
    ]


def test_a_real_endpoint_shardz():
    """Endpoints of each cluster, of all registries: a service in two of them counts once."""
    own, *told = rows("istiod-1/debug/endpointShardz", (CASE / "endpointShardz.json").read_bytes())
    assert own == {"subject": "control_plane", "control_plane": "istiod-1"}
    names = ("remote_cluster", "provider", "services", "endpoints", "endpoints_healthy")
    assert sorted(tuple(row[name] for name in names) for row in told) == [
        ("cluster-east", "External, Kubernetes", 4, 7, 7),
        ("cluster-west", "Kubernetes", 1, 3, 2),
    ]


def test_real_connections():
    """Since when, and from where."""
    own, first, *_ = rows("istiod-1/debug/connections", (CASE / "connections.json").read_bytes())
    assert own["proxies"] == 3
    assert first["proxy"] == "cart-0.shop"
    assert first["connected_time"] == datetime(2026, 11, 26, 18, 53, 4, 420_172, tzinfo=UTC)
    assert (first["peer_ip_hi"], first["peer_ip_lo"]) == (0, 0xFFFF_7F00_0001)


def test_the_older_answer_has_five_types_and_no_times():
    """Judged by what was sent and taken alone; for how long it is stale nobody says."""
    one = {
        "cluster_id": "east",
        "proxy": "web.shop",
        "proxy_version": "1.14.3",
        "cluster_sent": "a",
        "cluster_acked": "a",
        "listener_sent": "b",
        "listener_acked": "a",
        "endpoint_sent": "c",
    }
    _, *told = rows(SYNCZ, [one])
    assert [(row["resource_type"], row["state"], row.get("staleness_ms")) for row in told] == [
        ("cds", "synced", 0.0),
        ("lds", "stale", None),
        ("rds", "not_sent", None),
        ("eds", "stale", None),
        ("ecds", "not_sent", None),
    ]
    assert told[0]["proxy_version"] == "1.14.3"


CLIENT = {
    "@type": "type.googleapis.com/envoy.service.status.v3.ClientConfig",
    "node": {"id": "sidecar~10.0.0.5~web.shop~x", "metadata": {"CLUSTER_ID": "east", "ISTIO_VERSION": 7}},
    "genericXdsConfigs": [
        {
            "typeUrl": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "configStatus": "STALE",
            "lastUpdated": "2026-11-26T18:59:58.500Z",
        },
        {"typeUrl": "type.googleapis.com/istio.workload.Address", "configStatus": "SYNCED"},
        {
            "typeUrl": "type.googleapis.com/my.own.Type",
            "configStatus": "ERROR",
            "errorState": {"details": "no"},
        },
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    "document", [[CLIENT], {"resources": [CLIENT], "typeUrl": "istio.io/debug/syncz"}]
)
def test_the_answer_over_xds(document: object):
    """ClientConfig, in a list or among resources: states by name, a type nobody knows by its URL."""
    own, *told = rows(SYNCZ, document)  # type: ignore[arg-type]
    assert own["proxies"] == 1
    names = ("resource_type", "state", "staleness_ms", "error")
    assert [tuple(row.get(name) for name in names) for row in told] == [
        ("cds", "stale", 1_500.0, None),
        ("wds", "synced", 0.0, None),
        ("type.googleapis.com/my.own.Type", "rejected", None, "no"),
    ]
    assert told[0]["proxy_cluster"] == "east"
    assert "proxy_version" not in told[0]  # 7 is no text


@pytest.mark.parametrize(
    ("name", "subjects"),
    [
        ("syncz", {"control_plane", "proxy"}),
        ("clusterz", {"control_plane", "cluster"}),
        ("connections", {"control_plane", "proxy"}),
        ("endpointShardz", {"control_plane", "cluster"}),
    ],
)
def test_a_document_nobody_named_is_told_by_its_shape(name: str, subjects: set[str]):
    """As `crosspane decode` of a saved file: the same rows."""
    raw = (CASE / f"{name}.json").read_bytes()
    named, by_shape = rows(f"x/debug/{name}", raw), rows("file:answer.json", raw)
    assert {row["subject"] for row in by_shape} == subjects
    for row in (*named, *by_shape):
        del row["control_plane"]
    assert named == by_shape


def test_nobody_connected_is_an_answer():
    """An empty list says that no proxy is connected."""
    assert rows(SYNCZ, b"[]") == [
        {"subject": "control_plane", "control_plane": "istiod-1", "proxies": 0}
    ]


def test_times_nobody_set_are_null():
    """Go's zero time, and times out of reach, are no times."""
    for time in ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"):
        resource = {"sent": "b", "acked": "a", "sentTime": time}
        _, told = rows(SYNCZ, [{"proxy": "p", "resources": {"x/Cluster": resource}}])
        assert told["state"] == "stale"
        assert "last_update_time" not in told
        assert "staleness_ms" not in told


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "payload_empty"),
        (b"{", "json_malformed"),
        (b"\xff", "json_malformed"),
        (b"Pilot Version tracking is disabled", "json_malformed"),
        (b"[" * 100_000, "field_invalid"),
        (b"5", "field_invalid"),
        (b'[{"proxy": 5}]', "field_invalid"),
        (b'[{"proxy": "p", "resources": {"x": {"sentTime": "yesterday"}}}]', "field_invalid"),
        (b'[{"proxy": "p", "resources": {"x": {"sentTime": "2026-01-01T00:00:00"}}}]', "field_invalid"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_rejected(payload: bytes, reason: str):
    """With its bytes; the answers around it count."""
    decoded = decode("istiod", (SYNCZ, 0, b"[]"), (SYNCZ, 1, payload), (SYNCZ, 2, b"[]"))
    assert decoded.rejects["reason"].to_list() == [reason]
    assert decoded.rejects["payload"].to_list() == [1]
    assert decoded.rejects["raw"][0] == payload[:2_048]
    assert decoded.frames["control_plane"]["received_ns"].to_list() == [
        EPOCH_S * 10**9,
        (EPOCH_S + 2) * 10**9,
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["proxy", "resources", "sentTime", "clients", "totalClients", "id", "syncStatus", "Shards", "node"])
        | st.text(max_size=3),
        inner,
        max_size=3,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    JSON.map(msgspec.json.encode) | st.binary(max_size=100),
    st.sampled_from(["syncz", "clusterz", "connections", "endpointShardz", "x"]),
)
def test_any_document_is_rows_or_a_reject(raw: bytes, endpoint: str):
    """Nothing an endpoint can answer raises."""
    decoded = decode("istiod", (f"i/debug/{endpoint}", 0, raw))
    assert decoded.frames["control_plane"].schema == schema.DECODED_CONTROL_PLANE
