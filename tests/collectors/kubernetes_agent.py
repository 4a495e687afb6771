"""The input that watches an API server, as tests run it: what it shipped, and what that comes to."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec

from collectors import change
from collectors.batch import Batcher
from collectors.change import Change
from collectors.config import BatchConfig, KubernetesInput
from collectors.envelope import Header
from collectors.kubernetes.resources import RESOURCES
from collectors.kubernetes.run import watch
from collectors.ship import Parcel


class Agent:
    """
    Runs the input in a thread, and takes what it ships as a shipper would.

    Attributes
    ----------
    changes
        What was shipped, in order.
    dropped
        What envelopes told as lost.
    lost, trouble
        What a shipper says of itself; for a test to set.
    full_at
        Number of changes at which nothing more is taken; for a test to set.
    refused
        Batches that were not taken.
    """

    def __init__(self, url: str, *, only: tuple[str, ...] = ("pods",), **settings: Any) -> None:
        without = tuple(name for name in RESOURCES if name not in only)
        ca_file = settings.pop("ca_file", Path())
        token_file = settings.pop("token_file", Path())
        self._config = KubernetesInput(
            server=url,
            ca_file=str(ca_file) if ca_file.name else "",
            token_file=str(token_file) if token_file.name else "",
            without=without,
            **{"retry_s": 0.5, "absent_s": 0.2, **settings},
        )
        self.changes: list[Change] = []
        self.exporters: set[str] = set()
        self.dropped: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.trouble = ""
        self.full_at = sys.maxsize
        self.refused = 0
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def offer(self, parcel: Parcel) -> bool:
        """Take an envelope; see `Shipper.offer`."""
        if len(self.changes) >= self.full_at:
            self.refused += 1
            return False
        rows = parcel.envelope.payloads
        self.dropped.update(parcel.envelope.header.dropped)
        self.exporters.update(rows["exporter"].to_pylist())
        self.changes += [change.decode(text) for text in rows["payload"].to_pylist()]
        return True

    def until(self, what: Callable[[], object], limit_s: float = 30.0) -> None:
        """Wait until this is so."""
        end_s = time.monotonic() + limit_s
        while not what():
            assert self._thread.is_alive(), self._error
            assert time.monotonic() < end_s, (self.changes[-5:], self.dropped)
            time.sleep(0.02)

    def ops(self, resource: str = "pods") -> str:
        """The changes of a resource, a word each."""
        return " ".join(one.op for one in self.changes if one.resource == resource)

    def until_ops(self, words: str, resource: str = "pods") -> None:
        """Wait until that is what was shipped."""
        self.until(lambda: self.ops(resource).split()[-len(words.split()) :] == words.split())

    def _run(self) -> None:
        header = Header("agent-1", "cluster-1", "net-1", "kubernetes")
        try:
            watch(self._config, Batcher(header, BatchConfig(max_age_ms=10)), self, self._stop)  # type: ignore[arg-type]
        except BaseException as error:  # noqa: BLE001 raised again at the end
            self._error = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()
        if self._error is not None and kind is None:
            raise self._error


def world(changes: list[Change], resource: str = "pods") -> dict[str, Change]:
    """What a reader of the log knows: objects that are there, by uid."""
    there: dict[str, Change] = {}
    listed: dict[str, Change] | None = None
    for one in changes:
        if one.resource != resource:
            continue
        if one.op == "begin":
            listed = {}
        elif one.op == "end":
            assert listed is not None
            assert len(listed) == one.count
            there, listed = listed, None
        elif one.op == "put":
            there[one.uid] = one
            if listed is not None:
                listed[one.uid] = one
        elif one.op == "delete":
            there.pop(one.uid, None)
    return there


def of(one: Change) -> Any:
    """The object of a change."""
    return msgspec.json.decode(one.object)
