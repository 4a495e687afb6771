"""
The demo's numbers, as literals counted by programs that share no code with crosspane.

Flows, packets and bytes: nfdump 1.7.1 on each capture. Requests: jq on the
access logs, and what the clients themselves counted. The commands stand in
pipeline/demo/README.md.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from pipeline.lake import connect

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def lake(demo: tuple[Path, str]) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(demo[0] / "lake") as connection:
        yield connection


def test_flows_of_every_exporter_are_nfdumps(lake: duckdb.DuckDBPyConnection):
    """Records, packets and bytes by exporter equal nfdump's."""
    found = lake.execute(
        "SELECT observer_cluster, format, count(*), sum(packets)::BIGINT, sum(bytes)::BIGINT"
        " FROM v_flows GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    assert found == [
        ("cluster-east", "netflow9", 1314, 12615, 7070190),
        ("cluster-edge", "netflow9", 430, 3980, 2611106),
        ("cluster-onprem", "ipfix", 900, 8286, 5003528),
        ("cluster-west", "ipfix", 904, 9606, 5909369),
    ]


def test_edges_are_what_the_clients_counted(lake: duckdb.DuckDBPyConnection):
    """Calls, errors, denials and response bytes of each edge, whatever hops it took."""
    found = lake.execute(
        "SELECT client_entity, server_entity, path_model, gateway, sum(requests)::BIGINT, sum(errors)::BIGINT,"
        " sum(client_errors)::BIGINT, sum(denied)::BIGINT, sum(bytes_sent)::BIGINT"
        " FROM v_edges GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    east, west, onprem, edge = (
        f"cluster-{name}/shop/" for name in ("east", "west", "onprem", "edge")
    )
    assert found == [
        (east + "frontend", east + "cart", "local", None, 474, 24, 0, 0, 210_240),
        (
            east + "frontend",
            onprem + "inventory",
            "gateway",
            "flat-eastwest",
            210,
            0,
            0,
            0,
            168_000,
        ),
        (
            east + "frontend",
            west + "recommendations",
            "gateway",
            "west-eastwest",
            36,
            36,
            0,
            0,
            3_528,
        ),
        (east + "frontend", west + "reviews", "gateway", "west-eastwest", 375, 0, 0, 0, 846_000),
        (edge + "telemetry", onprem + "billing", "flat", None, 178, 0, 28, 28, 750_532),
        (edge + "telemetry", onprem + "inventory", "flat", None, 210, 0, 0, 0, 168_000),
        (onprem + "billing", east + "cart", "gateway", "east-eastwest", 75, 0, 0, 0, 45_000),
        (west + "reviews", east + "cart", "gateway", "east-eastwest", 120, 0, 0, 0, 72_000),
        (west + "reviews", west + "ratings", "local", None, 270, 0, 30, 0, 37_200),
    ]


def test_the_truth_file_agrees_with_the_literals_above():
    """The clients' own count adds up to the same calls and bytes."""
    calls = json.loads((ROOT / "pipeline/demo/truth.json").read_text())["calls"]
    through_mesh = [call for call in calls if call["direct"] is None]
    assert sum(call["count"] for call in through_mesh) == 1_948
    assert sum(call["response_body_bytes"] for call in through_mesh) == 2_300_500


def test_every_log_line_is_a_request_of_its_reporter(lake: duckdb.DuckDBPyConnection):
    """Lines by direction, counted by jq: each is one row, none is rejected."""
    found = lake.execute(
        "SELECT reporter, count(*) FROM v_requests GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    assert found == [("destination", 1_948), ("gateway", 331), ("source", 1_948)]
    assert lake.execute("SELECT count(*) FROM v_rejects").fetchone() == (0,)


def test_one_address_is_two_workloads(lake: duckdb.DuckDBPyConnection):
    """10.0.0.11 is frontend where the east's exporter sees it, and reviews in the west."""
    found = lake.execute(
        "SELECT DISTINCT network, src_entity FROM v_flows WHERE src_ip = '10.0.0.11' ORDER BY ALL"
    ).fetchall()
    assert found == [
        ("net-east", "cluster-east/shop/frontend"),
        ("net-west", "cluster-west/shop/reviews"),
    ]


def test_only_what_was_planted_is_unknown_or_ambiguous(lake: duckdb.DuckDBPyConnection):
    """One address no inventory has, one that two rows claim: said so, and nothing else is."""
    found = lake.execute(
        "SELECT network, dst_ip, dst_resolution, count(*) FROM v_flows WHERE dst_resolution <> 'resolved'"
        " GROUP BY ALL UNION ALL SELECT network, src_ip, src_resolution, count(*) FROM v_flows"
        " WHERE src_resolution <> 'resolved' GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    assert found == [
        ("net-east", "198.51.100.77", "unknown", 24),
        ("net-east", "198.51.100.77", "unknown", 24),
        ("net-flat", "10.20.0.50", "ambiguous", 60),
        ("net-flat", "10.20.0.50", "ambiguous", 60),
    ]
    candidates = lake.execute(
        "SELECT list_sort(list(DISTINCT entity)) FROM (SELECT unnest(dst_candidate_ids) AS endpoint_id"
        " FROM flows WHERE dst_resolution = 'ambiguous') JOIN v_endpoints USING (endpoint_id)"
    ).fetchall()
    assert candidates == [(["cluster-edge/legacy-vm", "cluster-onprem/shop/batch"],)]


def test_a_denial_names_its_policy_and_is_no_error(lake: duckdb.DuckDBPyConnection):
    """The server's proxy named the policy; the client's row of the same call carries it."""
    found = lake.execute(
        "SELECT client_entity, method, status, error, policy, count(*) FROM v_calls WHERE denied GROUP BY ALL"
    ).fetchall()
    assert found == [
        (
            "cluster-edge/shop/telemetry",
            "POST",
            403,
            False,
            "ns[shop]-policy[billing-read-only]-rule[0]",
            28,
        )
    ]


def test_health_blames_what_failed(lake: duckdb.DuckDBPyConnection):
    """No application, 24 errors in 669 calls, a slow page: three are unwell, the rest is not."""
    found = lake.execute(
        "SELECT entity, state, flags, round(error_share, 4) FROM v_health WHERE entity_kind = 'service'"
        " AND state <> 'healthy' ORDER BY entity"
    ).fetchall()
    assert ("cluster-west/shop/recommendations", "failing", ["UF"], 1.0) in found
    assert ("cluster-east/shop/cart", "degraded", [], 0.0359) in found
    assert {entity for entity, *_ in found} <= {
        "cluster-west/shop/recommendations",
        "cluster-east/shop/cart",
        "cluster-west/shop/reviews",
    }


def test_every_payload_is_accounted_for(lake: duckdb.DuckDBPyConnection):
    """Datagrams by tcpdump, lines by wc: all received, all decoded, none lost or rejected."""
    found = lake.execute(
        "SELECT observer_cluster, format, sum(received_payloads)::BIGINT, sum(decoded_payloads)::BIGINT,"
        " sum(rejected_payloads + partial_payloads)::BIGINT, sum(waiting_sets)::BIGINT,"
        " sum(coalesce(sequence_units_lost, 0))::BIGINT FROM v_completeness GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    assert found == [
        ("cluster-east", "envoy_json", 1_829, 1_829, 0, 0, 0),
        ("cluster-east", "netflow9", 62, 62, 0, 0, 0),
        ("cluster-edge", "envoy_json", 388, 388, 0, 0, 0),
        ("cluster-edge", "netflow9", 33, 33, 0, 0, 0),
        ("cluster-onprem", "envoy_json", 778, 778, 0, 0, 0),
        ("cluster-onprem", "ipfix", 53, 53, 0, 0, 0),
        ("cluster-west", "envoy_json", 1_232, 1_232, 0, 0, 0),
        ("cluster-west", "ipfix", 47, 47, 0, 0, 0),
    ]


def test_the_pane_says_it_all(demo: tuple[Path, str]):
    """What is printed has clouds, edges with their figures, health with reasons, and completeness."""
    printed = demo[1]
    for words in (
        "aws",
        "azure",
        "gcp",
        "onprem",
        "cluster-east/shop/frontend",
        "west-eastwest",
        "100.0% errors",
        "blame: server cluster-west",
        "the application answered 500",
        "ns[shop]-policy[billing",
        "10.0.0.11",
        "Completeness",
        "ipfix",
        "netflow9",
    ):
        assert words in printed, words


@pytest.mark.parametrize(
    "query", sorted((ROOT / "dashboards/queries").glob("*.sql")), ids=lambda path: path.stem
)
def test_every_dashboard_query_answers(lake: duckdb.DuckDBPyConnection, query: Path):
    """Each question of dashboards/ has an answer in the demo, and says its units."""
    text = query.read_text("utf-8")
    assert text.startswith("-- ")
    assert "\n-- Units: " in text
    assert len(lake.execute(text).fetchall()) > 0
