"""Sources by the minute: what came, what was lost, what has a name."""

from datetime import UTC, datetime

from small_lake import emptied

THREE = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
FOUR = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)


def test_minutes_of_each_source_and_what_it_lost():
    """A source is a vantage; what it counts as sent and we do not have is lost."""
    lake = emptied()
    lake.add(
        "vantages",
        {"vantage_id": 1, "agent": "a", "cluster": "east", "network": "net", "exporter": "10.0.0.1", "format": "ipfix"},
        {"vantage_id": 2, "agent": "a", "cluster": "east", "network": "net", "exporter": "file:x", "format": "envoy_json"},
    )  # fmt: skip
    lake.add(
        "accounting",
        {"minute": THREE, "vantage_id": 1, "received_payloads": 5, "sequence_units_expected": 9, "sequence_units_received": 7},
        {"minute": FOUR, "vantage_id": 1, "received_payloads": 6, "sequence_units_expected": 6, "sequence_units_received": 6},
        {"minute": THREE, "vantage_id": 2, "received_payloads": 8},
    )  # fmt: skip
    assert lake.read(
        """SELECT minute, observer_cluster, network, agent, exporter, format, received_payloads, sequence_units_lost
        FROM v_sources_1m ORDER BY ALL"""
    ) == [
        (THREE, "east", "net", "a", "10.0.0.1", "ipfix", 5, 2),
        (THREE, "east", "net", "a", "file:x", "envoy_json", 8, None),
        (FOUR, "east", "net", "a", "10.0.0.1", "ipfix", 6, 0),
    ]


def test_drops_are_of_the_agent_that_told():
    """Before the log there is no exporter yet."""
    lake = emptied()
    lake.add(
        "agent_drops",
        {"minute": THREE, "topic": "t", "agent": "a", "cluster": "east", "reason": "kernel", "payloads": 3},
    )  # fmt: skip
    assert lake.read("FROM v_drops") == [(THREE, "east", "a", "t", "kernel", 3)]


def test_naming_counts_both_sides_of_all_kinds_of_rows_in_the_span():
    """Flows, requests and verdicts; the end of the span is exclusive."""
    lake = emptied()
    lake.add(
        "vantages",
        {"vantage_id": 1, "agent": "a", "cluster": "east", "network": "net", "exporter": "e", "format": "f"},
    )  # fmt: skip
    for table, time in (("flows", "start_time"), ("requests", "start_time"), ("verdicts", "event_time")):  # fmt: skip
        lake.add(
            table,
            {time: THREE, "vantage_id": 1, "src_resolution": "unknown", "dst_resolution": "resolved"},
            {time: THREE, "vantage_id": 1, "src_resolution": "ambiguous", "dst_resolution": "unknown"},
            {time: FOUR, "vantage_id": 1, "src_resolution": "unknown", "dst_resolution": "unknown"},
        )  # fmt: skip
    assert lake.read("FROM naming_between('2026-11-24T03:00:00Z', '2026-11-24T04:00:00Z')") == [
        (THREE, "east", "net", "a", "e", "f", 12, 6, 3)
    ]
