"""
Datagrams to messages of known domains: whose each is, and whether there is room for it.

Before: sets.py, domains.py. After: __init__.py.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collectors.log import Place
from pipeline.decode import Payloads, Source
from pipeline.decode.netflow.batch import Batch, Headers, read_headers
from pipeline.decode.netflow.domains import MAX_DOMAINS, Domains, Key, Known
from pipeline.decode.netflow.ledger import Ledger
from pipeline.decode.netflow.sets import FORMATS, V9, Messages, find_messages, find_sets, refuse
from pipeline.rejects import Reason

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]


def open_batch(payloads: Payloads, places: dict[Place, Domains]) -> Batch:
    """Messages of the domains there is room for, and their sets."""
    buffer, offsets = _bytes_of(payloads)
    ledger = Ledger(payloads, np.diff(offsets))
    messages, refused = find_messages(buffer, offsets[:-1], offsets[1:])
    ledger.reject(*refused)
    headers = read_headers(buffer, messages)
    admitted = _admit(payloads, messages, headers, places)
    for row in admitted.refused:
        span = (int(messages.begin[row]), int(messages.end[row]))
        detail = f"observation domain {headers.domain[row]}: {MAX_DOMAINS} domains are known"
        payload = int(messages.payload[row])
        ledger.reject(refuse(buffer, span, payload, Reason.STATE_LIMIT, detail))
    if admitted.refused:
        messages = Messages(*(np.delete(column, admitted.refused) for column in messages))
        headers = Headers(*(np.delete(column, admitted.refused) for column in headers))
    vantage, known = _number(payloads, messages, headers, admitted.known, ledger)
    ledger.open(messages, vantage)
    _count_forgotten(payloads, places, ledger)
    sets, refused, cut = find_sets(buffer, messages, vantage)
    ledger.reject(*refused)
    unknown = np.zeros(len(vantage), np.bool_)
    unknown[cut] = True
    return Batch(
        buffer=buffer,
        ledger=ledger,
        received_ns=payloads.received_ns[messages.payload],
        messages=messages,
        headers=headers,
        vantage=vantage,
        known=known,
        sets=sets,
        of_set=vantage[sets.message],
        units=np.where(messages.version == V9, 1, 0),
        option_units=np.zeros(len(vantage), np.int64),
        unknown=unknown,
    )


def _bytes_of(payloads: Payloads) -> tuple[U8, I64]:
    """All bytes, and where in them each payload begins and the last one ends."""
    count, first = len(payloads.payload), payloads.payload.offset
    _, offsets, data = payloads.payload.buffers()
    buffer = np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    if not count:
        return buffer, np.zeros(1, np.int64)
    return buffer, np.frombuffer(offsets, np.int32)[first : first + count + 1].astype(np.int64)


class _Admitted(NamedTuple):
    known: dict[int, Known]  # by `_keys`
    refused: list[int]  # messages


def _keys(payloads: Payloads, messages: Messages, headers: Headers) -> I64:
    """Source, version and domain of each message, as one number."""
    source = payloads.source[messages.payload].astype(np.int64)
    return (source << 36) | (messages.version << 32) | headers.domain


def _parts(key: int) -> tuple[int, int, int]:
    return key >> 36, key >> 32 & 15, key & 0xFFFF_FFFF


def _admit(
    payloads: Payloads, messages: Messages, headers: Headers, places: dict[Place, Domains]
) -> _Admitted:
    """
    What is remembered of each domain, marked as heard in order.

    Only a partition that has no room for all new domains is gone through
    message by message, to refuse those that would be too many.
    """
    key = _keys(payloads, messages, headers)
    received_ns = payloads.received_ns[messages.payload]
    distinct, inverse = np.unique(key, return_inverse=True)
    named: list[tuple[Domains, Key]] = []
    new: dict[int, int] = {}
    for one in distinct.tolist():
        source, version, domain = _parts(one)
        place, agent, cluster, network, exporter, _ = payloads.sources[source]
        domains = places.setdefault(place, Domains())
        named.append((domains, (agent, cluster, network, exporter, FORMATS[version], domain)))
        new[id(domains)] = new.get(id(domains), len(domains)) + (named[-1][1] not in domains)
    is_full = np.array([new[id(domains)] > MAX_DOMAINS for domains, _ in named], np.bool_)
    last = np.zeros(len(distinct), np.int64)
    last[inverse] = np.arange(len(key))
    heard_ns = np.full(len(distinct), np.iinfo(np.int64).min)
    np.maximum.at(heard_ns, inverse, received_ns)
    heard_at = received_ns.copy()
    heard_at[last] = np.where(is_full, heard_at[last], heard_ns)
    rows = np.sort(last[~is_full])
    if is_full.any():
        rows = np.union1d(rows, np.flatnonzero(is_full[inverse]))
    known: dict[int, Known] = {}
    refused: list[int] = []
    for row, now_ns, place in zip(
        rows.tolist(), heard_at[rows].tolist(), inverse[rows].tolist(), strict=True
    ):
        domains, name = named[place]
        one = domains.hear(name, now_ns, int(messages.payload[row]))
        if one is None:
            refused.append(row)
        else:
            known[int(distinct[place])] = one
    return _Admitted(known, refused)


def _number(
    payloads: Payloads,
    messages: Messages,
    headers: Headers,
    known: dict[int, Known],
    ledger: Ledger,
) -> tuple[I32, list[Known]]:
    """Vantage of each message, and what is remembered of each vantage."""
    distinct, inverse = np.unique(_keys(payloads, messages, headers), return_inverse=True)
    numbers = []
    of_vantage: list[Known] = []
    for key in distinct.tolist():
        source, version, domain = _parts(key)
        number = ledger.number(payloads.sources[source], version, domain)
        if number == len(of_vantage):
            of_vantage.append(known[key])
        numbers.append(number)
    return np.array(numbers, np.int32)[inverse], of_vantage


def _count_forgotten(payloads: Payloads, places: dict[Place, Domains], ledger: Ledger) -> None:
    """Give up the sets that waited in domains which were replaced."""
    versions = {name: version for version, name in FORMATS.items()}
    for place in {source.place for source in payloads.sources} & places.keys():
        for (*source, name, domain), pending, payload in places[place].forgotten:
            agent, cluster, network, exporter = source
            known = Source(place, agent, cluster, network, exporter)
            vantage = ledger.number(known, versions[name], domain)
            ledger.given_up(vantage, pending, payload)
        places[place].forgotten.clear()
