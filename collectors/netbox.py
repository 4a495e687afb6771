"""
An IP plan in NetBox: prefixes and addresses, by its REST API.

    GET /api/ipam/prefixes/, /api/ipam/ip-addresses/ → pages → a listing each

Pages are followed by ``next``, but never to another host: the token goes to the
one that is configured. Between two pages the plan may change, and an object be
left out or come twice: a list of another length than its pages said is not
whole, and ends nothing. Nothing here was run against a NetBox; it follows the
serializers of NetBox 4.x.

Before: NetBox. After: trim.py, listing.py.
"""

import ssl
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from collectors.batch import Batcher
from collectors.config.netbox import NetboxInput
from collectors.errors import InputError
from collectors.listing import Listing, ListingError, follow_listings
from collectors.ship import Shipper
from collectors.trim import keys, trim

if TYPE_CHECKING:
    import httpx

_NAME: Final = keys("name")
_KEPT: Final = {
    "ipam.prefixes": keys(
        *("prefix", "scope_type", "description"),
        **dict.fromkeys(("vrf", "scope", "site", "tenant", "role"), _NAME),
        status=keys("value"),
    ),
    "ipam.ip-addresses": keys(
        *("address", "assigned_object_type", "dns_name"),
        vrf=_NAME,
        status=keys("value"),
        role=keys("value"),
        assigned_object=keys("name", device=_NAME, virtual_machine=_NAME),
    ),
}
"""Resource, which is the API's path, to what is kept of its objects."""


class _Page(msgspec.Struct):
    results: list[dict[str, Any]]
    count: int
    next: str | None = None


def follow(config: NetboxInput, batcher: Batcher, shipper: Shipper, stop: threading.Event) -> None:
    """
    Ask for the whole plan at an interval until ``stop`` is set.

    Raises
    ------
    InputError
        When a file TLS needs cannot be read.
    """
    import httpx  # noqa: PLC0415 only agents that ask need it

    client = httpx.Client(
        verify=_tls(config), timeout=config.timeout_s, follow_redirects=False, trust_env=False
    )
    with client:
        ask = _Asker(config, client).ask
        follow_listings(config.name, ask, batcher, shipper, stop, interval_s=config.interval_s)


def _tls(config: NetboxInput) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.tls_ca_file or None)
        if config.tls_cert_file:
            context.load_cert_chain(config.tls_cert_file)
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"{error}: set tls_ca_file or tls_cert_file") from error
    return context


class _Asker:
    def __init__(self, config: NetboxInput, client: "httpx.Client") -> None:
        self._config = config
        self._client = client

    def ask(self, stop: threading.Event) -> Iterable[Listing]:
        """See `listing.Ask`."""
        for resource in _KEPT:
            yield Listing("", resource, self._objects(resource, stop))

    def _objects(self, resource: str, stop: threading.Event) -> Iterator[tuple[str, bytes]]:
        root = self._config.url.rstrip("/")
        start = f"{root}/api/{resource.replace('.', '/')}/"
        url: str | None = f"{start}?limit={self._config.page_size}&ordering=id"
        seen: set[int] = set()
        counts: set[int] = set()
        while url is not None and not stop.is_set():
            page = self._page(url)
            counts.add(page.count)
            if page.count > self._config.max_objects:
                raise ListingError("too_many", f"{resource} are {page.count}")
            before = len(seen)
            for one in page.results:
                number = one.get("id")
                if isinstance(number, int) and number not in seen:
                    seen.add(number)
                    kept = trim(one, _KEPT[resource])
                    yield str(number), msgspec.json.encode(kept)
            if page.next is not None and len(seen) == before:
                raise ListingError("no_progress", f"{url} has nothing new, and a next page")
            url = self._next(root, page.next)
        if url is None and counts != {len(seen)}:
            raise ListingError("changed_meanwhile", f"{resource} were {sorted(counts)}")

    def _next(self, root: str, link: str | None) -> str | None:
        """
        Link of the next page, at the host that is configured.

        NetBox writes the host as its proxy tells it, so scheme and host are ours.
        """
        if link is None:
            return None
        here, there = urlsplit(root), urlsplit(link)
        if there.hostname != here.hostname:
            raise ListingError("other_host", f"the next page is at {there.hostname}")
        return f"{here.scheme}://{here.netloc}{there.path}?{there.query}"

    def _page(self, url: str) -> _Page:
        import httpx  # noqa: PLC0415 see `follow`

        try:
            with self._client.stream("GET", url, headers=self._headers()) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise ListingError(f"status {answer.status_code}", url)
                data = bytearray()
                for part in answer.iter_bytes():
                    data += part
                    if len(data) > self._config.max_bytes:
                        raise ListingError("too_large", f"{url} is more than is allowed")
            return msgspec.json.decode(data, type=_Page)
        except httpx.HTTPError as error:
            raise ListingError(type(error).__name__, f"{url}: {error}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ListingError("not_netbox", f"{url}: {error}") from error
        except (OSError, ValueError) as error:  # the token's file, a link that is none
            raise ListingError("not_asked", str(error)) from error

    def _headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if self._config.token_file:
            token = Path(self._config.token_file).read_text("ascii").strip()
            scheme = "Bearer" if token.startswith("nbt_") else "Token"
            headers["Authorization"] = f"{scheme} {token}"
        return headers
