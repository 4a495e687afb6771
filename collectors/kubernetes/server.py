"""
An API server: where it is, how to be let in, and answers as bytes.

    in a pod       the service account's token and CA, the server from the environment
    server, ...    as configured: CA, token file, client certificate
    kubeconfig     a context of it; logins by plugins (AWS, Google, Azure) are run

Files are read again, and plugins run again, when the server says that it does
not know us (401) or TLS fails: tokens of pods live an hour, and CAs change.
Redirects are not followed, as a token must not go elsewhere.

kubernetes_asyncio is used for what it knows of kubeconfigs, and imported only
for them: 40 MB that an agent in a pod does not need.

Source: Kubernetes API concepts (HTTP); client authentication v1.
Before: run.py. After: watcher.py.
"""

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import aiohttp
import msgspec

from collectors.config import ConfigError, KubernetesInput

_log = logging.getLogger(__name__)

_POD_FILES: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_CONNECT_S: Final = 15.0
_ERROR_BYTES: Final = 16_384
_OK: Final = 200
_UNAUTHORIZED: Final = 401


class ServerError(Exception):
    """
    No answer, or one that refuses.

    Attributes
    ----------
    status
        HTTP status, or the ``code`` of an ERROR event; 0 when there was no answer.
    retry_s
        How long the server wants to be left alone; 0 when it did not say.
    """

    def __init__(self, status: int, detail: str, retry_s: float = 0.0) -> None:
        super().__init__(f"{status} {detail}" if status else detail)
        self.status = status
        self.retry_s = retry_s


class Status(msgspec.Struct):
    """What an API server says instead of what was asked for."""

    code: int = 0
    message: str = ""


class _Access(NamedTuple):
    """What a request needs."""

    url: str
    tls: ssl.SSLContext | None
    tls_server_name: str | None
    authorization: str
    proxy: str | None


class Server:
    """
    Requests to one API server, from one event loop.

    Raises
    ------
    ConfigError
        From ``async with``: when there is nothing to go by, or it cannot be read.
    """

    def __init__(self, config: KubernetesInput) -> None:
        self._config = config
        self._access: _Access | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._access = await _access(self._config)
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=_CONNECT_S, sock_read=self._config.silence_s
        )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=timeout, read_bufsize=1 << 18
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0.05)  # TLS connections say goodbye in the loop's next turns

    @property
    def url(self) -> str:
        """Scheme, host and port of the server."""
        return self._access.url if self._access else ""

    @contextlib.asynccontextmanager
    async def get(
        self, path: str, query: Mapping[str, str], accept: str = "application/json"
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """
        Ask; the body of an answer of 200.

        Raises
        ------
        ServerError
            Also while the body is read, when the connection ends or is silent.
        """
        if self._access is None:
            await self._renew()
        access, session = self._access, self._session
        assert access is not None  # noqa: S101 `_renew` raises otherwise
        assert session is not None  # noqa: S101 entered
        headers = {"Accept": accept, "User-Agent": "crosspane"}
        if access.authorization:
            headers["Authorization"] = access.authorization
        options: dict[str, Any] = {"ssl": access.tls} if access.tls else {}
        try:
            async with session.get(
                access.url + path,
                params=query,
                headers=headers,
                allow_redirects=False,
                proxy=access.proxy,
                server_hostname=access.tls_server_name,
                **options,
            ) as answer:
                if answer.status != _OK:
                    if answer.status == _UNAUTHORIZED:
                        self._access = None
                    raise await _refusal(answer)
                yield answer.content
        except aiohttp.ClientSSLError as error:
            self._access = None
            raise ServerError(0, str(error)) from error
        except aiohttp.ClientPayloadError as error:
            raise ServerError(0, "the connection was cut") from error
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ServerError(0, str(error) or type(error).__name__) from error

    async def _renew(self) -> None:
        """Read all files again; a server that cannot be found now is a `ServerError`."""
        try:
            self._access = await _access(self._config)
        except ConfigError as error:
            raise ServerError(0, str(error)) from error


async def _refusal(answer: aiohttp.ClientResponse) -> ServerError:
    text = await answer.content.read(_ERROR_BYTES)
    try:
        detail = msgspec.json.decode(text, type=Status).message
    except (msgspec.MsgspecError, UnicodeDecodeError):
        detail = text[:200].decode(errors="replace").strip()
    try:
        retry_s = float(answer.headers.get("Retry-After", "0"))
    except ValueError:
        retry_s = 0.0
    return ServerError(answer.status, detail or str(answer.reason), max(0.0, retry_s))


async def _access(config: KubernetesInput) -> _Access:
    """
    Find the server and the credentials, as configured or as found.

    Raises
    ------
    ConfigError
        See `Server`.
    """
    try:
        if config.server:
            return _explicit(config, config.server)
        host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
        if host and not config.kubeconfig and not config.context:
            port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
            in_pod = msgspec.structs.replace(
                config,
                ca_file=config.ca_file or str(_POD_FILES / "ca.crt"),
                token_file=config.token_file or str(_POD_FILES / "token"),
            )
            return _explicit(in_pod, f"https://{f'[{host}]' if ':' in host else host}:{port}")
        return await _from_kubeconfig(config)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(f"kubernetes: {error}: set server, or kubeconfig") from error


def _explicit(config: KubernetesInput, server: str) -> _Access:
    token = Path(config.token_file).read_text("ascii").strip() if config.token_file else ""
    tls = None
    if server.startswith("https:"):
        tls = _context(config.ca_file, config.tls_cert_file, config.tls_key_file)
    return _Access(
        server.rstrip("/"),
        tls,
        config.tls_server_name or None,
        f"Bearer {token}" if token else "",
        None,
    )


def _context(ca_file: str | None, cert_file: str | None, key_file: str | None) -> ssl.SSLContext:
    if ca_file and not Path(ca_file).is_file():
        raise FileNotFoundError(f"{ca_file}: no such file")
    context = ssl.create_default_context(cafile=ca_file or None)
    if cert_file:
        context.load_cert_chain(cert_file, key_file or None)
    return context


async def _from_kubeconfig(config: KubernetesInput) -> _Access:
    from kubernetes_asyncio.client import Configuration  # noqa: PLC0415 heavy, and seldom needed
    from kubernetes_asyncio.config import load_kube_config  # noqa: PLC0415

    found = Configuration()
    try:
        await load_kube_config(
            config_file=config.kubeconfig or None,
            context=config.context or None,
            client_configuration=found,
            persist_config=False,
        )
    except Exception as error:  # plugins fail in their own ways
        raise ConfigError(f"kubernetes: kubeconfig: {type(error).__name__}: {error}") from error
    tls = None
    if str(found.host).startswith("https:"):
        tls = _context(found.ssl_ca_cert, found.cert_file, found.key_file)
        if not found.verify_ssl:
            _log.warning("kubernetes at %s: its certificate is not checked", found.host)
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    return _Access(
        str(found.host),
        tls,
        config.tls_server_name or found.tls_server_name or None,
        str(await found.get_api_key_with_prefix("BearerToken") or ""),
        found.proxy or None,
    )
