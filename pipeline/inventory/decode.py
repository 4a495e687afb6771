"""
Payloads of inventory sources to changes, in log order.

Each payload is one `collectors.change.Change`. What an object in it means is
found out later, by the source's `World`: here it only has to be a change.

Before: run.py. After: registry.py.
"""

import msgspec
import numpy as np
import polars as pl

from collectors import change
from pipeline import schema
from pipeline.decode import Decoded, Payloads, Stateless, Vantage
from pipeline.decode.outcome import Refused, counted, rejected
from pipeline.rejects import Reason

FRAME = "changes"
"""Name of the frame of `Decoded.frames` that holds rows of `schema.CHANGES`."""


class Changes(Stateless):
    """
    The decoder of every source of inventory; see `pipeline.decode.Decoder`.

    Parameters
    ----------
    kind
        Kind of the payloads: ``kubernetes``, ``aws``...
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def decode(self, payloads: Payloads) -> Decoded:
        """Changes, rejects and counts of these payloads."""
        rows: list[tuple[object, ...]] = []
        refused: list[Refused] = []
        records = np.ones(len(payloads.payload), np.int64)
        for index, (source, received_ns, text) in enumerate(
            zip(
                payloads.source.tolist(),
                payloads.received_ns.tolist(),
                payloads.payload.to_pylist(),
                strict=True,
            )
        ):
            try:
                one = change.decode(text)
            except msgspec.ValidationError as error:
                refused.append(Refused(index, Reason.FIELD_INVALID, str(error), text, len(text)))
                continue
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                refused.append(Refused(index, Reason.JSON_MALFORMED, str(error), text, len(text)))
                continue
            if not one.resource or (one.op in {"put", "delete"} and not one.uid):
                missing = "uid" if one.resource else "resource"
                refused.append(Refused(index, Reason.REQUIRED_MISSING, missing, text, len(text)))
                continue
            who = payloads.sources[source]
            rows.append(
                (
                    *(source, index, received_ns, self._kind, who.cluster, who.network, one.op),
                    *(one.scope, one.resource, one.uid, one.version, one.count, one.time_ns),
                    bytes(one.object),
                )
            )
        records[[one.payload for one in refused]] = 0
        vantage = payloads.source.astype(np.int32)
        return Decoded(
            vantages=[Vantage(source, self._kind, 0) for source in payloads.sources],
            frames={FRAME: pl.DataFrame(rows, schema.CHANGES, orient="row")},
            rejects=rejected(refused, vantage),
            counts=counted(payloads, vantage, records, refused),
        )
