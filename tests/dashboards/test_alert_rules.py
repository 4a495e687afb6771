"""Rules that nothing in the demo makes fire, on rows that do and rows that do not."""

from datetime import UTC, datetime, timedelta

from grafana import firing
from small_lake import SmallLake, emptied

from dashboards.alerts import ALERTS

NOW = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)


def fires(lake: SmallLake, name: str) -> list[dict[str, str]]:
    (alert,) = [each for each in ALERTS if each.name == name]
    return firing(alert, lambda sql: lake.connection.execute(sql).to_arrow_table(), NOW)


def before(minutes: int) -> datetime:
    return NOW - timedelta(minutes=minutes)


def sources(*rows: tuple[int, int, int, int, int]) -> SmallLake:
    """Minutes ago, vantage, payloads received, units expected, units received."""
    lake = emptied()
    lake.add(
        "vantages",
        *(
            {"vantage_id": n, "cluster": "east", "network": "n", "agent": "a", "exporter": f"e{n}", "format": "ipfix"}
            for n in (1, 2)
        ),
    )  # fmt: skip
    lake.add(
        "accounting",
        *(
            {"minute": before(minutes), "vantage_id": vantage, "received_payloads": payloads,
             "decoded_payloads": payloads, "sequence_units_expected": expected,
             "sequence_units_received": received}
            for minutes, vantage, payloads, expected, received in rows
        ),
    )  # fmt: skip
    return lake


SECOND = {"cluster": "east", "exporter": "e2", "format": "ipfix"}


def test_a_source_that_fell_silent():
    """Six minutes behind the others is too long, five are not."""
    assert fires(sources((1, 1, 9, 9, 9), (7, 2, 9, 9, 9)), "source_stale") == [SECOND]
    assert fires(sources((1, 1, 9, 9, 9), (6, 2, 9, 9, 9)), "source_stale") == []


def test_a_source_of_which_something_is_missing():
    """Two of a hundred are too many, one is not; what came twice is no loss."""
    late = sources((1, 1, 9, 100, 99), (1, 2, 9, 100, 98))
    assert fires(late, "completeness_low") == [SECOND]
    assert fires(sources((1, 1, 9, 100, 110)), "completeness_low") == []


def test_a_gateway_that_is_failing_now():
    """The last minute counts; degraded is not failing; other kinds are not gateways."""
    lake = emptied()
    lake.add(
        "health_1m",
        *(
            {"minute": before(minutes), "entity_kind": kind, "entity": entity, "cluster": "west", "state": state}
            for minutes, kind, entity, state in (
                (3, "gateway", "g1", "healthy"), (2, "gateway", "g1", "failing"),
                (3, "gateway", "g2", "failing"), (2, "gateway", "g2", "healthy"),
                (2, "gateway", "g3", "degraded"), (2, "service", "s", "failing"),
            )
        ),
    )  # fmt: skip
    assert fires(lake, "gateway_unhealthy") == [{"gateway": "g1", "cluster": "west"}]


def test_an_edge_in_plaintext():
    """Where proxies of the sending cluster encrypt elsewhere; else it is not known."""
    lake = emptied()
    lake.add(
        "security_1m",
        *(
            {"minute": before(2), "client_entity": client, "client_cluster": cluster, "server_entity": "s",
             "server_cluster": "east", "path_model": "local", "conversations": 5, "encrypted": encrypted,
             "identified": encrypted, "open_legs": legs, "denied": 0, "denied_by": [],
             "client_trust_domains": [], "server_trust_domains": [], "allowed": 0, "unmatched": 0}
            for client, cluster, encrypted, legs in (
                ("a", "east", 5, []), ("b", "east", 0, ["client east -> server east"]),
                ("c", "west", 0, ["client west -> server east"]),
            )
        ),
    )  # fmt: skip
    assert fires(lake, "plaintext_edge") == [
        {"client": "b", "server": "s", "legs": "client east -> server east"}
    ]


def test_a_service_that_became_slow():
    """Three times the hour before is too slow, as slow as ever is not; forty calls say nothing."""
    lake = emptied()
    lake.connection.execute("INSERT INTO windows SELECT ?, false, ?", [before(1), NOW])
    slow, fast = (
        lake.read(f"SELECT max(bucket) FROM (SELECT unnest(range(0, 400)) AS bucket)"
                  f" WHERE histogram_quantile([{{'bucket': bucket::SMALLINT, 'calls': 1::UBIGINT}}], 0.95) <= {ms}")[0][0]
        for ms in (90, 30)
    )  # fmt: skip
    lake.add(
        "edges_1m",
        *(
            {"bucket_start": before(minutes), "client_entity": "c", "server_entity": server, "requests": calls,
             "errors": 0, "denied": 0, "durations": [{"bucket": bucket, "calls": calls}]}
            for server, minutes, bucket, calls in (
                ("slow", 5, slow, 50), ("slow", 40, fast, 50), ("same", 5, slow, 50), ("same", 40, slow, 50),
                ("few", 5, slow, 40), ("few", 40, fast, 50),
            )
        ),
    )  # fmt: skip
    assert fires(lake, "p95_regression") == [{"server": "slow"}]
