"""Addresses are equal when all of them is equal, not when they share a bucket."""

import numpy as np
import pytest

from pipeline.enrich.addresses import AddressTable

_MANY = 100_000


def _numbers(value, dtype):
    return np.full(_MANY, value, dtype)


@pytest.mark.parametrize("part", ["network", "ip_hi", "ip_lo"])
def test_an_address_that_differs_in_one_part_is_another(part):
    """One address known, 100,000 asked that differ in one number; hundreds share its bucket."""
    table = AddressTable(np.array([7]), np.array([7], np.uint64), np.array([7], np.uint64))
    asked = {
        "network": _numbers(7, np.int64),
        "ip_hi": _numbers(7, np.uint64),
        "ip_lo": _numbers(7, np.uint64),
    }
    asked[part] = np.arange(_MANY, dtype=asked[part].dtype)
    assert np.flatnonzero(table.find(**asked) != table.count).tolist() == [7]


def test_addresses_that_share_a_bucket_are_all_found():
    """A hundred thousand addresses of two networks: each its own number, however they fall."""
    network = np.arange(_MANY) % 2
    high = np.zeros(_MANY, np.uint64)
    low = np.arange(_MANY, dtype=np.uint64) // 2 + np.uint64(0xFFFF_0A00_0000)
    table = AddressTable(network, high, low)
    assert table.count == 100_000
    assert np.array_equal(table.find(network, high, low), table.row_index)
    assert np.array_equal(np.sort(table.row_index), np.arange(100_000))
    assert (table.find(network + 2, high, low) == table.count).all()


def test_rows_of_one_address_share_its_number():
    """Generations of pods are rows of one address."""
    table = AddressTable(
        np.array([0, 1, 0]), np.zeros(3, np.uint64), np.array([5, 5, 5], np.uint64)
    )
    assert table.count == 2
    assert table.row_index[0] == table.row_index[2] != table.row_index[1]
