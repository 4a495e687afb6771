"""
What tests fetch or build once: folders in ``.cache``, kept from run to run.

Several workers may ask for the same one at once (`make test`): one makes it,
the others wait.
"""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

CACHE = Path(os.environ.get("CROSSPANE_CACHE", Path(__file__).parents[1] / ".cache"))


def kept(name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder of the cache; `make` fills it, if that was never finished."""
    folder = CACHE / name
    done = folder / ".complete"
    if done.exists():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir(exist_ok=True)
            make(folder)
            done.touch()
    return folder
