"""
What receives for `crosspane up`, in a process of its own: that loads no lake, its parent no input.

Before: live.py. After: collectors/agent.py.
"""

import signal
from multiprocessing.synchronize import Event

from collectors.config import ConfigError
from collectors.errors import InputError
from collectors.log import LogError
from collectors.log.opening import open_log
from pipeline.cli.common import fail
from pipeline.config import Config


def receive(config: Config, stop: Event) -> None:
    """Receive, and nothing else; the parent tells when to stop."""
    from collectors.agent import run_all  # noqa: PLC0415 - the parent, which has this module too

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        with open_log(config.log, "crosspane-up") as log:
            run_all(config.agents, log, stop, spooling=False, topic_prefix=config.topic_prefix)  # type: ignore[arg-type]
    except (ConfigError, InputError, LogError, OSError) as error:
        fail(str(error), 1)
