"""
Scrapes of a proxy to rows of samples, one core, beside prometheus_client's parser.

200 answers of a real Envoy (``usedonly``, default tags). Ours goes all the way
to rows, names and accounting, and looks at every line; the peer parses only.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
from prometheus_client.parser import text_string_to_metric_families

from bench.measure import alternate, report
from collectors.log import Place
from pipeline.decode import Payloads, Source
from pipeline.decode.prometheus import Prometheus

SCRAPES = 200
_RECORDED = Path(__file__).parents[1] / "tests" / "cases" / "envoy_statistics" / "default_tags.prom"


def payloads(text: bytes, count: int) -> Payloads:
    """Give that many scrapes, each of another proxy."""
    place = Place("crosspane.v1.proxy.bench", 0)
    return Payloads(
        [Source(place, "bench", "east", "net", f"proxy-{number}") for number in range(count)],
        np.arange(count, dtype=np.int32),
        np.full(count, 1_764_000_000 * 10**9, np.int64),
        pa.array([text] * count, pa.binary()),
    )


def main() -> None:
    """Print the comparison."""
    text = _RECORDED.read_bytes()
    samples = sum(1 for line in text.splitlines() if line and not line.startswith(b"#"))
    batch, few = payloads(text, SCRAPES), SCRAPES // 10
    written = text.decode()

    def peer() -> None:
        for _ in range(few):
            for family in text_string_to_metric_families(written):
                len(family.samples)

    report(
        f"exposition: {samples} samples a scrape",
        alternate(
            {
                "crosspane": (samples * SCRAPES, lambda: Prometheus().decode(batch)),
                "prometheus_client, parsing only": (samples * few, peer),
            }
        ),
    )


if __name__ == "__main__":
    main()
