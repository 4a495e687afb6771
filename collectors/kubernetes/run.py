"""
The input that watches an API server: a task for each resource, and an orderly end.

What the log says after the ``end`` of a list is what the server says; so when
the agent's spool had to let something go, all is listed anew.

Before: agent.py. After: server.py, watcher.py.
"""

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Final

from collectors.batch import Batcher
from collectors.config import ConfigError, KubernetesInput
from collectors.intake import TICK_S, Intake
from collectors.kubernetes.resources import RESOURCES
from collectors.ship import Shipper

if TYPE_CHECKING:
    from collections.abc import Iterable

    from collectors.kubernetes.watcher import Watcher

_log = logging.getLogger(__name__)

_LISTS: Final = 4
"""Lists that are read at a time: each holds a page in memory."""


def watch(
    config: KubernetesInput, batcher: Batcher, shipper: Shipper, stop: threading.Event
) -> None:
    """
    Watch an API server until ``stop`` is set, through all its restarts.

    Raises
    ------
    ConfigError
        When no server is configured or found, or a file of it cannot be read.
    """
    asyncio.run(_watch(config, batcher, shipper, stop))


async def _watch(
    config: KubernetesInput, batcher: Batcher, shipper: Shipper, stop: threading.Event
) -> None:
    try:  # agents without this input need no aiohttp
        from collectors.kubernetes.server import Server  # noqa: PLC0415
        from collectors.kubernetes.watcher import Troubles, Watcher  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(f"kubernetes: {error}: pip install 'crosspane[inventory]'") from error
    intake = Intake(batcher, shipper)
    async with Server(config) as server:
        troubles = Troubles(server.url)
        lists = asyncio.Semaphore(_LISTS)
        watchers = [
            Watcher(config, name, server=server, intake=intake, troubles=troubles, lists=lists)
            for name in RESOURCES
            if name not in config.without
        ]
        tasks = [asyncio.create_task(one.run()) for one in watchers]
        tasks.append(asyncio.create_task(_tick(intake, shipper, watchers, stop)))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    await intake.end()
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result  # a bug: the agent ends with it


async def _tick(
    intake: Intake, shipper: Shipper, watchers: "Iterable[Watcher]", stop: threading.Event
) -> None:
    """Hand on what is old enough; have all listed anew when something handed on was lost."""
    lost = shipper.lost.total()
    while not stop.is_set():
        intake.tick()
        if shipper.lost.total() != lost and not shipper.trouble:
            lost = shipper.lost.total()
            _log.warning("kubernetes: the spool let something go: all is listed anew")
            for one in watchers:
                one.list_anew()
        await asyncio.sleep(TICK_S)
