"""
Limits of a statement: its turn, seconds until its last row, and rows.

Some statements run at a time, and others wait their turn: all at once, each
would take as long as all of them together, and none end in its time. A
statement has a turn while it runs or makes rows, and none while a client takes
what it made.

A result is read batch by batch, and both limits hold for the whole of it: a
client that takes its rows slowly keeps an old snapshot of the catalog, whose
write-ahead log grows meanwhile. So the clock of a statement runs until the last
row is taken, and what is not taken by then is cut.

Before: engine.py. After: pgwire/.
"""

import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Final

import pyarrow as pa

from pipeline.errors import ServeError

CANCELLED: Final = "57014"
"""query_canceled: by the client, or because its time was over."""
TOO_MANY_ROWS: Final = "54000"
"""program_limit_exceeded."""
NO_TURN: Final = "53000"
"""insufficient_resources."""
_LOOK_S: Final = 0.1
OUT_OF_MEMORY: Final = "53200"
"""out_of_memory: of the role, not of the machine."""


_AGAIN_S: Final = 0.05


class Clock:
    """
    The time of one statement.

    Parameters
    ----------
    seconds
        Until it is over.
    interrupt
        Called then, from another thread, again and again until `stop`: DuckDB
        forgets an interrupt that comes before the statement runs.
    """

    def __init__(self, seconds: float, interrupt: Callable[[], None]) -> None:
        self.seconds = seconds
        self._over = threading.Event()
        self._cancelled = threading.Event()
        self._stopped = threading.Event()
        self._interrupt = interrupt
        self._also: weakref.WeakMethod[Callable[[], None]] | None = None
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def start(self) -> None:
        """The statement runs from now on."""
        self._timer.start()

    def on_end(self, also: Callable[[], None]) -> None:
        """Call a method too then, if its object is still there."""
        self._also = weakref.WeakMethod(also)

    def _end(self) -> None:
        self._over.set()
        self._interrupt_until_stopped()

    def _interrupt_until_stopped(self) -> None:
        wait_s = _AGAIN_S
        while not self._stopped.is_set():
            with contextlib.suppress(Exception):  # the statement has just ended
                self._interrupt()
                if also := self._also and self._also():
                    also()
            self._stopped.wait(wait_s)
            wait_s = min(wait_s * 2, 1.0)

    def cancel(self) -> None:
        """End the statement because its client says so."""
        if not self._cancelled.is_set():
            self._cancelled.set()
            threading.Thread(target=self._interrupt_until_stopped, daemon=True).start()

    def stop(self) -> None:
        """The statement has ended."""
        self._timer.cancel()
        self._stopped.set()

    def refusal(self) -> ServeError | None:
        """Why the statement has no more time, if it has none."""
        if self._cancelled.is_set():
            return ServeError(CANCELLED, "canceling statement due to user request")
        if self._over.is_set():
            return ServeError(
                CANCELLED,
                f"canceling statement due to statement timeout: this role has"
                f" {self.seconds:g} s a statement, until its last row is taken",
            )
        return None


class Turns:
    """
    Who runs.

    Parameters
    ----------
    count
        Statements at a time.
    """

    def __init__(self, count: int) -> None:
        self._free = threading.Semaphore(count)

    @contextlib.contextmanager
    def one(self, clock: Clock) -> Iterator[None]:
        """
        Wait for a turn, and have it meanwhile.

        Raises
        ------
        ServeError
            57014 if the statement is cancelled or its time is over first, 53000
            if it waits for as long as it might have run.
        """
        until = time.monotonic() + clock.seconds
        while not self._free.acquire(timeout=_LOOK_S):
            if reason := clock.refusal():
                raise reason
            if time.monotonic() > until:
                raise ServeError(
                    NO_TURN, f"too many statements run: no turn within {clock.seconds:g} s"
                )
        try:
            yield
        finally:
            self._free.release()


def bounded(
    batches: Iterator[pa.RecordBatch],
    clock: Clock,
    turns: Turns,
    max_rows: int,
    refused: Callable[[Exception], ServeError],
) -> Iterator[pa.RecordBatch]:
    """
    Batches of a result, until a limit.

    Raises
    ------
    ServeError
        57014 when its time is over or it is cancelled, 54000 after ``max_rows``
        rows, which are all handed out first; what ``refused`` makes of any other.
    """
    left = max_rows
    try:
        while True:
            if reason := clock.refusal():
                raise reason
            try:
                with turns.one(clock):
                    batch = next(batches, None)
            except Exception as error:
                raise refused(error) from error
            if batch is None:
                return
            if batch.num_rows > left:
                if left:
                    yield batch.slice(0, left)
                raise ServeError(
                    TOO_MANY_ROWS,
                    f"the result has more than {max_rows:,} rows, which is this role's limit:"
                    " ask for a shorter time, or group",
                )
            left -= batch.num_rows
            if batch.num_rows:
                yield batch
    finally:
        clock.stop()
