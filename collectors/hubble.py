"""
Flows of Cilium's Hubble: the agent asks one observer, and follows it.

    GetFlowsRequest {follow, since} →        ← GetFlowsResponse, one a flow

One answer is one payload, its bytes untouched but for what redact_messages.py
leaves out; the exporter is the node that is named in it, else the target.

While nobody takes the payloads the stream is not read; Hubble's ring goes on
meanwhile, and Hubble tells what it had to overwrite in answers of its own
(``lost_events``), which are payloads too. When a stream ends, the next one
begins `_OVERLAP_S` before the newest flow seen, and what was seen already is
left out. If nothing of that is there any more, flows may have been lost: a
``reconnect_gap`` is counted, one for each time, as nobody can say how many.
Of the time before the agent's start nothing is asked.

Source: cilium api/v1/observer/observer.proto; the meaning of ``since`` from
pkg/hubble/observer/local_observer.go.
Before: the observer. After: redact_messages.py, intake.py.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from collectors.batch import Batcher
from collectors.config import ConfigError, HubbleInput
from collectors.intake import PIECE_BYTES, Intake
from collectors.partial_messages import HUBBLE
from collectors.redact import Redactor
from collectors.redact_messages import UnreadableError
from collectors.redact_messages import hubble as redaction
from collectors.ship import Shipper

_log = logging.getLogger(__name__)

METHOD: Final = "/observer.Observer/GetFlows"
STATUS_METHOD: Final = "/observer.Observer/ServerStatus"

_OVERLAP_S: Final = 1
"""Flows of several CPUs are not quite in the order of their times."""
_SEEN: Final = 100_000
"""Flows remembered to know them again: those of the overlap, if not more a second."""
_EMPTY: Final = 2
"""Whoever follows a ring of fewer flows Hubble (1.20) leaves waiting until it has been filled."""
_FIRST_RETRY_S: Final = 0.25
_CLOCK_S: Final = 60
_SECOND_NS: Final = 1_000_000_000


def follow(config: HubbleInput, batcher: Batcher, shipper: Shipper, stop: threading.Event) -> None:
    """
    Follow an observer until ``stop`` is set, through all its restarts.

    Raises
    ------
    ConfigError
        When a file of TLS cannot be read, or there is no key to hash with.
    """
    asyncio.run(_Follower(config).run(batcher, shipper, stop))


class _Follower:
    def __init__(self, config: HubbleInput) -> None:
        self._config = config
        self._credentials = _credentials(config)
        self._redact = redaction(Redactor(config.redact))
        self._newest = divmod(time.time_ns(), _SECOND_NS)
        self._recent: deque[int] = deque(maxlen=_SEEN)
        self._seen: set[int] = set()
        self._trouble = ""

    async def run(self, batcher: Batcher, shipper: Shipper, stop: threading.Event) -> None:
        intake = Intake(batcher, shipper)
        options: list[tuple[str, int | str]] = [
            ("grpc.max_reconnect_backoff_ms", int(self._config.retry_s * 1000))
        ]
        if self._config.tls_server_name:
            options.append(("grpc.ssl_target_name_override", self._config.tls_server_name))
        if self._credentials is None:
            channel = grpc.aio.insecure_channel(self._config.target, options)
        else:
            channel = grpc.aio.secure_channel(self._config.target, self._credentials, options)
        async with channel:
            following = asyncio.ensure_future(self._follow(channel, intake))
            ticking = asyncio.ensure_future(intake.tick_until(stop))
            await asyncio.wait((following, ticking), return_when=asyncio.FIRST_COMPLETED)
            following.cancel()
            ticking.cancel()
            results = await asyncio.gather(following, ticking, return_exceptions=True)
        await intake.end()
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result

    async def _follow(self, channel: Any, intake: Intake) -> None:
        ask, ask_status = channel.unary_stream(METHOD), channel.unary_unary(STATUS_METHOD)
        rest_s = _FIRST_RETRY_S
        while True:
            try:
                if await _is_empty(ask_status):
                    await asyncio.sleep(_FIRST_RETRY_S)
                    continue
                if await self._take(ask(self._request()), intake):
                    rest_s = _FIRST_RETRY_S
                self._tell("the observer ended the stream")
            except grpc.aio.AioRpcError as error:
                self._tell(f"{error.code().name}: {error.details()}")
            await asyncio.sleep(rest_s)
            rest_s = min(rest_s * 2, self._config.retry_s)

    async def _take(self, call: Any, intake: Intake) -> int:
        """Take a stream to its end; how many answers that were."""
        count = 0
        seam = bool(self._recent)
        try:
            await intake.room()
            while (message := await call.read()) is not grpc.aio.EOF:
                count += 1
                self._tell("")
                digest = hash(message)
                if digest in self._seen:
                    seam = False  # what was seen last is still there: nothing is missing
                else:
                    if seam:
                        intake.drop("reconnect_gap")
                        seam = False
                    self._remember(digest)
                    self._put(message, intake)
                await intake.room()
        finally:
            call.cancel()
        return count

    def _put(self, message: bytes, intake: Intake) -> None:
        exporter = self._config.target
        try:
            answer = HUBBLE["GetFlowsResponse"].FromString(message)
            exporter = answer.node_name or exporter
            self._advance(answer.time.seconds, answer.time.nanos)
            message = self._redact(message)
        except (DecodeError, UnreadableError):
            intake.drop("redact_failed")
        else:
            if len(message) <= PIECE_BYTES:
                intake.add(exporter, message)
            else:
                intake.drop("message_too_large")

    def _advance(self, seconds: int, nanos: int) -> None:
        """Go on after this time; one that is none, or of tomorrow, would stop all that follows."""
        if 0 <= nanos < _SECOND_NS and seconds <= time.time() + _CLOCK_S:
            self._newest = max(self._newest, (seconds, nanos))

    def _remember(self, digest: int) -> None:
        if len(self._recent) == _SEEN:
            self._seen.discard(self._recent[0])
        self._recent.append(digest)
        self._seen.add(digest)

    def _request(self) -> bytes:
        request = HUBBLE["GetFlowsRequest"](follow=True)
        seconds, request.since.nanos = self._newest
        request.since.seconds = seconds - _OVERLAP_S if self._recent else seconds
        return bytes(request.SerializeToString())

    def _tell(self, trouble: str) -> None:
        if trouble and not self._trouble:
            _log.warning("hubble at %s: %s", self._config.target, trouble)
        elif self._trouble and not trouble:
            _log.warning("hubble at %s: there again", self._config.target)
        self._trouble = trouble


async def _is_empty(ask_status: Any) -> bool:
    """Whether the observer's ring is empty, or as good as; not if it does not say."""
    try:
        answer = HUBBLE["ServerStatusResponse"].FromString(await ask_status(b""))
    except DecodeError:
        return False
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return False
        raise
    return bool(answer.num_flows < _EMPTY)


def _credentials(config: HubbleInput) -> Any:
    if not config.tls_ca_file:
        return None
    try:
        files = [
            Path(name).read_bytes() if name else None
            for name in (config.tls_ca_file, config.tls_key_file, config.tls_cert_file)
        ]
    except OSError as error:
        raise ConfigError(f"hubble: {error}") from error
    return grpc.ssl_channel_credentials(*files)
