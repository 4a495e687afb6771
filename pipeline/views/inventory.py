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
