"""
The processes that `crosspane up` starts: one receives, one serves readers.

Each loads what it needs when it runs; their parent, which names them, loads neither.

Before: live.py. After: collectors/agent.py, serve.py.
"""

import multiprocessing
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Final

from collectors.config import ConfigError
from collectors.errors import InputError
from collectors.log import LogError
from collectors.log.opening import open_log
from pipeline.cli.common import fail, screen
from pipeline.config import Config
from pipeline.errors import CrosspaneError

_END_S: Final = 10.0


def receive(config: Config, stop: Event) -> None:
    """Receive, and nothing else; the parent tells when to stop."""
    from collectors.agent import run_all  # noqa: PLC0415 - not in the parent

    _heed_the_parent_alone()
    try:
        with open_log(config.log, "crosspane-up") as log:
            run_all(config.agents, log, stop, spooling=False, topic_prefix=config.topic_prefix)  # type: ignore[arg-type]
    except (ConfigError, InputError, LogError, OSError) as error:
        fail(str(error), 1)


@contextmanager
def serving_beside(config: Config) -> Iterator[None]:
    """
    Serve the lake meanwhile from a process of its own, if it can be.

    What reads must not slow what writes, and whoever receives goes on receiving
    if nobody can be served: then it is said why.
    """
    if not config.serve.listen and not config.serve.web_listen:
        yield
        return
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    child = context.Process(target=_serve_until, args=(config, stop), name="serve")
    child.start()
    try:
        yield
    finally:
        stop.set()
        child.join(_END_S)
        if child.is_alive():
            child.terminate()


def _serve_until(config: Config, stop: Event) -> None:
    """Serve until the parent says so, or has gone."""
    _heed_the_parent_alone()
    parent = multiprocessing.parent_process()
    try:
        from pipeline.cli.serve import serving  # noqa: PLC0415 - `crosspane[serve]`

        with serving(Path(config.lake.directory), config.serve, warm=False):
            while not stop.wait(1.0) and (parent is None or parent.is_alive()):
                pass
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in {"collectors", "pipeline", "dashboards"}:
            raise
        screen.print("no reader is served: pip install 'crosspane\\[serve]'", highlight=False)
    except (ConfigError, CrosspaneError, OSError) as error:
        screen.print(f"nothing is served: {error}", highlight=False, markup=False, soft_wrap=True)


def _heed_the_parent_alone() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
