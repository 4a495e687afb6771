"""
What became of payloads that hold records: rejects and counts of one batch.

For decoders that remember nothing between batches. A payload is decoded if no
part of it was refused, rejected if nothing of it was used, and partial if both
a part was refused and a part was used.

Before: als, otlp. After: rejects.py, accounting.py.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.compute as pc

from pipeline import accounting, rejects
from pipeline.decode import Payloads
from pipeline.rejects import RAW_BYTES, Reason

_MINUTE_NS: Final = 60 * 10**9
KEPT: Final = 16
"""Records of one payload refused for the same reason that are kept, each by itself."""
_DETAIL_CHARACTERS: Final = 200


class Refused(NamedTuple):
    """A payload, or a record of one, that gave no row; ``raw`` may be cut, ``size`` is not."""

    payload: int
    reason: Reason
    detail: str
    raw: bytes
    size: int


def first_few(payload: npt.NDArray[np.int64], fault: npt.NDArray[np.int8]) -> list[tuple[int, str]]:
    """
    Which of n refused records to keep: of each payload and fault the first `KEPT`.

    Parameters
    ----------
    payload, fault
        Of each record.

    Returns
    -------
    list
        Record, and what is to be added to its detail: of how many more it is the last one kept.
    """
    key = payload * (1 << 8) + fault
    order = np.argsort(key, kind="stable")
    _, first, count = np.unique(key[order], return_index=True, return_counts=True)
    place = np.arange(len(key)) - np.repeat(first, count)
    more = np.where(place == KEPT - 1, np.repeat(count, count) - KEPT, 0)
    kept = place < KEPT
    found = zip(order[kept].tolist(), more[kept].tolist(), strict=True)
    return [(row, f"; and {left} more" if left else "") for row, left in sorted(found)]


def rejected(refused: list[Refused], vantage: npt.NDArray[np.int32]) -> pl.DataFrame:
    """Rows of `rejects.FRAME`; ``vantage`` is that of each payload of the batch."""
    rows = [
        (
            int(vantage[one.payload]),
            one.payload,
            one.reason.value,
            one.detail[:_DETAIL_CHARACTERS],
            one.raw[:RAW_BYTES],
            one.size,
        )
        for one in refused
    ]
    return pl.DataFrame(rows, rejects.FRAME, orient="row")


def counted(
    payloads: Payloads,
    vantage: npt.NDArray[np.int32],
    records: npt.NDArray[np.int64],
    refused: list[Refused],
    ignored: npt.NDArray[np.int64] | int = 0,
) -> pl.DataFrame:
    """
    Rows of `accounting.FRAME`, one for each vantage and minute of receipt.

    Parameters
    ----------
    vantage, records
        Of each payload: who sent it, and how many records of it became rows.
    ignored
        Of each payload: records that were understood, and are no rows of ours.
    """
    whole = np.ones(len(records), np.bool_)
    whole[[one.payload for one in refused]] = False
    used = records + ignored > 0
    size = pc.binary_length(payloads.payload).to_numpy(zero_copy_only=False).astype(np.int64)
    columns = {
        "received_payloads": np.ones(len(records), np.int64),
        "received_bytes": size,
        "decoded_payloads": whole.astype(np.int64),
        "partial_payloads": (~whole & used).astype(np.int64),
        "rejected_payloads": (~whole & ~used).astype(np.int64),
        "decoded_records": records,
        "ignored_records": np.zeros(len(records), np.int64) + ignored,
    }
    return by_minute(
        pl.DataFrame({"vantage": vantage, "received_ns": payloads.received_ns, **columns})
    )


def by_minute(counts: pl.DataFrame) -> pl.DataFrame:
    """
    Counts of single payloads, summed to rows of `accounting.FRAME`.

    Parameters
    ----------
    counts
        ``vantage``, ``received_ns`` and any of `accounting.COUNTERS`; the others are 0.
    """
    minute = pl.col("received_ns") // _MINUTE_NS * _MINUTE_NS
    given = [name for name in accounting.COUNTERS if name in counts.columns]
    return (
        counts.group_by("vantage", minute.alias("minute_ns"), maintain_order=True)
        .agg(pl.col(given).cast(pl.Int64).sum())
        .with_columns(
            pl.lit(0, pl.Int64).alias(name) for name in accounting.COUNTERS if name not in given
        )
        .select(accounting.FRAME.names())
    )
