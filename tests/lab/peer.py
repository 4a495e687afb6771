"""
A caller without a proxy: plaintext HTTP to each address given, twice a second.

    python peer.py METHOD http://ADDRESS:PORT/PATH ...

Before: faults.py starts it. After: sidecars that take plaintext, or do not.
"""

from __future__ import annotations

import contextlib
import http.client
import sys
import time
from urllib.parse import urlsplit

_TIMEOUT_SECONDS = 2.0
_PAUSE_SECONDS = 0.5


def call(method: str, url: str) -> None:
    """Make one request; what comes back, if anything does, is for the proxies to tell."""
    target = urlsplit(url)
    connection = http.client.HTTPConnection(target.netloc, timeout=_TIMEOUT_SECONDS)
    with contextlib.closing(connection):
        connection.request(method, target.path)
        connection.getresponse().read()


if __name__ == "__main__":
    while True:
        for url in sys.argv[2:]:
            with contextlib.suppress(OSError, http.client.HTTPException):
                call(sys.argv[1], url)
        time.sleep(_PAUSE_SECONDS)
