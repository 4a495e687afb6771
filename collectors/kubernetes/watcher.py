"""
One resource of an API server: its list, and what becomes of it.

    list, page by page → begin, a put for each object, end
    watch from there   → put, delete, and quiet where there is nothing new
        ↑ 410: too old ↲

A connection that ends is made again, from the last version seen. What cannot
be resumed (410 Gone) is listed anew, and so is all of it every ``relist_s``.
The same object may come twice, which changes nothing.

Lists are consistent reads, not ``resourceVersion=0``: an API server that was
just started would answer that from its past. A resource that is not there (its
CRD is not installed) is empty, and looked for again every ``absent_s``; one
that is not permitted is counted as ``kubernetes_forbidden`` each time, and told
once. While nobody takes the payloads nothing is read.

An object that its struct cannot read, or that is larger than a payload may be,
is put as ``null``, for the pipeline to reject: it is there, and the list whole.
What has not even a uid is counted as ``object_malformed``, and the list that
holds it is no evidence of what is gone.

Source: Kubernetes API concepts: efficient detection of changes.
Before: server.py. After: core.py; change.py and intake.py of the agent.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator
from typing import Final, Literal

import aiohttp
import msgspec

from collectors.change import Change, encode
from collectors.config import KubernetesInput
from collectors.intake import PIECE_BYTES, Intake
from collectors.kubernetes.resources import RESOURCES, Resource
from collectors.kubernetes.server import Server, ServerError, Status

_log = logging.getLogger(__name__)

_MAX_PAGE_BYTES: Final = 1 << 26
_MAX_LINE_BYTES: Final = 1 << 24
_FIRST_REST_S: Final = 0.25
_QUIET_S: Final = 10.0
_SHORT_S: Final = 1.0
_DIGITS: Final = 18
_WATCH_S: Final = (240, 480)
"""Servers end a watch after a time between these, so that not all come back at once."""
_NOT_FOUND: Final = 404
_FORBIDDEN: Final = 403
_GONE: Final = 410
_METADATA: Final = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1,application/json"


class _Identity(msgspec.Struct, rename="camel"):
    uid: str = ""
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class _Identified(msgspec.Struct):
    metadata: _Identity


class _Page(msgspec.Struct):
    metadata: _Identity
    items: list[msgspec.Raw] | None = None


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


_read_identity: Final = msgspec.json.Decoder(_Identified).decode
_read_page: Final = msgspec.json.Decoder(_Page).decode
_read_event: Final = msgspec.json.Decoder(_Event).decode
_read_status: Final = msgspec.json.Decoder(Status).decode
_write: Final = msgspec.json.Encoder().encode


class Troubles:
    """Which resources are in trouble, told when that begins and when it has ended for all."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._now: set[str] = set()

    def begin(self, name: str, error: Exception) -> None:
        """Tell of the first."""
        if not self._now:
            _log.warning("kubernetes at %s: %s: %s", self._url, name, error)
        self._now.add(name)

    def end(self, name: str) -> None:
        """Tell when there is none left."""
        if self._now == {name}:
            _log.warning("kubernetes at %s: there again", self._url)
        self._now.discard(name)


class Watcher:
    """
    One resource of one API server.

    Parameters
    ----------
    config
        How to go about it.
    name
        Key of `RESOURCES`.
    server, intake
        From where to where.
    troubles, lists
        What the resources of one server share; ``lists`` bounds how many are listed at a time.
    """

    def __init__(
        self,
        config: KubernetesInput,
        name: str,
        *,
        server: Server,
        intake: Intake,
        troubles: Troubles,
        lists: asyncio.Semaphore,
    ) -> None:
        self._config = config
        self._name = name
        self._resource: Resource = RESOURCES[name]
        self._trim = msgspec.json.Decoder(self._resource.trim).decode
        self._path = self._resource.path(self._resource.versions[0])
        self._server = server
        self._intake = intake
        self._troubles = troubles
        self._lists = lists
        self._version = ""
        """Resource version everything up to which was shipped; empty: to be listed."""
        self._listed_s = 0.0
        self._told_s = 0.0
        self._is_empty = False
        self._is_forbidden = False
        self._is_unreadable = False
        self._rest_s = _FIRST_REST_S
        self._anew = False
        self._body: aiohttp.StreamReader | None = None

    def list_anew(self) -> None:
        """Give the watch up, and list."""
        self._anew = True
        if self._body is not None:
            self._body.set_exception(ServerError(_GONE, "all is to be listed anew"))

    async def run(self) -> None:
        """List, watch and list again, until cancelled."""
        while True:
            try:
                if not self._version:
                    async with self._lists:
                        await self._list()
                await self._follow()
            except ServerError as error:
                await self._rest(error)

    async def _rest(self, error: ServerError) -> None:
        """Wait as long as the error asks for; what is to be done next is in ``_version``."""
        if error.status == _FORBIDDEN:
            self._intake.drop("kubernetes_forbidden")
            if not self._is_forbidden:
                self._is_forbidden = True
                _log.warning(
                    "kubernetes: %s are not watched: %s: permit list and watch of %s in the API"
                    " group %r to the agent, or name it under `without`",
                    *(self._name, error, self._resource.plural, self._resource.group),
                )
            self._version = ""
            await asyncio.sleep(_around(self._config.absent_s))
            return
        if error.status == _NOT_FOUND and not self._resource.is_built_in:
            self._version = ""
            await asyncio.sleep(_around(self._config.absent_s))
            return
        if error.status == _GONE:
            self._version = ""
        else:
            self._troubles.begin(self._name, error)
        await asyncio.sleep(max(_around(self._rest_s), min(error.retry_s, self._config.retry_s)))
        self._rest_s = min(self._rest_s * 2, self._config.retry_s)

    async def _list(self) -> None:
        """
        List all objects, of the first version of the resource that is there.

        Raises
        ------
        ServerError
            Also after a part of the list; there is no ``end`` then.
        """
        for version in self._resource.versions:
            self._path = self._resource.path(version)
            try:
                page = await self._page("")
            except ServerError as error:
                if error.status != _NOT_FOUND:
                    raise
                missing = error
            else:
                await self._ship_list(page)
                return
        if not self._resource.is_built_in and not self._is_empty:
            await self._ship_empty()
        raise missing

    async def _ship_list(self, page: _Page) -> None:
        self._listed_s = time.monotonic()
        self._anew = False
        version = page.metadata.resource_version
        count = 0
        self._add(Change("begin", self._name, version=_number(version)))
        while True:
            for item in page.items or ():
                await self._intake.room()
                self._put("put", item)
                count += 1
            if not page.metadata.continue_:
                break
            page = await self._page(page.metadata.continue_)
        self._add(Change("end", self._name, version=_number(version), count=count))
        self._version = version
        self._is_empty = self._is_forbidden = False
        self._troubles.end(self._name)

    async def _ship_empty(self) -> None:
        """Tell that a resource which this API server does not have has no objects."""
        async with self._server.get("/apis", {}) as body:  # not whatever answers 404 to all
            await _read(body, _MAX_PAGE_BYTES)
        self._add(Change("begin", self._name))
        self._add(Change("end", self._name))
        self._is_empty = True

    async def _page(self, continue_: str) -> _Page:
        query = {**self._query(), "limit": str(self._config.page_size)}
        if continue_:
            query["continue"] = continue_
        async with self._server.get(self._path, query, self._accept("List")) as body:
            text = await _read(body, _MAX_PAGE_BYTES)
        try:
            return _read_page(text)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ServerError(0, f"no list: {error}") from error

    async def _follow(self) -> None:
        """
        Watch until the server ends it, all is to be listed anew, or a `ServerError`.

        A watch that ends at once, without a word, is a trouble.
        """
        began_s = time.monotonic()
        left_s = self._listed_s + self._config.relist_s - began_s
        watch_s = min(max(1, int(left_s)), random.randint(*_WATCH_S))  # noqa: S311 spread
        query = {
            **self._query(),
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(watch_s),
        }
        if self._anew:
            raise ServerError(_GONE, "all is to be listed anew")
        lines = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, left_s)):
                async with self._server.get(self._path, query, self._accept("")) as body:
                    self._body = body
                    self._troubles.end(self._name)
                    try:
                        async for line in _lines(body):
                            await self._intake.room()
                            self._take(line)
                            self._rest_s = _FIRST_REST_S
                            lines += 1
                    finally:
                        self._body = None
        now_s = time.monotonic()
        if now_s - self._listed_s >= self._config.relist_s:
            self._version = ""
        elif now_s - began_s < _SHORT_S:
            if not lines:
                raise ServerError(0, "the watch ended at once")
            await asyncio.sleep(_around(_FIRST_REST_S))

    def _take(self, line: bytes) -> None:
        """Ship what a line of a watch tells, and go on after it."""
        try:
            event = _read_event(line)
            if event.type == "ERROR":
                status = _read_status(event.object)
                raise ServerError(status.code, status.message)
            version = _read_identity(event.object).metadata.resource_version
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ServerError(0, f"no event: {error}") from error
        if event.type in {"ADDED", "MODIFIED"}:
            self._put("put", event.object)
        elif event.type == "DELETED":
            self._put("delete", event.object)
        elif event.type == "BOOKMARK" and time.monotonic() - self._told_s >= _QUIET_S:
            self._add(Change("quiet", self._name))
        self._version = version or self._version

    def _put(self, op: Literal["put", "delete"], text: msgspec.Raw) -> None:
        """Ship an object, with what is kept of it."""
        kept = b"null"
        try:
            found = self._trim(text)
            uid, version = found.metadata.uid, found.metadata.resource_version
            found.metadata.resource_version = None  # the change has it; all else may be the same
            kept = _write(found)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            uid, version = _identity(text)
            self._tell_unreadable(uid, str(error))
        if not uid:
            self._intake.drop("object_malformed")
            return
        if len(kept) > PIECE_BYTES:
            self._tell_unreadable(uid, f"{len(kept)} bytes")
            kept = b"null"
        self._add(Change(op, self._name, "", uid, _number(version), object=msgspec.Raw(kept)))

    def _add(self, change: Change) -> None:
        self._told_s = time.monotonic()
        self._intake.add(self._config.name, encode(change))

    def _tell_unreadable(self, uid: str | None, why: str) -> None:
        if not self._is_unreadable:
            self._is_unreadable = True
            _log.warning("kubernetes: %s: an object (uid %s) is not kept: %s", self._name, uid, why)

    def _query(self) -> dict[str, str]:
        name = self._resource.only_name
        return {"fieldSelector": f"metadata.name={name}"} if name else {}

    def _accept(self, of: str) -> str:
        return _METADATA.format(of) if self._resource.metadata_only else "application/json"


async def _read(body: aiohttp.StreamReader, max_bytes: int) -> bytes:
    """The whole of a body; `ServerError` if it is larger."""
    found = bytearray()
    while chunk := await body.readany():
        found += chunk
        if len(found) > max_bytes:
            raise ServerError(0, f"a page of more than {max_bytes} bytes: set page_size lower")
    return bytes(found)


async def _lines(body: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of a watch, until it ends; one cut short is none."""
    rest = bytearray()
    while chunk := await body.readany():
        if b"\n" not in chunk:
            rest += chunk
            if len(rest) > _MAX_LINE_BYTES:
                raise ServerError(0, f"a line of more than {_MAX_LINE_BYTES} bytes")
            continue
        *whole, last = (bytes(rest) + chunk).split(b"\n")
        rest = bytearray(last)
        for line in whole:
            yield line


def _identity(text: msgspec.Raw) -> tuple[str | None, str | None]:
    try:
        found = _read_identity(text).metadata
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None, None
    return found.uid, found.resource_version


def _number(version: str | None) -> int:
    """
    A resource version as the number it is; of none, the time.

    >>> _number("812")
    812
    """
    if version and version.isascii() and version.isdigit() and len(version) <= _DIGITS:
        return int(version)
    return time.time_ns()


def _around(seconds: float) -> float:
    """Between half of it and all: not all agents at the same time."""
    return seconds * random.uniform(0.5, 1.0)  # noqa: S311 spread
