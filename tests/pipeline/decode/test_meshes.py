"""Names of every mesh: literal rows, one owner for every name, and what must be null."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import schema
from pipeline.decode.meshes import GIVEN, MESHES, read_names

COLUMNS = (
    "mesh",
    "reporter",
    "service",
    "service_port",
    "service_subset",
    "service_network",
)


def read(**columns: str | None) -> tuple[object, ...]:
    """The one row of one value a column."""
    rows = pl.DataFrame(
        {"row": [0]} | {name: [text] for name, text in columns.items()},
        schema_overrides={name: GIVEN[name] for name in columns},
    )
    return read_names(rows).select(COLUMNS).row(0)


SNI = "outbound_.9080_.v2_.reviews.shop.svc"
NOTHING = (None, "unknown", None, None, None, None)


@pytest.mark.parametrize(
    ("cluster", "sni", "direction", "expected"),
    [
        ("outbound|80|v1|a.b", None, None, ("source", "a.b", 80, "v1")),
        ("outbound|80||a.b", SNI, None, ("source", "a.b", 80, None)),
        ("inbound|8080||", None, None, ("destination", None, 8080, None)),
        ("inbound|8080||", SNI, None, ("destination", "reviews.shop.svc", 9080, "v2")),
        ("inbound|8080|http|a.b", None, None, ("destination", "a.b", 8080, None)),
        ("outbound_.80_._.a_.b", None, None, ("gateway", "a_.b", 80, None)),
        ("outbound_.80_._.a.b", None, "outbound", ("gateway", "a.b", 80, None)),
        (
            "outbound|9080|v2|reviews.shop.svc",
            SNI,
            None,
            ("gateway", "reviews.shop.svc", 9080, "v2"),
        ),
        (None, SNI, None, ("unknown", "reviews.shop.svc", 9080, "v2")),
        ("inbound-vip|80|http|a.b", None, None, ("waypoint", "a.b", 80, None)),
        ("inbound-vip|80|http/v1|a.b", None, "inbound", ("waypoint", "a.b", 80, "v1")),
        ("PassthroughCluster", None, None, ("source", None, None, None)),
        ("BlackHoleCluster", None, None, ("source", None, None, None)),
        ("InboundPassthroughCluster", None, None, ("destination", None, None, None)),
        ("outbound|80||a.b", None, "GATEWAY", ("gateway", "a.b", 80, None)),
        ("outbound|80||a.b", None, "sideways", ("source", "a.b", 80, None)),
        ("outbound|0||a.b", None, None, ("source", "a.b", None, None)),
        ("outbound|99999||a.b", None, None, ("source", "a.b", None, None)),
        ("outbound|80||", None, None, ("source", None, None, None)),
    ],
)
def test_istio(cluster, sni, direction, expected):
    """The cluster names the service, else the SNI; what only a gateway or waypoint says wins."""
    found = read(upstream_cluster=cluster, sni=sni, direction=direction)
    assert found == ("istio", *expected, None)


TD = "11111111-2222-3333-4444-555555555555.consul"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"web.default.dc1.internal.{TD}", ("source", "web.default", None, None, "dc1")),
        (f"v2.web.ns1.dc1.internal.{TD}", ("source", "web.ns1", None, "v2", "dc1")),
        (f"web.ns1.ap1.dc2.internal-v1.{TD}", ("source", "web.ns1.ap1", None, None, "dc2")),
        (f"v2.web.ns1.ap1.dc2.internal-v1.{TD}", ("source", "web.ns1.ap1", None, "v2", "dc2")),
        (f"web.ns1.ap1.cloud2.external.{TD}", ("source", "web.ns1.ap1", None, None, "cloud2")),
        (f"geo.default.dc2.query.{TD}", ("source", "geo", None, None, "dc2")),
        (f"dc2.internal.{TD}", ("gateway", None, None, None, "dc2")),
        (f"7d4f~web.default.dc1.internal.{TD}", ("source", "web.default", None, None, "dc1")),
        (
            f"failover-target~1~web.default.dc2.internal.{TD}",
            ("source", "web.default", None, None, "dc2"),
        ),
        (f"exported~web.default.dc1.internal.{TD}", ("source", "web.default", None, None, "dc1")),
        ("local_app", ("destination", None, None, None, None)),
    ],
)
def test_consul(name, expected):
    """Service with its namespace, and the datacenter or peer it is in."""
    assert read(upstream_cluster=name) == ("consul", *expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kri_msvc_default_east_shop_web_80", ("source", "web.shop", 80, None, "east")),
        ("kri_msvc_default_east__web_http", ("source", "web", None, None, "east")),
        ("kri_mzsvc_default___web_80", ("source", "web", 80, None, None)),
        ("default_web_shop_east_msvc_80", ("source", "web.shop", 80, None, "east")),
        (
            "default_web_shop_east_msvc_80-5d788f7a87b92639",
            ("source", "web.shop", 80, None, "east"),
        ),
        ("default_web___msvc_80", ("source", "web", 80, None, None)),
        ("web_shop_svc_80", ("source", "web.shop", 80, None, None)),
        ("web_shop_svc_80-0123456789abcdef", ("source", "web.shop", 80, None, None)),
        ("self_inbound_dp_80", ("destination", None, 80, None, None)),
        ("self_inbound_http", ("destination", None, None, None, None)),
    ],
)
def test_kuma_clusters(name, expected):
    """Service with its namespace where it has one, and its zone."""
    assert read(upstream_cluster=name) == ("kuma", *expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sni.msvc.default.east.shop.web.80", ("web.shop", 80, None, "east")),
        ("sni.msvc.default.east.web.http", ("web", None, None, "east")),
        ("sni.extsvc.default.web.443", ("web", 443, None, None)),
        ("a0123456789abcdef.web.80.default.ms", ("web", 80, None, None)),
        ("web{mesh=default}", ("web", None, None, None)),
        ("web_shop_svc_80{mesh=default,version=v1}", ("web.shop", 80, None, None)),
        ("web_shop_svc_80{kuma.io/zone=east,mesh=default}", ("web.shop", 80, None, None)),
    ],
)
def test_kuma_server_names(name, expected):
    """An SNI names the service, not who wrote the line."""
    assert read(sni=name) == ("kuma", "unknown", *expected)


def test_what_passed_a_gateway():
    """Where clients and gateways call a cluster alike, the SNI that came in tells them apart."""
    name = f"web.default.dc2.internal.{TD}"
    assert read(upstream_cluster=name, sni=name)[:3] == ("consul", "gateway", "web.default")
    zone_ingress = {
        "upstream_cluster": "kri_msvc_default_east_shop_web_80",
        "sni": "sni.msvc.default.east.shop.web.80",
    }
    assert read(**zone_ingress)[:3] == ("kuma", "gateway", "web.shop")
    assert read(upstream_cluster="local_app", sni=name) == (
        *("consul", "destination", "web.default", None, None, "dc2"),
    )


def test_linkerd():
    """An identity tells the mesh; an authority, which any Kubernetes has, only if it is declared."""
    identity = "web.shop.serviceaccount.identity.linkerd.cluster.local"
    assert read(sni=identity) == ("linkerd", *NOTHING[1:])
    assert read(downstream_peer_identity=identity) == ("linkerd", *NOTHING[1:])
    authority = "web.shop.svc.cluster.local:8080"
    assert read(upstream_cluster=authority) == NOTHING
    assert read(upstream_cluster=authority, mesh="linkerd") == (
        *("linkerd", "unknown", "web.shop.svc.cluster.local", 8080, None, None),
    )


def test_osm():
    """Both ends call a service alike, but for one word."""
    service = "web.shop.svc.cluster.local"
    assert read(upstream_cluster="shop/web|80") == ("osm", "source", service, 80, None, None)
    assert read(upstream_cluster="shop/web|80|local", sni=service) == (
        *("osm", "destination", service, 80, None, None),
    )
    assert read(sni=service) == NOTHING


@pytest.mark.parametrize(
    ("identity", "mesh"),
    [
        (f"spiffe://{TD}/ns/default/dc/dc1/svc/web", "consul"),
        (f"spiffe://{TD}/ap/ap1/ns/default/dc/dc1/svc/web", "consul"),
        (f"spiffe://{TD}/gateway/mesh/dc/dc1", "consul"),
        ("spiffe://default.east.mesh.local/ns/shop/sa/web", "kuma"),
        ("spiffe://default/web_shop_svc_80", "kuma"),
        ("spiffe://cluster.local/ns/shop/sa/web", None),  # Istio's form, and anybody's
        ("spiffe://example.org/web", None),
    ],
)
def test_identities_tell_the_mesh(identity, mesh):
    """An identity is believed only in a form that one mesh alone uses."""
    assert read(upstream_peer_identity=identity) == (mesh, *NOTHING[1:])


def test_a_declared_mesh_comes_first():
    """Names are read in its dialect only; one without a dialect leaves them to whom they are."""
    name = "outbound|80||a.b"
    assert read(upstream_cluster=name, mesh="kuma") == ("kuma", *NOTHING[1:])
    assert read(upstream_cluster=name, mesh="ours") == ("ours", "source", "a.b", 80, None, None)
    assert read(upstream_cluster=name, mesh="") == ("istio", "source", "a.b", 80, None, None)
    assert read(upstream_cluster="localhost:8080") == NOTHING
    assert read(upstream_cluster="localhost:8080", mesh="kuma") == (
        *("kuma", "destination", None, 8080, None, None),
    )


def test_a_declared_model_is_the_last_resort():
    """A gateway's or waypoint's line is its own, unless its names say better."""
    assert read(proxy_model="gateway") == (None, "gateway", *NOTHING[2:])
    assert read(proxy_model="sidecar") == NOTHING
    assert read(proxy_model="gateway", upstream_cluster="inbound|80||")[1] == "destination"


@pytest.mark.parametrize("name", [None, "", "-", "web", "a.example", "a.example:80", "prometheus"])
def test_any_other_name_is_nobodys(name):
    """No mesh and no service is made up."""
    assert read(upstream_cluster=name, sni=name) == NOTHING


PARTS = st.sampled_from(
    [
        *("outbound", "inbound", "|", "_.", "_", ".", "80", "web", "shop", "sni", "msvc", "kri"),
        *(
            "/",
            "internal",
            "svc",
            TD,
            "{mesh=default}",
            "serviceaccount.identity.linkerd",
            "~",
            "local",
        ),
    ]
)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(PARTS, max_size=9).map("".join) | st.text() | st.none(), max_size=5))
def test_a_name_has_one_mesh_at_most(names):
    """No two dialects know a name, nothing raises, and each name is read alone as among others."""
    from pipeline.decode.meshes.names import columns  # noqa: PLC0415

    frame = pl.DataFrame({"name": names}, {"name": pl.String})
    known = [frame.select(columns(pl.col("name"), one))["known"] for one in MESHES.values()]
    assert pl.DataFrame([k.alias(str(n)) for n, k in enumerate(known)]).sum_horizontal().max() in {
        *(None, 0, 1),
    }
    together = read_names(frame.rename({"name": "upstream_cluster"}))
    assert together["reporter"].dtype == schema.REPORTER
    assert together.select(COLUMNS).rows() == [read(upstream_cluster=name) for name in names]
