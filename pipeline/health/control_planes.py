"""
How well each control plane is followed: by what its proxies have taken, and what it reads.

Before: stage.py. After: schema/health.py (the rows).
"""

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline.findings.moment import SCRAPES_LOOKBACK, moment
from pipeline.lake import Lake
from pipeline.schema.health import HEALTH_1M
from pipeline.views.health import CONTROL_PLANES

if TYPE_CHECKING:  # which lists the stage
    from pipeline.windows import Window

_TOLD: Final = ("entity", "cluster", "requests", "errors", "state", "score", "reasons")
_EVIDENCE: Final = "FROM v_control_plane WHERE coalesce(control_plane, observer_cluster) = '{}'"


def control_planes(lake: Lake, window: "Window") -> pl.DataFrame:
    """Rows of ``health_1m`` of control planes, as of the end of a minute."""
    with moment(lake, window.end, window.made) as then:
        rows = then.ask(CONTROL_PLANES, SCRAPES_LOOKBACK)
    columns = {name: HEALTH_1M.schema[name] for name in _TOLD}
    told = pl.DataFrame([{name: row[name] for name in _TOLD} for row in rows], columns)
    quoted = pl.col("entity").str.replace_all("'", "''", literal=True)
    evidence = pl.format(_EVIDENCE, quoted)
    return told.with_columns(
        entity_kind=pl.lit("control_plane"),
        evidence_sql=pl.when(pl.col("state") != "healthy").then(evidence),
    )
