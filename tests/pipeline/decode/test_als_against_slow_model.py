"""The columnar decoder of access log service messages beside one that reads entry by entry."""

import random

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from als_slow import random_message, rows
from envoy.service.accesslog.v3 import als_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from protobuf_mutations import damaged, mutated

from collectors.log import Place
from pipeline.decode import Payloads, Source
from pipeline.decode.als import Als

chances = st.integers(0, (1 << 32) - 1).map(random.Random)
NONE_IF_ZERO = ("attempts", "_wire_bytes_")


def payloads(held: list[bytes]) -> Payloads:
    place = Place("crosspane.v1.proxy.east", 0)
    return Payloads(
        sources=[Source(place, "agent", "east", "n", "proxy")],
        source=np.zeros(len(held), np.int32),
        received_ns=np.full(len(held), 1_764_000_000 * 10**9, np.int64),
        payload=pa.array(held, pa.binary()),
    )


def check(held: list[bytes]) -> None:
    """Rows and rejects of those messages Google's parser takes are as the slow model has them."""
    decoded = Als().decode(payloads(held))
    frame, rejects = decoded.frames["requests"], decoded.rejects
    found = iter(frame.iter_rows(named=True))
    refused = [[] for _ in held]
    for reject in rejects.iter_rows(named=True):
        refused[reject["payload"]].append(reject["reason"])
    expected_rows = 0
    for number, payload in enumerate(held):
        expected = rows(als_pb2.StreamAccessLogsMessage.FromString(payload))
        reasons = [one for one in expected if isinstance(one, str)]
        assert refused[number] == reasons
        for row in expected:
            if isinstance(row, str):
                continue
            expected_rows += 1
            mine = next(found)
            for name, value in row.items():
                given_zero = value == 0 and any(part in name for part in NONE_IF_ZERO)
                if given_zero and mine[name] is None:
                    continue
                if name.startswith("reported_") and value is None:
                    continue  # may be what the node says of itself
                assert mine[name] == value, name
    assert frame.height == expected_rows
    assert decoded.counts["received_payloads"].sum() == len(held)
    assert decoded.counts["decoded_records"].sum() == expected_rows


def outcomes(counts: pl.DataFrame) -> int:
    """Payloads that were counted, each under one heading."""
    names = ("decoded_payloads", "partial_payloads", "rejected_payloads")
    assert counts["received_payloads"].sum() == sum(counts[name].sum() for name in names)
    return counts["received_payloads"].sum()


@given(chances, st.integers(1, 30))
@settings(max_examples=25, deadline=None)
def test_any_message_gives_the_rows_of_the_slow_model(chance, count):
    """Every field, present or not, of any value, in any company of other messages."""
    check([random_message(chance).SerializeToString() for _ in range(count)])


@given(chances, st.integers(1, 30))
@settings(max_examples=25, deadline=None)
def test_fields_in_any_order_and_twice_are_read_as_google_reads_them(chance, count):
    """Moved, doubled, split, unknown: what the parser of the specification takes, we read so."""
    check([mutated(random_message(chance).SerializeToString(), chance) for _ in range(count)])


@given(chances, st.integers(1, 30))
@settings(max_examples=25, deadline=None)
def test_damage_costs_what_it_touches(chance, count):
    """Flipped and cut messages raise nothing, and take no row from the whole one behind them."""
    held = [damaged(random_message(chance).SerializeToString(), chance) for _ in range(count)]
    whole = random_message(chance).SerializeToString()
    decoded = Als().decode(payloads([*held, whole]))
    alone = Als().decode(payloads([whole])).frames["requests"]
    assert decoded.frames["requests"].tail(alone.height).equals(alone)
    assert outcomes(decoded.counts) == count + 1


@given(st.lists(st.binary(max_size=300), max_size=20))
@settings(max_examples=60, deadline=None)
def test_any_bytes_decode_or_are_refused(held):
    """Nothing a peer can send raises, and every payload is counted once."""
    assert outcomes(Als().decode(payloads(held)).counts) == len(held)


@pytest.mark.parametrize("seed", range(2))
def test_many_messages_at_once_are_as_many_alone(seed):
    """Blocks and pieces leave no trace."""
    chance = random.Random(seed)
    check([random_message(chance, 16).SerializeToString() for _ in range(500)])
