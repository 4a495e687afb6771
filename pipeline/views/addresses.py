"""
Text of an address or a range, for numbers that tables hold: is this one in that range?

    in_cidr(src_ip_hi, src_ip_lo, '10.0.0.0/16')

The range is worked out once, and a row costs two comparisons of numbers, by which
files that hold none of it are not read. An address stands for itself. Text that is
neither holds nothing: null.

Source: RFC 4291 section 2.2 (text of IPv6), RFC 4632 (prefix lengths).
Before: lake.py, which makes the macros. After: facts.py, dashboards/.
"""

from typing import Final

_ALL: Final = "18446744073709551615::UBIGINT"
_PARTS: Final = "list_filter(string_split({of}, ':'), lambda one: one <> '')"
_V6_GROUPS: Final = f"""CASE WHEN contains(ip, '::')
        THEN {_PARTS.format(of="split_part(ip, '::', 1)")}
            || list_resize([]::VARCHAR[], greatest(0, 8 - len({_PARTS.format(of="ip")})), '0')
            || {_PARTS.format(of="split_part(ip, '::', 2)")}
        ELSE string_split(ip, ':') END"""
_OCTET: Final = r"(25[0-5]|2[0-4]\d|1?\d?\d)"
_IS_V4: Final = rf"regexp_full_match(ip, '{_OCTET}(\.{_OCTET}){{3}}')"


def _joined(bits: int, digits: str, first: int, last: int) -> str:
    return " | ".join(
        f"({digits.format(nth)} << {bits * (last - nth)})" for nth in range(first, last + 1)
    )


_V4: Final = _joined(8, "split_part(ip, '.', {})::UBIGINT", 1, 4)


def _v6(first: int) -> str:
    """Eight groups, each up to four hexadecimal digits; the half from `first` on."""
    half = _joined(16, "('0x' || groups[{}])::UBIGINT", first, first + 3)
    return f"""list_transform([{_V6_GROUPS}], lambda groups: CASE WHEN len(groups) = 8
        AND len(list_filter(groups, lambda one: NOT regexp_full_match(one, '[[:xdigit:]]{{1,4}}'))) = 0
        THEN {half} END)[1]"""


_LENGTH: Final = """CASE WHEN NOT contains(cidr, '/') THEN 128
        ELSE TRY_CAST(split_part(cidr, '/', 2) AS UTINYINT)::INTEGER
            + CASE WHEN contains(cidr, ':') THEN 0 ELSE 96 END END"""

MACROS: Final = (
    f"""CREATE OR REPLACE MACRO ip_hi(text) AS list_transform([text], lambda ip:
        CASE WHEN {_IS_V4} THEN 0::UBIGINT WHEN contains(ip, ':') THEN {_v6(1)} END)[1]""",
    f"""CREATE OR REPLACE MACRO ip_lo(text) AS list_transform([text], lambda ip:
        CASE WHEN {_IS_V4} THEN (65535::UBIGINT << 32) | {_V4}
        WHEN contains(ip, ':') THEN {_v6(5)} END)[1]""",
    f"""CREATE OR REPLACE MACRO cidr_hosts(cidr) AS list_transform([{_LENGTH}], lambda length:
        CASE WHEN length BETWEEN CASE WHEN contains(cidr, ':') THEN 0 ELSE 96 END AND 128 THEN {{
            'hi': CASE WHEN length >= 64 THEN 0::UBIGINT ELSE {_ALL} >> length END,
            'lo': CASE WHEN length <= 64 THEN {_ALL} WHEN length = 128 THEN 0::UBIGINT
                ELSE {_ALL} >> (length - 64) END}} END)[1]""",
    """CREATE OR REPLACE MACRO in_cidr(hi, lo, cidr) AS
        hi BETWEEN ip_hi(split_part(cidr, '/', 1)) - (ip_hi(split_part(cidr, '/', 1)) & cidr_hosts(cidr).hi)
            AND ip_hi(split_part(cidr, '/', 1)) | cidr_hosts(cidr).hi
        AND lo BETWEEN ip_lo(split_part(cidr, '/', 1)) - (ip_lo(split_part(cidr, '/', 1)) & cidr_hosts(cidr).lo)
            AND ip_lo(split_part(cidr, '/', 1)) | cidr_hosts(cidr).lo""",
)
"""``cidr_hosts``: the bits of a range that its addresses differ in, both halves."""
