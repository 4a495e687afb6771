"""
The pane in a browser: one page, the dashboards it renders, and their answers.

    GET  /  /d/{uid}              the page (dashboards/pane/dist, built from npm packages)
    GET  /assets/{file}           its script, style, outline of the world, licences
    GET  /api/dashboards[/{uid}]  the generated dashboards, as Grafana gets them
    GET  /api/range               where the lake has data
    POST /api/query               frames of a panel
    POST /api/variables           what a variable may be set to
    POST /api/annotations         marks of a dashboard

It has no logins, so it is this machine's alone: it listens on loopback, answers
to loopback's names only (a page elsewhere whose name is made to lead here gets
nothing), takes questions from its own page only, and asks as a role without a
password. A browser sends values, never SQL.

Before: boards.py, dashboards/pane. After: cli/serve.py, cli/live.py.
"""

import asyncio
import hashlib
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboards.expand import ExpandError
from dashboards.frames import FrameError
from pipeline.config import ServeConfig
from pipeline.errors import LakeError, ServeError, UsageError
from pipeline.serve.boards import Asked, AskedOptions, AskedPanel, Boards
from pipeline.serve.engine import Engine, Session

DIST: Final = Path(__file__).parents[2] / "dashboards" / "pane" / "dist"
ROLES: Final = ("pane", "crosspane")
"""The page asks as the first of these that there is."""
AT_ONCE: Final = 4
"""Questions that are asked of the lake at a time; of one page, or of all."""
WAITING_MAX: Final = 200
"""Questions that may wait for that; one more is refused."""
BODY_MAX: Final = 256 * 1024

_HOSTS: Final = ("127.0.0.1", "localhost", "::1", "[::1]")
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_T = TypeVar("_T")
_PORT_MAX: Final = 65_535
_END_S: Final = 10.0
_GONE_S: Final = 0.5
"""How soon it is seen that nobody waits for an answer any more."""


class Page:
    """
    A page that is being served.

    Attributes
    ----------
    url
        Where a browser finds it.
    """

    def __init__(self, server: uvicorn.Server, listening: socket.socket) -> None:
        host, port = listening.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        self._server = server
        self._listening = listening
        self._thread = threading.Thread(target=self._run, name="pane", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._server.run(sockets=[self._listening])

    def close(self) -> None:
        """End: questions that run are given up."""
        self._server.should_exit = True
        self._thread.join(_END_S)
        self._listening.close()


def start(engine: Engine, config: ServeConfig) -> Page | None:
    """
    Serve the page from a thread of its own, until it is closed; None where it is off.

    Raises
    ------
    UsageError
        An address that is not this machine's own or is taken; no role to ask as.
    """
    if not config.web_listen:
        return None
    role = _role(config)
    listening = _listen(config.web_listen)
    settings = uvicorn.Config(
        app(engine, role),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        limit_concurrency=WAITING_MAX * 2,
        ws="none",
    )
    return Page(uvicorn.Server(settings), listening)


def app(engine: Engine, role: str, boards: Boards | None = None) -> Starlette:
    """Make the application; `role` is who asks."""
    pages = _Pages(boards or Boards(), _Asking(engine, role))
    routes = [
        Route("/", pages.index),
        Route("/d/{uid}", pages.index),
        Route("/assets/{file}", pages.asset),
        Route("/api/dashboards", pages.listed),
        Route("/api/dashboards/{uid}", pages.dashboard),
        Route("/api/range", pages.range),
        Route("/api/query", pages.query, methods=["POST"]),
        Route("/api/variables", pages.options, methods=["POST"]),
        Route("/api/annotations", pages.marks, methods=["POST"]),
    ]
    middleware = [
        Middleware(_Guard),
        Middleware(TrustedHostMiddleware, allowed_hosts=_HOSTS, www_redirect=False),
        Middleware(RequestBodyLimitMiddleware, max_body_size=BODY_MAX),
        Middleware(GZipMiddleware, minimum_size=1_000, compresslevel=5),
    ]
    handlers = dict.fromkeys(_STATUS, _refused)
    return Starlette(
        routes=routes, middleware=middleware, exception_handlers=handlers, lifespan=pages.lifespan
    )


class _Pages:
    """What each address answers."""

    def __init__(self, boards: Boards, asking: "_Asking") -> None:
        self._boards = boards
        self._asking = asking
        self._files = {path.name: path.read_bytes() for path in sorted(DIST.iterdir())}

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            self._asking.close()

    async def index(self, request: Request) -> Response:
        return self._file(request, "index.html")

    async def asset(self, request: Request) -> Response:
        return self._file(request, request.path_params["file"])

    def _file(self, request: Request, name: str) -> Response:
        """A file of the build; a browser asks each time whether it is still the same."""
        if name not in self._files:
            return _json({"error": f"no file {name}"}, 404)
        content = self._files[name]
        tag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match", "").removeprefix("W/") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=_TYPES[Path(name).suffix], headers=headers)

    async def listed(self, _: Request) -> Response:
        return _json({"dashboards": self._boards.listed()})

    async def dashboard(self, request: Request) -> Response:
        return _json(self._boards.dashboard(request.path_params["uid"]))

    async def range(self, request: Request) -> Response:
        return _json(await self._asking.ask(request, self._boards.range))

    async def query(self, request: Request) -> Response:
        asked = msgspec.json.decode(await request.body(), type=AskedPanel)
        results = await self._asking.ask(request, partial(self._boards.panel, asked))
        return _json({"results": results})

    async def options(self, request: Request) -> Response:
        asked = msgspec.json.decode(await request.body(), type=AskedOptions)
        return _json(
            {"options": await self._asking.ask(request, partial(self._boards.options, asked))}
        )

    async def marks(self, request: Request) -> Response:
        asked = msgspec.json.decode(await request.body(), type=Asked)
        found = await self._asking.ask(request, partial(self._boards.marks, asked))
        return _json({"annotations": found})


class _Asking:
    """
    Questions on their way to the lake: so many at a time, each in a session of its own.

    A question nobody waits for any more is cancelled.
    """

    def __init__(self, engine: Engine, role: str) -> None:
        self._engine, self._role = engine, role
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="pane")
        self._free: list[Session] = []
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def ask(self, request: Request, question: Callable[[Session], Any]) -> Any:
        if self._waiting >= WAITING_MAX:
            raise ServeError("53300", "too many questions are waiting: ask again in a moment")
        self._waiting += 1
        try:
            async with self._turn:
                session = await self._session()
                try:
                    return await self._answer(request, session, question)
                finally:
                    self._free.append(session)
        finally:
            self._waiting -= 1

    async def _session(self) -> Session:
        """One that nobody uses; the first opens the role's DuckDB, which takes its time."""
        if self._free:
            return self._free.pop()
        return await self._in_thread(self._engine.open, self._role)

    def _in_thread(self, call: Callable[..., _T], *args: Any) -> asyncio.Future[_T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, call, *args)

    async def _answer(
        self, request: Request, session: Session, question: Callable[[Session], Any]
    ) -> Any:
        answer = self._in_thread(question, session)
        while True:
            done, _ = await asyncio.wait([answer], timeout=_GONE_S)
            if done:
                return answer.result()
            if await request.is_disconnected():
                session.cancel()

    def close(self) -> None:
        for session in self._free:
            session.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Guard:
    """Headers of every answer, and no questions from pages of other sites."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                named = {name.lower() for name, _ in message["headers"]}
                wanted = {**_HEADERS, "Cache-Control": "no-store"}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.encode(), value.encode())
                        for name, value in wanted.items()
                        if name.lower().encode() not in named
                    ),
                ]
            await send(message)

        request = Request(scope)
        if request.method == "POST" and not _is_ours(request):
            refusal = _json({"error": "questions come from this page, as JSON"}, 403)
            await refusal(scope, receive, with_headers)
            return
        await self._inner(scope, receive, with_headers)


def _is_ours(request: Request) -> bool:
    """A browser says where a question comes from; what is no browser may say nothing."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    return (
        kind == "application/json"
        and site in ("same-origin", "none")
        and (origin is None or origin == f"http://{request.headers.get('host')}")
    )


_STATUS: Final[dict[type[Exception], int]] = {
    msgspec.DecodeError: 400,
    UsageError: 404,
    ExpandError: 422,
    FrameError: 422,
    ServeError: 422,
    LakeError: 503,
    ClientDisconnect: 499,
}


async def _refused(_: Request, error: Exception) -> Response:
    status = next(code for kind, code in _STATUS.items() if isinstance(error, kind))
    if isinstance(error, ServeError) and error.sqlstate == "53300":
        status = 503
    return _json({"error": str(error)}, status)


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def _role(config: ServeConfig) -> str:
    name = next((name for name in ROLES if name in config.roles), None)
    if name is None:
        raise UsageError(
            "serve.roles: the pane asks as the role pane, or crosspane, and there is neither:"
            " add one, or set serve.web_listen to '' for no pane"
        )
    role = config.roles[name]
    if role.password_file or role.password_env or role.scram:
        raise UsageError(
            f"serve.roles.{name}: it has a password, and the pane has no logins: add a role"
            " pane without one, or set serve.web_listen to '' for no pane"
        )
    return name


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if int(port) > _PORT_MAX:
        raise UsageError(f"serve.web_listen {address}: ports end at {_PORT_MAX}")
    try:
        known = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        raise UsageError(f"serve.web_listen {address}: {error}") from error
    family, kind, proto, _, where = known[0]
    if not ipaddress.ip_address(where[0]).is_loopback:
        raise UsageError(
            f"serve.web_listen {address}: the pane has no logins, so it listens on loopback only"
            " (from elsewhere: `ssh -L`, `kubectl port-forward`)"
        )
    listening = socket.socket(family, kind, proto)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(where)
        listening.listen(128)  # from here on a browser may come, and waits
    except OSError as error:
        listening.close()
        raise UsageError(f"serve.web_listen {address}: {error.strerror}") from error
    return listening
