"""
How the inventory is known: who tells it, how fresh it is, and what it corrected.

Before: facts.py. After: ipspace.py.
"""

from typing import Final

from pipeline.schema import View

INVENTORY: Final = View(
    "v_inventory",
    "Who tells the inventory, how much, and how fresh is it?",
    {
        "kind": "kubernetes, aws, gcp, azure, netbox",
        "cluster": "cluster of the agent that asks",
        "scope": "part of the source: account and region, project...",
        "resource": "what it tells: pods, ec2.subnets...",
        "objects": "objects that are there now",
        "listed_time": "end of the last whole list; null: none came, so what is missing is not known",
        "heard_time": "last time anything was heard of it",
        "silent_s": "seconds from then to the newest commit of the job",
    },
    """SELECT s.*, date_diff('millisecond', heard_time, newest) / 1000.0 AS silent_s
    FROM inventory_sources s, (SELECT max(committed_time) AS newest FROM commits)""",
)

CHANGES: Final = View(
    "v_inventory_changes",
    "What did sources of the inventory tell of last, and when did it happen?",
    {
        "happened_time": "when this version of it began, or when it was gone",
        "change": "changed: new, or of another version; gone",
        "kind": "source: kubernetes, aws, gcp, azure, netbox",
        "cluster": "cluster of the agent that asks the source",
        "network": "network of that agent",
        "scope": "account and region, or what else the source lists by itself",
        "resource": "pods, ec2.subnets...",
        "uid": "identity of the object in its source",
    },
    """SELECT *, coalesce(gone_time, changed_time) AS happened_time,
        CASE WHEN gone_time IS NULL THEN 'changed' ELSE 'gone' END AS change FROM objects""",
)

CORRECTIONS: Final = View(
    "v_corrections",
    "Which rows were written before their inventory came, and were named again?",
    {
        "corrected_time": "when",
        "table_name": "flows, requests...",
        "side": "which of its addresses: src, dst, peer...",
        "from_resolution": "what it was: resolved, ambiguous, unknown",
        "to_resolution": "what it is now",
        "rows": "how many rows",
        "oldest_time": "when the oldest of them was received",
    },
    "FROM corrections",
)
