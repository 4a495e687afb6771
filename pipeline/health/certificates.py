"""
Servers that are not called since their certificates are refused.

A call that is not even tried, since health checks found no server of its service well,
does not tell why. The proxies of its client's cluster do: they count certificates that
did not verify, of health checks' connections as of others.

Before: views/failed.py, views/proxies.py. After: causes.py.
"""

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline.lake import Lake
from pipeline.views.proxies import refused_sql

if TYPE_CHECKING:  # whose stages this is part of
    from pipeline.windows import Window

NOT_TRIED: Final = pl.col("response_flags").list.unique() == pl.lit(["UH"])
"""Whether a call of `failed.FAILED` was not sent, since no server was healthy."""


def with_refused(lake: Lake, window: "Window", failed: pl.DataFrame) -> pl.DataFrame:
    """
    Blame servers whose certificates are refused for calls that were not tried.

    Only where nothing else is to blame, and half the connections that the cluster's proxies
    could not make to that service failed for it.

    Parameters
    ----------
    failed
        Rows of `failed.failed_sql`, of the minute.
    """
    is_open = NOT_TRIED & pl.col("blame").is_in(["server", "unknown"])
    if not failed.select(is_open.any()).item():
        return failed
    refused = lake.read(refused_sql(window.start, window.end))
    told = failed.join(refused, on=["client_cluster", "service"], how="left")
    known = is_open & pl.col("refused").is_not_null()
    reason = pl.concat_str("blame_reason", "refused", separator="; ", ignore_nulls=True)
    blamed = {
        "blame": pl.lit("server"),
        "blamed_entity": pl.col("server_entity"),
        "blame_reason": reason,
    }
    return told.with_columns(
        pl.when(known).then(of).otherwise(name).alias(name) for name, of in blamed.items()
    ).select(failed.columns)
