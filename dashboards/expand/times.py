"""
Times and intervals, as Grafana writes, reads and rounds them.

Source: Grafana, `rangeutil.ts` (`roundInterval`); grafana-plugin-sdk-go, `backend/gtime`.
Before: nothing. After: variables.py, macros.py.
"""

import re
from datetime import UTC, datetime
from typing import Final

from dashboards.expand.scope import ExpandError

__all__ = ["format_interval", "interval_ms", "ms", "ns", "parse_interval", "rfc3339", "seconds"]

_UNITS_MS: Final = {
    "ms": 1,
    "s": 1000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 604_800_000,
}
_STEPS_MS: Final = (
    (10, 1), (15, 10), (35, 20), (75, 50), (150, 100), (350, 200), (750, 500),
    (1500, 1000), (3500, 2000), (7500, 5000), (12_500, 10_000), (17_500, 15_000),
    (25_000, 20_000), (45_000, 30_000), (90_000, 60_000), (210_000, 120_000),
    (450_000, 300_000), (750_000, 600_000), (1_050_000, 900_000), (1_500_000, 1_200_000),
    (2_700_000, 1_800_000), (5_400_000, 3_600_000), (9_000_000, 7_200_000),
    (16_200_000, 10_800_000), (32_400_000, 21_600_000), (86_400_000, 43_200_000),
    (604_800_000, 86_400_000), (1_814_400_000, 604_800_000), (3_628_800_000, 2_592_000_000),
)  # fmt: skip
"""An interval below the first becomes the second."""


def interval_ms(
    from_time: datetime, to_time: datetime, max_data_points: int, least_ms: int = 60_000
) -> int:
    """
    Time between two points, as Grafana rounds it.

    >>> day = datetime(2026, 11, 24, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC)
    >>> interval_ms(*day, max_data_points=800)
    120000
    """
    exact = (ms(to_time) - ms(from_time)) / max(max_data_points, 1)
    rounded = next((step for below, step in _STEPS_MS if exact < below), 31_536_000_000)
    return max(rounded, least_ms)


def parse_interval(text: str) -> int:
    """Milliseconds of ``30s``, ``5m``, ``1h``, ``1d``."""
    match = re.fullmatch(r"(\d{1,12})(ms|[smhdw])", text.strip())
    if not match or int(match[1]) == 0:
        raise ExpandError(f"error parsing interval {text}")
    return int(match[1]) * _UNITS_MS[match[2]]


def format_interval(length_ms: int) -> str:
    """
    Largest whole unit of an interval; what is left over is not said.

    >>> format_interval(60_000), format_interval(90_000), format_interval(0)
    ('1m', '1m', '1ms')
    """
    for unit, each in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        if length_ms >= each:
            return f"{length_ms // each}{unit}"
    return "1ms"


def rfc3339(time: datetime) -> str:
    """UTC, with as many digits of a second as there are."""
    text = time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return text + "Z"


def ns(time: datetime) -> int:
    """Nanoseconds of the epoch."""
    since = time - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


def ms(time: datetime) -> int:
    """Milliseconds of the epoch, cut."""
    return ns(time) // 1_000_000


def seconds(time: datetime) -> int:
    """Seconds of the epoch, cut."""
    return ns(time) // 1_000_000_000
