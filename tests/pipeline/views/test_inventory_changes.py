"""What sources of the inventory told of last: annotations are made of it."""

from datetime import UTC, datetime

from small_lake import emptied

from dashboards.build.query import read
from dashboards.expand import Scope, expand

THREE, FIVE = (datetime(2026, 11, 24, 3, minute, 30, tzinfo=UTC) for minute in (3, 5))
FROM, TO = (datetime(2026, 11, 24, hour, tzinfo=UTC) for hour in (3, 4))


def test_an_object_is_changed_or_gone_and_an_annotation_says_how_many():
    """What is gone happened when it went; a minute of a cluster is one annotation."""
    lake = emptied()
    same = {"kind": "kubernetes", "cluster": "east", "network": "n", "scope": "", "version": 1}
    lake.add(
        "objects",
        {**same, "object_id": 1, "resource": "pods", "uid": "a", "changed_time": THREE},
        {**same, "object_id": 2, "resource": "pods", "uid": "b", "changed_time": THREE},
        {**same, "object_id": 3, "resource": "services", "uid": "c", "changed_time": FROM, "gone_time": THREE},
        {**same, "object_id": 4, "resource": "pods", "uid": "d", "changed_time": FIVE},
    )  # fmt: skip
    assert lake.read(
        "SELECT happened_time, change, resource, uid FROM v_inventory_changes ORDER BY ALL"
    ) == [
        (THREE, "changed", "pods", "a"),
        (THREE, "changed", "pods", "b"),
        (THREE, "gone", "services", "c"),
        (FIVE, "changed", "pods", "d"),
    ]
    sql = expand(read("annotations/inventory").sql, Scope(from_time=FROM, to_time=TO)).sql
    assert lake.read(sql) == [
        (THREE.replace(second=0), None, "east: 1 services gone, 2 pods changed", "kubernetes"),
        (FIVE.replace(second=0), None, "east: 1 pods changed", "kubernetes"),
    ]
