"""Clusters, and where in the world they are."""

from datetime import UTC, datetime

from tests.small_lake import emptied

_NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_a_cluster_stands_where_its_region_is_and_nowhere_if_that_is_not_known():
    """Northern Virginia is at 39.0 N 77.5 W; a data centre's place is null, never 0, 0."""
    lake = emptied()
    lake.add(
        "clusters",
        {"cluster": "east", "provider": "aws", "region": "us-east-1", "network": "n"},
        {"cluster": "edge", "provider": "azure", "region": "westeurope", "network": "m"},
        {"cluster": "office", "provider": "onprem", "region": "dc1", "network": "n"},
        {"cluster": "other", "provider": "gcp", "region": "us-east-1", "network": None},
    )
    lake.add("networks", {"network": "n", "model": "flat"})
    assert lake.read("SELECT cluster, model, latitude, longitude FROM v_clusters ORDER BY ALL") == [
        ("east", "flat", 39.0, -77.5),
        ("edge", None, 52.4, 4.9),
        ("office", "flat", None, None),
        ("other", None, None, None),
    ]


def test_a_cluster_that_moved_is_where_it_is_now():
    """Of several rows of one cluster, the one that is still valid counts."""
    lake = emptied()
    lake.add(
        "clusters",
        {"cluster": "a", "provider": "gcp", "region": "us-west1", "valid_to": _NOON},
        {"cluster": "a", "provider": "gcp", "region": "europe-west4", "valid_from": _NOON},
    )
    assert lake.read("SELECT cluster, region, latitude FROM v_clusters") == [
        ("a", "europe-west4", 53.4)
    ]


def test_a_name_means_itself_or_every_workload_of_that_service():
    """The level of services names cluster and host; a workload's own name is always among them."""
    lake = emptied()
    lake.add(
        "endpoints",
        *(
            {
                "endpoint_id": nth,
                "network": "n",
                "endpoint_ip": f"10.0.0.{nth}",
                "kind": "pod",
                "cluster": cluster,
                "namespace": "shop",
                "workload": workload,
                "service": "cart.shop",
            }
            for nth, (cluster, workload) in enumerate(
                [("east", "cart-v1"), ("east", "cart-v2"), ("west", "cart-v1")], 1
            )
        ),
    )
    assert lake.read("FROM entities_called('east/cart.shop') ORDER BY ALL") == [
        ("east/cart.shop",),
        ("east/shop/cart-v1",),
        ("east/shop/cart-v2",),
    ]
    assert lake.read("FROM entities_called('west/shop/cart-v1')") == [("west/shop/cart-v1",)]


def test_only_all_of_everything_picks_what_is_in_no_cluster():
    """A reader who picked a cloud does not want traffic of nobody's."""
    lake = emptied()
    lake.add(
        "clusters",
        {"cluster": "a", "provider": "aws", "region": "us-east-1", "network": "n"},
        {"cluster": "b", "provider": "gcp", "region": "us-east1", "network": "n"},
    )
    everything = "FROM clusters_picked(['*'], ['*'], ['*'], ['*']) ORDER BY ALL"
    assert lake.read(everything) == [("",), ("a",), ("b",)]
    assert lake.read("FROM clusters_picked(['gcp', 'azure'], ['*'], ['*'], ['n'])") == [("b",)]
    assert lake.read("FROM clusters_picked(['*'], ['*'], ['b'], ['m'])") == []
