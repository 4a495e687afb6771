"""
One side of records: five columns for n addresses, asked for step by step.

    1  the network itself         exact, service, gateway
    2  networks it is routed to   peering
    3  the internet               exact, service, gateway
    4  the longest range          external, prefix
    5  nothing                    none

Each step is asked of what the ones before it left unknown. Steps 2 and 3 are
not asked where the network's own longest range that holds the address is of a
kind other than external: then the address is its own, and nobody is known to
have it. In step 2 all networks that know the address contend. Step 4 gives an
address that was found the range of the network it was found in; else its own
network's, else that of exactly one network it is routed to, else the internet's.

Before: identities.py. After: __init__.py.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import polars as pl
import pyarrow as pa

from pipeline import schema
from pipeline.enrich.identity import (
    AMBIGUOUS,
    EXACT,
    GATEWAY,
    RESOLVED,
    UNKNOWN,
    Resolved,
)
from pipeline.enrich.overlay import Endpoints
from pipeline.enrich.prefix import PrefixIndex
from pipeline.enrich.routes import GatewayIndex, PeeringIndex
from pipeline.enrich.timeline import Bools, Int64s, UInt64s

_PEERING: Final = np.uint8(3)
_EXTERNAL: Final = np.uint8(4)
_PREFIX: Final = np.uint8(5)
_NONE: Final = np.uint8(6)
"""Codes of `schema.METHOD`, after those of identity.py."""

_NOT_LOOKED: Final = -1
"""Number of a range that has to be searched for."""

_NOWHERE: Final = -1
_SEVERAL: Final = -2
"""Where an address was found, if not in one network."""


@dataclass(frozen=True, slots=True)
class Asked:
    """
    Addresses of n records.

    Attributes
    ----------
    network
        int64[n], codes; -1 where the network, the address or the time is not known.
    ip_hi, ip_lo
        uint64[n], halves of the 16-byte form.
    start_us, end_us
        int64[n], first and last packet, UTC microseconds.
    """

    network: Int64s
    ip_hi: UInt64s
    ip_lo: UInt64s
    start_us: Int64s
    end_us: Int64s

    def take(self, rows: Int64s, network: Int64s | int | None = None) -> "Asked":
        """These rows; of another network, if one is named."""
        code = self.network[rows] if network is None else network
        return Asked(
            code if isinstance(code, np.ndarray) else np.full(len(rows), code),
            self.ip_hi[rows],
            self.ip_lo[rows],
            self.start_us[rows],
            self.end_us[rows],
        )


@dataclass(frozen=True, slots=True)
class Known:
    """
    All that can be asked.

    Attributes
    ----------
    ranges
        int64[addresses + 1]: number of the longest range of each address of the endpoints, so
        that it need not be searched for with every record; the last one stands for all others.
    """

    endpoints: Endpoints
    prefixes: PrefixIndex
    gateways: GatewayIndex
    peerings: PeeringIndex
    internet: int
    ranges: Int64s

    @classmethod
    def of(
        cls,
        endpoints: Endpoints,
        prefixes: PrefixIndex,
        gateways: GatewayIndex,
        peerings: PeeringIndex,
        *,
        internet: int,
    ) -> Self:
        """Look up the longest range of every known address."""
        ranges = np.append(prefixes.ranges(*endpoints.addresses.addresses), _NOT_LOOKED)
        return cls(endpoints, prefixes, gateways, peerings, internet, ranges)

    def answer(self, asked: Asked) -> "Answer":
        """Go through the steps."""
        answer = Answer(self, asked)
        left = answer.pending()
        left = answer.ask_peers(left)
        left = answer.ask_internet(left)
        answer.find_ranges(left)
        return answer


class Answer:
    """Answers to n questions, as far as the steps have gone."""

    def __init__(self, known: Known, asked: Asked) -> None:
        """Step 1, and the longest range of the own network."""
        self._known, self._asked = known, asked
        found = _endpoints(known, asked)
        self._endpoint_id, self._resolution = found.endpoint_id, found.resolution
        self._method = found.method
        self._candidates = [(found.candidate_row, found.candidate_id)]
        ranges = known.ranges[found.number]
        if ranges.size and (ranges == _NOT_LOOKED).any():
            rows = np.flatnonzero(ranges == _NOT_LOOKED)
            few = asked.take(rows)
            ranges[rows] = known.prefixes.ranges(few.network, few.ip_hi, few.ip_lo)
        prefix = known.prefixes.held(ranges, asked.start_us)
        self._prefix_id, self._has_prefix, self._own = prefix
        self._external: Bools = self._has_prefix & ~self._own
        self._note_gateways(self._gateways(asked))

    def pending(self) -> Int64s:
        """Unknown, and not known to be of the own network."""
        unknown = self._resolution == UNKNOWN
        return np.flatnonzero(unknown & ~self._own & (self._asked.network >= 0))

    def ask_peers(self, left: Int64s) -> Int64s:
        """Step 2; returns what is still left."""
        if not len(left):
            return left
        asked = self._asked.take(left)
        where = np.full(len(left), _NOWHERE)
        rows, ids = [], []
        for of, network in self._known.peerings.peers(asked.network, asked.start_us):
            found = _endpoints(self._known, asked.take(of, network))
            one = np.flatnonzero(found.resolution == RESOLVED)
            rows += [of[one], of[found.candidate_row]]
            ids += [found.endpoint_id[one], found.candidate_id]
            hit = of[found.resolution != UNKNOWN]
            where[hit] = np.where(
                where[hit] == _NOWHERE, network[found.resolution != UNKNOWN], _SEVERAL
            )
        if not rows:
            return left
        row, candidate = np.concatenate(rows), np.concatenate(ids)
        count = np.bincount(row, minlength=len(left))
        one = count[row] == 1
        self._endpoint_id[left[row[one]]] = candidate[one]
        self._resolution[left[count == 1]] = RESOLVED
        self._resolution[left[count > 1]] = AMBIGUOUS
        self._method[left[count > 0]] = _PEERING
        self._candidates.append((left[row[~one]], candidate[~one]))
        self._set_prefix(left[where != _NOWHERE], where[where != _NOWHERE])
        still: Int64s = left[count == 0]
        return still

    def ask_internet(self, left: Int64s) -> Int64s:
        """Step 3; returns what is still left."""
        if not len(left):
            return left
        internet = self._asked.take(left, self._known.internet)
        found = _endpoints(self._known, internet)
        hit = np.flatnonzero(found.resolution != UNKNOWN)
        rows = left[hit]
        self._endpoint_id[rows] = found.endpoint_id[hit]
        self._resolution[rows] = found.resolution[hit]
        self._method[rows] = found.method[hit]
        self._candidates.append((left[found.candidate_row], found.candidate_id))
        for seen_from in (internet, self._asked.take(left)):
            self._note_gateways(left[self._gateways(seen_from)])
        self._set_prefix(rows, internet.network[hit])
        still: Int64s = left[found.resolution == UNKNOWN]
        return still

    def find_ranges(self, left: Int64s) -> None:
        """Step 4 for what is left, and the method of all that nobody is known to have had."""
        left = left[~self._has_prefix[left]]
        if len(left):
            asked = self._asked.take(left)
            times = np.zeros(len(left), np.int64)
            for of, network in self._known.peerings.peers(asked.network, asked.start_us):
                held = self._set_prefix(left[of], network, only=True)
                times[of[held]] += 1
            self._has_prefix[left[times > 1]] = False
            left = left[times == 0]
            self._set_prefix(left, np.full(len(left), self._known.internet), only=True)
        unknown = self._resolution == UNKNOWN
        external = unknown & self._has_prefix & self._external
        self._method[unknown] = np.where(self._has_prefix[unknown], _PREFIX, _NONE)
        self._method[external] = _EXTERNAL
        self._resolution[external] = RESOLVED
        self._no_endpoint = external

    def _set_prefix(self, rows: Int64s, network: Int64s, *, only: bool = False) -> Bools:
        """Longest range of another network; ``only`` where there is one, which is returned."""
        asked = self._asked.take(rows, network)
        found = self._known.prefixes.find(asked.network, asked.ip_hi, asked.ip_lo, asked.start_us)
        chosen = found.held if only else np.ones(len(rows), np.bool_)
        at = rows[chosen]
        self._prefix_id[at] = found.prefix_id[chosen]
        self._has_prefix[at] = found.held[chosen]
        self._external[at] = found.held[chosen] & ~found.own[chosen]
        return chosen

    def _gateways(self, asked: Asked) -> Int64s:
        return self._known.gateways.has(asked.network, asked.ip_hi, asked.ip_lo, asked.start_us)

    def _note_gateways(self, rows: Int64s) -> None:
        """Of resolved endpoints at these addresses: gateways, unless they are services."""
        is_gateway = (self._resolution[rows] == RESOLVED) & (self._method[rows] == EXACT)
        self._method[rows[is_gateway]] = GATEWAY

    def columns(self, side: str) -> list[pl.Series]:
        """Columns of `schema.side`, in its order."""
        row, candidate = (np.concatenate(part) for part in zip(*self._candidates, strict=True))
        order = np.lexsort((candidate, row))
        counts = np.bincount(row, minlength=len(self._resolution))
        offsets = np.concatenate([[0], np.cumsum(counts)])
        lists = pa.LargeListArray.from_arrays(
            pa.array(offsets), pa.array(candidate[order]), mask=pa.array(counts == 0)
        )
        nobody = self._resolution != RESOLVED
        nobody |= self._no_endpoint
        return [
            pl.Series(f"{side}_endpoint_id", pa.array(self._endpoint_id, mask=nobody), pl.UInt64),
            pl.Series(
                f"{side}_prefix_id", pa.array(self._prefix_id, mask=~self._has_prefix), pl.UInt64
            ),
            pl.Series(f"{side}_resolution", self._resolution).cat.to(schema.RESOLUTION),
            pl.Series(f"{side}_method", self._method).cat.to(schema.METHOD),
            pl.Series(f"{side}_candidate_ids", lists, pl.List(pl.UInt64)),
        ]


def _endpoints(known: Known, asked: Asked) -> Resolved:
    return known.endpoints.resolve_span(
        asked.network, asked.ip_hi, asked.ip_lo, asked.start_us, asked.end_us
    )
