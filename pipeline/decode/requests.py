"""
Columns of requests, however they came, to rows of the one model.

Decoders of files, of access log services and of other proxies give what they
were told, typed; what follows from it is done here, once: names to services,
policies out of details, no query strings.

Before: access_log and its like. After: normalize.py.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline import schema
from pipeline.decode import Source
from pipeline.decode.meshes import read_names

_POLICY: Final = r"(?s)^rbac_access_denied_matched_policy\[(.*)\]$"
_HEALTH_CHECK_AGENT: Final = "Envoy/HC"
_HEALTH_CHECK_DETAILS: Final = "health_check_"
_WANTED: Final = pl.Schema({**schema.DECODED_REQUESTS, "user_agent": pl.String()})


def declared_columns(
    sources: Sequence[Source],
    of: npt.NDArray[np.int32],
    mesh: str | None = None,
    proxy_model: str | None = None,
) -> dict[str, pl.Series]:
    """
    Give ``declared_mesh`` and ``declared_model`` of n rows.

    Parameters
    ----------
    sources, of
        Sources, and the index of each row's.
    mesh, proxy_model
        What rows have whose agent does not say.
    """
    meshes = [source.declared.mesh or mesh for source in sources]
    models = [source.declared.proxy_model or proxy_model for source in sources]
    return {
        "declared_mesh": pl.Series(meshes, dtype=pl.String).gather(of),
        "declared_model": pl.Series(models, dtype=schema.PROXY_MODEL).gather(of),
    }


def request_rows(columns: pl.DataFrame) -> pl.DataFrame:
    """
    Rows of requests.

    Parameters
    ----------
    columns
        n rows: ``vantage``, ``received_ns``, ``start_ns``, and any other
        columns of `schema.DECODED_REQUESTS`, typed so; ``response_flags`` may
        be text. Besides, if told: ``direction`` of the listener (inbound,
        outbound or gateway) and ``user_agent``, which no row keeps.

    Returns
    -------
    DataFrame
        n rows of `schema.DECODED_REQUESTS`, same order. What is given stays as
        it is, but for the query string of the path, status 0, which is no
        status, and a mesh of "", which is none. A service that is given keeps
        its own port; the names' is another's unless they name the same.
    """
    named = read_names(columns)
    named = named.rename({name: f"named_{name}" for name in named.columns})
    rows = schema.complete(columns.with_columns(_flags(columns)), _WANTED)
    rows = pl.concat([rows, named], how="horizontal")
    same = pl.col("service").is_null() | (pl.col("service") == pl.col("named_service"))
    same |= pl.col("named_service").is_null()
    policy = pl.coalesce(
        pl.col("response_code_details").str.extract(_POLICY),
        pl.col("termination_details").str.extract(_POLICY),
    )
    return rows.with_columns(
        # "none": no policy allowed it.
        policy=pl.coalesce("policy", pl.when(policy != "none").then(policy)),
        authz=pl.coalesce(
            "authz", pl.when(policy.is_not_null()).then(pl.lit("denied")).cast(schema.AUTHZ)
        ),
        # Query strings carry what is nobody's business.
        path=pl.col("path").str.splitn("?", 2).struct[0],
        status=pl.when(pl.col("status") != 0).then("status"),
        is_health_check=pl.coalesce(
            "is_health_check",
            pl.when(pl.col("response_code_details").str.starts_with(_HEALTH_CHECK_DETAILS)).then(
                pl.lit(value=True)
            ),
            pl.col("user_agent").str.starts_with(_HEALTH_CHECK_AGENT),
        ),
        reporter=pl.when(pl.col("reporter") != "unknown")
        .then("reporter")
        .otherwise("named_reporter"),
        mesh=pl.col("named_mesh"),
        service=pl.coalesce("service", "named_service"),
        **{
            name: pl.when(same).then(pl.coalesce(name, f"named_{name}")).otherwise(name)
            for name in ("service_port", "service_subset", "service_network")
        },
    ).select(schema.DECODED_REQUESTS.names())


def _flags(columns: pl.DataFrame) -> list[pl.Expr]:
    """Flags as a list: empty where none is told."""
    if "response_flags" not in columns.columns:
        return [pl.lit([], pl.List(pl.String)).alias("response_flags")]
    flags = pl.col("response_flags")
    if columns["response_flags"].dtype == pl.String:
        told = flags.str.strip_chars(",")
        flags = pl.when(~told.is_in(["", "-"])).then(told).str.split(",")
    return [flags.fill_null(pl.lit([], pl.List(pl.String)))]
