"""
What a person should look at: findings, as the job opened, updated and closed them.

Before: pipeline/findings/ (which asks the other views). After: pipeline/cli/findings.py.
"""

from typing import Final

from pipeline.schema import View
from pipeline.schema.findings import FINDINGS as TABLE

FINDINGS: Final = View(
    "v_findings",
    "What should a person look at, since when, on what evidence, and what to do?",
    {
        "state": "open or closed",
        **{column.name: column.meaning for column in TABLE.columns},
    },
    "SELECT *, CASE WHEN closed_time IS NULL THEN 'open' ELSE 'closed' END AS state FROM findings",
)
