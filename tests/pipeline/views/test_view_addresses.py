"""Text of addresses and ranges, as numbers."""

from ipaddress import ip_address, ip_network

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.views.addresses import MACROS


@pytest.fixture(scope="module")
def lake() -> duckdb.DuckDBPyConnection:
    """A DuckDB with the macros and no tables."""
    connection = duckdb.connect()
    for macro in MACROS:
        connection.execute(macro)
    return connection


def _halves(ip: str) -> tuple[int, int]:
    known = ip_address(ip)
    number = int(known) if known.version == 6 else 0xFFFF << 32 | int(known)
    return number >> 64, number & (1 << 64) - 1


@settings(max_examples=25)
@given(st.ip_addresses().map(str))
def test_text_of_an_address_is_the_numbers_that_tables_hold(
    lake: duckdb.DuckDBPyConnection, ip: str
):
    """IPv4 is v4-mapped; IPv6 has its zeros again: as Python's ipaddress reads both."""
    assert lake.execute("SELECT ip_hi($1), ip_lo($1)", [ip]).fetchone() == _halves(ip)


@pytest.mark.parametrize("text", ["", "x", "10.0.0", "300.1.1.1", "1::2::3", "12345::", "g::"])
def test_text_that_is_no_address_is_null(lake: duckdb.DuckDBPyConnection, text: str):
    """What a reader types may be anything: it holds nothing, and is no error."""
    asked = "SELECT ip_lo($1), in_cidr(0::UBIGINT, 1::UBIGINT, $1)"
    assert lake.execute(asked, [text]).fetchone() == (None, None)


@settings(max_examples=25)
@given(st.ip_addresses(v=4) | st.ip_addresses(v=6), st.ip_addresses(), st.data())
def test_an_address_is_in_the_ranges_that_hold_it(
    lake: duckdb.DuckDBPyConnection, base, other, data: st.DataObject
):
    """The range's first and last are in it, and another is if Python's ipaddress says so."""
    length = data.draw(st.integers(0, base.max_prefixlen))
    cidr = f"{base}/{length}"
    net = ip_network(cidr, strict=False)
    for ip in (net[0], net[-1], *([other] if other.version == base.version else [])):
        asked = "SELECT in_cidr($1::UBIGINT, $2::UBIGINT, $3)"
        assert lake.execute(asked, [*_halves(str(ip)), cidr]).fetchone() == (ip in net,)


def test_a_length_that_is_none_holds_nothing(lake: duckdb.DuckDBPyConnection):
    """Of 33 bits of IPv4, and of a length that is no number, nothing is known."""
    asked = "SELECT in_cidr(0::UBIGINT, ip_lo('10.0.0.1'), '10.0.0.1' || $1)"
    assert [lake.execute(asked, [length]).fetchone()[0] for length in ("/33", "/x", "/32", "")] == [
        None, None, True, True,
    ]  # fmt: skip
