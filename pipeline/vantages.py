"""
Who saw it: the numbers decoders use, turned into the ids and networks rows keep.

A decoder numbers its vantages 0, 1, 2... anew for every batch. Rows keep a
64-bit hash, the same in every process and on every day, whose `vantages` row
is written with the first facts that need it.

Before: decode/. After: normalize.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import xxhash

from pipeline import rejects, schema
from pipeline.decode import Payloads, Vantage
from pipeline.inventory.registry import Refusal
from pipeline.rejects import RAW_BYTES, Reason


@dataclass(frozen=True, slots=True)
class VantageIds:
    """Ids and network codes of the vantages of one batch, by their number in it."""

    frame: pl.DataFrame

    def attach(self, rows: pl.DataFrame) -> pl.DataFrame:
        """
        ``vantage_id`` and ``network_code`` for the ``vantage`` column.

        ``network_code`` is null where the inventory does not know the network.
        """
        return rows.join(self.frame, on="vantage", how="left", maintain_order="left").drop(
            "vantage"
        )


class Vantages:
    """
    All vantages this lake has rows of.

    Parameters
    ----------
    known
        Rows of `schema.VANTAGES` in the lake.
    """

    def __init__(self, known: pl.DataFrame) -> None:
        self._known: set[int] = set(known["vantage_id"])
        self._new: dict[int, tuple[object, ...]] = {}

    def ids(self, vantages: Sequence[Vantage], network_codes: Mapping[str, int]) -> VantageIds:
        """Ids of these vantages; those not seen before wait in `new_rows`."""
        ids = [self._id(vantage) for vantage in vantages]
        codes = [network_codes.get(vantage.source.network) for vantage in vantages]
        return VantageIds(
            pl.DataFrame(
                {
                    "vantage": np.arange(len(ids), dtype=np.int32),
                    "vantage_id": ids,
                    "network_code": codes,
                },
                schema={"vantage": pl.Int32, "vantage_id": pl.UInt64, "network_code": pl.Int32},
            )
        )

    def new_rows(self) -> pl.DataFrame:
        """Rows of `schema.VANTAGES` that are not in the lake yet."""
        return pl.DataFrame(list(self._new.values()), schema.VANTAGES.schema, orient="row")

    def keep(self) -> None:
        """`new_rows` are in the lake now."""
        self._known.update(self._new)
        self._new = {}

    def _id(self, vantage: Vantage) -> int:
        source = vantage.source
        row = (
            source.cluster,
            source.network,
            source.agent,
            source.exporter,
            vantage.format,
            vantage.observation_domain,
        )
        identity = xxhash.xxh3_64_intdigest("\0".join(map(str, row)).encode())
        if identity not in self._known:
            self._new[identity] = (identity, *row)
        return identity


def accounting_rows(counts: pl.DataFrame) -> pl.DataFrame:
    """Counts of decoders (`accounting.FRAME`, with ids) to rows of `schema.ACCOUNTING`."""
    minute = (pl.col("minute_ns") // 1_000).cast(schema.TIME).alias("minute")
    return counts.with_columns(minute).select(schema.ACCOUNTING.schema.names())


def reject_rows(found: pl.DataFrame, payloads: Payloads, offsets: np.ndarray) -> pl.DataFrame:
    """Rejects of decoders (`rejects.FRAME`, with ids) to rows of `schema.REJECTS`."""
    index = found["payload"].to_numpy()
    places = [source.place for source in payloads.sources]
    source = payloads.source[index]
    return found.with_columns(
        pl.Series("received_time", payloads.received_ns[index] // 1_000).cast(schema.TIME),
        pl.Series("topic", [places[code].topic for code in source], pl.String),
        pl.Series("partition", [places[code].partition for code in source], pl.Int32),
        pl.Series("log_offset", offsets[index]),
    ).select(schema.REJECTS.schema.names())


def refusals(refused: Sequence[Refusal], payloads: Payloads) -> pl.DataFrame:
    """Objects of sources that were refused, as rejects of decoders (`rejects.FRAME`)."""
    rows = [
        (
            int(payloads.source[one.payload]),
            one.payload,
            Reason.OBJECT_INVALID.value,
            one.detail[:200],
            one.text[:RAW_BYTES],
            len(one.text),
        )
        for one in refused
    ]
    return pl.DataFrame(rows, rejects.FRAME, orient="row")
