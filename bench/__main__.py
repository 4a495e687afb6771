"""``python -m bench [PART ...]``, of those in `PARTS`; all without arguments."""

import importlib
import os
import sys

for name in ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "ARROW_IO_THREADS"):
    os.environ.setdefault(name, "1")  # one core, as the figures say

PARTS = (
    "als_receive",
    "sockets",
    "als_decode",
    "access_log",
    "exposition",
    "decode",
    "enrich",
    "stitch",
    "kubernetes_world",
    "restart",
    "ipspace",
    "topology",
    "write",
    "stages",
    "pane",
    "serve",
    "end_to_end",
)

if __name__ == "__main__":  # a part may start processes of its own, which import this
    for part in sys.argv[1:] or PARTS:
        if part not in PARTS:
            sys.exit(f"bench: {part!r} is none of {', '.join(PARTS)}")
        importlib.import_module(f"bench.{part}").main()
