"""NetBox's API over real sockets: pages, tokens, and answers that are not whole."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from collectors import netbox
from collectors.batch import Batcher
from collectors.change import Change, decode
from collectors.config import BatchConfig, NetboxInput
from collectors.envelope import Envelope, Header
from collectors.errors import InputError
from collectors.ship import Parcel

PLAN: dict[str, list[dict[str, Any]]] = {
    "/api/ipam/prefixes/": [
        {
            "id": at,
            "url": f"http://netbox/api/ipam/prefixes/{at}/",
            "display": f"10.{at}.0.0/16",
            "family": {"value": 4, "label": "IPv4"},
            "prefix": f"10.{at}.0.0/16",
            "vrf": {
                "id": 1,
                "url": "http://netbox/api/ipam/vrfs/1/",
                "name": "blue",
                "rd": "65000:1",
            },
            "scope_type": "dcim.site",
            "scope_id": 4,
            "scope": {"id": 4, "name": "dc1", "slug": "dc1"},
            "tenant": None,
            "vlan": None,
            "status": {"value": "active", "label": "Active"},
            "role": None,
            "is_pool": False,
            "description": "",
            "comments": "the door code is 1234",
            "tags": [],
            "custom_fields": {"owner": "someone"},
            "created": "2026-01-01T00:00:00Z",
            "last_updated": "2026-01-01T00:00:00Z",
        }
        for at in range(1, 6)
    ],
    "/api/ipam/ip-addresses/": [
        {
            "id": 9,
            "family": {"value": 4, "label": "IPv4"},
            "address": "10.1.2.3/24",
            "vrf": None,
            "status": {"value": "active", "label": "Active"},
            "role": {"value": "vip", "label": "VIP"},
            "assigned_object_type": "virtualization.vminterface",
            "assigned_object_id": 3,
            "assigned_object": {
                "id": 3,
                "name": "eth0",
                "virtual_machine": {"id": 2, "name": "db-1", "description": ""},
            },
            "nat_inside": None,
            "nat_outside": [],
            "dns_name": "db.example.com",
            "custom_fields": {},
        }
    ],
}


class Server(ThreadingHTTPServer):
    """A small NetBox: pages of two, with what ``change`` makes of them."""

    daemon_threads = True
    asked: list[str]
    change: Any = None


class Handler(BaseHTTPRequestHandler):
    """One request of a `Server`."""

    server: Server

    def do_GET(self) -> None:
        """Answer a page, as NetBox pages."""
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        self.server.asked.append(f"{self.path} {self.headers.get('Authorization')}")
        rows = PLAN[url.path]
        offset, limit = int(query.get("offset", 0)), int(query["limit"])
        rest = offset + limit
        host = f"https://{self.headers['Host']}"  # as a proxy that ends TLS tells it
        page: dict[str, Any] = {
            "count": len(rows),
            "next": f"{host}{url.path}?limit={limit}&offset={rest}" if rest < len(rows) else None,
            "previous": None,
            "results": rows[offset:rest],
        }
        status, body = 200, json.dumps(page).encode()
        if self.server.change:
            status, body = self.server.change(page, offset) or (status, json.dumps(page).encode())
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Be quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server(("127.0.0.1", 0), Handler)
    running.asked = []
    thread = threading.Thread(target=running.serve_forever, args=(0.02,))
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


class Ships:
    """Takes envelopes; the agent is told to end when two lists have ended or failed."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []

    def put(self, parcel: Parcel, stop: threading.Event) -> bool:
        """See `Shipper.put`."""
        self.envelopes.append(parcel.envelope)
        stop.set()
        return True

    def changes(self) -> list[Change]:
        """All changes, in their order."""
        return [
            decode(row["payload"])
            for envelope in self.envelopes
            for row in envelope.payloads.to_pylist()
        ]


def ask(server: Server, **settings: Any) -> tuple[list[Change], dict[str, int]]:
    config = NetboxInput(
        url=f"http://127.0.0.1:{server.server_address[1]}/", page_size=2, **settings
    )
    ships, batcher = Ships(), Batcher(Header("a", "east", "net", "netbox"), BatchConfig())
    netbox.follow(config, batcher, ships, threading.Event())  # type: ignore[arg-type]
    return ships.changes(), dict(batcher.lost)


def test_a_plan_is_all_its_pages_cut_to_what_is_read(server: Server, tmp_path: Path):
    """Each page once, with the token, at the host that is configured; no comment leaves."""
    token = tmp_path / "token"
    token.write_text("abc123\n")
    changes, lost = ask(server, token_file=str(token))
    assert [(c.op, c.resource, c.uid, c.count) for c in changes] == [
        ("begin", "ipam.prefixes", "", 0),
        *(("put", "ipam.prefixes", str(at), 0) for at in range(1, 6)),
        ("end", "ipam.prefixes", "", 5),
        ("begin", "ipam.ip-addresses", "", 0),
        ("put", "ipam.ip-addresses", "9", 0),
        ("end", "ipam.ip-addresses", "", 1),
    ]
    assert json.loads(bytes(changes[1].object)) == {
        "prefix": "10.1.0.0/16",
        "vrf": {"name": "blue"},
        "scope_type": "dcim.site",
        "scope": {"name": "dc1"},
        "status": {"value": "active"},
    }
    assert json.loads(bytes(changes[8].object)) == {
        "address": "10.1.2.3/24",
        "status": {"value": "active"},
        "role": {"value": "vip"},
        "assigned_object_type": "virtualization.vminterface",
        "assigned_object": {"name": "eth0", "virtual_machine": {"name": "db-1"}},
        "dns_name": "db.example.com",
    }
    assert server.asked == [
        "/api/ipam/prefixes/?limit=2&ordering=id Token abc123",
        "/api/ipam/prefixes/?limit=2&offset=2 Token abc123",
        "/api/ipam/prefixes/?limit=2&offset=4 Token abc123",
        "/api/ipam/ip-addresses/?limit=2&ordering=id Token abc123",
    ]
    assert lost == {}


def test_a_token_of_the_second_version_is_a_bearers(server: Server, tmp_path: Path):
    """As NetBox 4.5 wants it."""
    token = tmp_path / "token"
    token.write_text("nbt_abc.def")
    ask(server, token_file=str(token))
    assert server.asked[0].endswith(" Bearer nbt_abc.def")


def _elsewhere(page: dict[str, Any], _: int) -> None:
    page["next"] = page["next"] and "http://127.0.0.2/api/ipam/prefixes/?offset=2"


def _grown(page: dict[str, Any], offset: int) -> None:
    page["count"] += offset


def _again(page: dict[str, Any], offset: int) -> None:
    if offset:
        page["results"] = PLAN["/api/ipam/prefixes/"][:2]


BROKEN = [
    (_elsewhere, 2),  # another host
    (_grown, 5),  # it changed between two pages
    (_again, 2),  # a next page without anything new
    (lambda _, offset: (503, b"") if offset else None, 2),
    (lambda _, offset: (302, b"") if offset else None, 2),
    (lambda _, offset: (200, b"<html>") if offset else None, 2),
    (lambda _, offset: (200, b'{"results": []}') if offset else None, 2),
    (lambda _, offset: (200, b" " * 70_000) if offset else None, 2),
]


@pytest.mark.parametrize(("change", "puts"), BROKEN)
def test_a_list_that_is_not_whole_ends_nothing(server: Server, change: Any, puts: int):
    """What came is told, without an end; the other list is whole all the same."""
    server.change = lambda page, offset: change(page, offset) if page["count"] == 5 else None
    changes, lost = ask(server, max_bytes=65_536)
    prefixes = [change.op for change in changes if change.resource == "ipam.prefixes"]
    assert prefixes == ["begin"] + ["put"] * puts
    assert [c.op for c in changes if c.resource == "ipam.ip-addresses"] == ["begin", "put", "end"]
    assert lost == {"inventory_failed": 1}


def test_more_objects_than_allowed_are_given_up(server: Server):
    """Before any of them is taken."""
    changes, lost = ask(server, max_objects=4)
    assert [change.op for change in changes] == ["begin", "put", "end"]
    assert lost == {"inventory_failed": 1}


def test_a_token_that_is_not_there_asks_nothing(server: Server, tmp_path: Path):
    """It may come; the next question reads it again."""
    changes, lost = ask(server, token_file=str(tmp_path / "gone"))
    assert (changes, lost, server.asked) == ([], {"inventory_failed": 2}, [])


def test_files_of_tls_that_are_not_there_end_the_input(tmp_path: Path):
    """Said at once."""
    config = NetboxInput(url="https://127.0.0.1:1", tls_ca_file=str(tmp_path / "gone.pem"))
    with pytest.raises(InputError, match="set tls_ca_file"):
        netbox.follow(config, None, None, threading.Event())  # type: ignore[arg-type]
