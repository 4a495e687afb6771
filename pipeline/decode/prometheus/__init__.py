"""
Scrapes of proxies and control planes: one exposition in, a row per used sample out.

Families that are not in the table of families.py are counted as ignored, and
so are samples without a value. Each scrape that could be read gives one row
more, ``scrape_samples``, whatever was in it: that a target answered is known
even where nothing else is. Of a scrape with lines that are nothing, the others
count; the reject tells how many there were, and has the first.

Before: decode/__init__.py. After: exposition.py, samples.py, normalize.py.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.compute as pc

from pipeline import schema
from pipeline.decode import Decoded, Payloads, Stateless, Vantage
from pipeline.decode.outcome import Refused, counted, rejected
from pipeline.decode.prometheus.exposition import Samples, parse
from pipeline.decode.prometheus.families import meaning
from pipeline.decode.prometheus.samples import sample_rows
from pipeline.rejects import Reason

_SLICE_BYTES: Final = 16 << 20
"""Text taken apart at once; a scrape is never cut."""

_Int32s = npt.NDArray[np.int32]


class Prometheus(Stateless):
    """The decoder of kind ``prometheus``; see `pipeline.decode.Decoder`."""

    def decode(self, payloads: Payloads) -> Decoded:
        """Rows, rejects and counts of these scrapes."""
        used, codes = np.unique(payloads.source, return_inverse=True)
        vantage = codes.astype(np.int32)
        refused: list[Refused] = []
        records, ignored = (np.zeros(len(vantage), np.int64) for _ in range(2))
        mesh = pl.Series(
            [payloads.sources[code].declared.mesh or None for code in used], dtype=pl.String
        )
        parts = [pl.DataFrame(schema=schema.DECODED_SAMPLES)]
        for at in _slices(payloads):
            at, texts = _texts(payloads, at, refused)  # noqa: PLW2901 those that are text
            samples = parse(texts, lambda names: meaning(names)["metric"].is_not_null())
            text = samples.wanted["text"]
            rows = sample_rows(samples.wanted, mesh.gather(vantage[at]).gather(text))
            records[at] = np.bincount(rows["text"].to_numpy(), minlength=len(at))
            ignored[at] = samples.counts["samples"].to_numpy() - records[at]
            refused += _bad(samples, at, texts)
            rows = pl.concat([rows, _scrapes(samples, texts)], how="diagonal_relaxed")
            place = at[rows["text"].to_numpy()]
            rows = rows.with_columns(
                vantage=pl.Series(vantage[place]),
                received_ns=pl.Series(payloads.received_ns[place]),
            )
            parts.append(schema.complete(rows, schema.DECODED_SAMPLES))
        return Decoded(
            vantages=[Vantage(payloads.sources[code], "prometheus", 0) for code in used],
            frames={schema.PROXY_SAMPLES.name: pl.concat(parts)},
            rejects=rejected(refused, vantage),
            counts=counted(payloads, vantage, records, refused, ignored),
        )


def _slices(payloads: Payloads) -> Iterator[_Int32s]:
    """Which payloads are taken apart together."""
    sizes = pc.binary_length(payloads.payload).to_numpy(zero_copy_only=False).astype(np.int64)
    slices = np.cumsum(sizes) // _SLICE_BYTES
    borders = [0, *(np.flatnonzero(np.diff(slices)) + 1).tolist(), len(sizes)]
    for first, after in pairwise(borders):
        if first < after:
            yield np.arange(first, after, dtype=np.int32)


def _texts(payloads: Payloads, at: _Int32s, refused: list[Refused]) -> tuple[_Int32s, pl.Series]:
    """Those of the payloads that are text, and the texts."""
    kept, texts = [], []
    for place in at.tolist():
        raw: bytes = payloads.payload[place].as_py()
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            reason, detail = Reason.EXPOSITION_MALFORMED, "not UTF-8"
        else:
            if text.strip():
                kept.append(place)
                texts.append(text)
                continue
            reason, detail = Reason.PAYLOAD_EMPTY, "no text"
        refused.append(Refused(place, reason, detail, raw, len(raw)))
    return np.array(kept, np.int32), pl.Series(texts, dtype=pl.String)


def _scrapes(samples: Samples, texts: pl.Series) -> pl.DataFrame:
    """One row a scrape that holds anything but bad lines."""
    counts = samples.counts.with_columns(text=pl.int_range(len(texts), dtype=pl.Int32))
    return counts.filter((pl.col("samples") > 0) | (pl.col("bad") == 0)).select(
        "text",
        metric=pl.lit("scrape_samples").cast(schema.PROXY_SAMPLES.schema["metric"]),
        value=pl.col("samples").cast(pl.Float64),
    )


def _bad(samples: Samples, at: _Int32s, texts: pl.Series) -> list[Refused]:
    """One reject for each scrape that has lines that are nothing."""
    bad = samples.counts["bad"]
    return [
        Refused(
            int(at[text]),
            Reason.EXPOSITION_MALFORMED,
            f"{bad[text]} lines, the first is line {line}",
            written.encode(),
            len(texts[text].encode()),
        )
        for text, line, written in samples.first_bad.iter_rows()
    ]
