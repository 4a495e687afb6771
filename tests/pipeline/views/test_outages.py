"""
Whether a gateway or a server is to blame for calls that were lost, by what came through.

A minute is a word, a call a letter, one a second: ``A`` came through the gateway to
service A, ``a`` is a call of A that was lost, ``1`` one that the gateway refused.
One lake serves all words: each has a minute, and services, of its own.
"""

from collections import Counter
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from two_clusters import INVENTORY

from pipeline import schema
from pipeline.inventory import file as inventory
from pipeline.lake import Commit, Lake, sync_inventory
from pipeline.memory import FACTS, asked
from pipeline.rollup import wrong_calls
from pipeline.views.failed import TOLD, unseen_sql
from pipeline.windows import Window

MAPPED = 0xFFFF << 32
FRONTEND, GATEWAY = MAPPED | 0x0A00000B, MAPPED | 0xCB007114
BEGAN = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
EAST, WEST = 1, 2
SIDES = {"n": "network", "s": "server", "u": "unknown"}

WORDS = {
    "it goes down in mid-minute": ("ABCAB1ab1cab", ".....nnnnnnn"),
    "it goes down in mid-minute, and refuses nothing": ("ABCABCababc", "......nnnnn"),
    "it goes down, and by another clock a call came through yet": (
        "ABaBababababababababab",
        "..u.nnnnnnnnnnnnnnnnnn",
    ),
    "it is down": ("abcabc", "nnnnnn"),
    "it is down, and was called twice": ("ab", "nn"),
    "it comes back, and others are let through before health checks are": (
        "1ab1baCabCAB",
        "nnnnnn.uu...",
    ),
    "it refuses, and only that is told": ("11", "nn"),
    "it refuses half, wherever": ("1A1B1Ab1A2Ab", "n.n.n.un.n.u"),
    "one that is down behind it": ("AbACbAbC", ".s..s.s."),
    "two that are down while a third passes": ("aCbCaCbCabC", "s.s.s.s.ss."),
    "two that are down, tried once each": ("CaCCbC", ".s..s."),
    "two that are down, tried once between two calls of others": ("CabCC", ".uu.."),
    "one that stops while others go on": ("ABABaBaaBa", "....s.ss.s"),
    "one that stops, and nobody else tries any more": ("ABABaaa", "....uuu"),
    "one that nobody else tried": ("aaa", "uuu"),
    "one that only itself tried, and that failed now and then": ("AaAA", ".s.."),
    "it loses some calls of all": ("AaBbAaBbA", ".u.u.u.u."),
    "one that was down before it went down": ("aBaCaBabcabc", "u.u.u.unnunn"),
    "one that was down before it went down, and others were not": ("aDaBaCabcb", "s.s.s.snnn"),
    "two that are down from one moment on, and others pass": ("ABCabCabCab", "...ss.ss.ss"),
}
"""What happens; the calls of a minute; whom each that failed blames."""


def rows(case: int, word: str) -> list[dict[str, Any]]:
    """Rows of `requests` that two proxies log of a word."""
    told = []
    for second, letter in enumerate(word):
        name = "abc"[int(letter) - 1] if letter.isdigit() else letter.lower()
        base = {
            "start_time": BEGAN + timedelta(minutes=case, seconds=second),
            "received_time": BEGAN,
            "protocol": "HTTP/1.1",
            "request_id": f"{case} {second}",
            "authority": f"{name}{case}",
            "service": f"{name}{case}.shop",
            "method": "GET",
            "path": "/",
            "response_flags": [],
            "duration_ms": 1.0,
            "status": 200 if letter.isupper() else 503,
        }
        through = {
            "upstream_remote_ip_hi": 0,
            "upstream_remote_ip_lo": GATEWAY,
            "upstream_remote_port": 15443,
        }
        client = {"upstream_local_ip_hi": 0, "upstream_local_ip_lo": FRONTEND}
        client |= base | {"reporter": "source", "vantage_id": EAST}
        if letter.isupper():
            told.append(client | through)
            told.append(base | {"reporter": "destination", "vantage_id": WEST})
        elif letter.isdigit():
            why = "delayed connect error: Connection refused"
            told.append(client | through | {"response_flags": ["UF"], "upstream_failure": why})
        elif letter.upper() in word:  # its health checks took it out: no address is told
            told.append(client | {"response_flags": ["UH"]})
        else:
            told.append(client | through | {"response_flags": ["UT"]})
    return told


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Generator[Lake]:
    """Two clusters, west behind a gateway, and each word in a minute of its own."""
    folder = tmp_path_factory.mktemp("outages")
    (folder / "inventory.toml").write_text(INVENTORY)
    with Lake(folder / "lake") as opened:
        sync_inventory(opened, inventory.load(folder / "inventory.toml").tables)
        vantages = [
            (EAST, "east", "net-east", "a", "frontend.log", "envoy_json", 0),
            (WEST, "west", "net-west", "b", "reviews.log", "envoy_json", 0),
        ]
        columns = schema.REQUESTS.schema
        told = [row for case, (word, _) in enumerate(WORDS.values()) for row in rows(case, word)]
        filled = [{name: row.get(name) for name in columns} for row in told]
        opened.commit(
            Commit(
                {
                    "vantages": pl.DataFrame(vantages, schema.VANTAGES.schema, orient="row"),
                    "requests": pl.DataFrame(filled, schema=columns),
                }
            )
        )
        yield opened


@pytest.fixture(scope="module")
def blamed(lake: Lake) -> dict[str, str]:
    """Of each call, the first letter of whom `v_calls` blames."""
    told = lake.read("SELECT request_id, coalesce(blame[1], '.') FROM v_calls")
    return dict(told.iter_rows())


@pytest.mark.parametrize("case", WORDS)
def test_whom_a_lost_call_blames(blamed: dict[str, str], case: str):
    """The gateway, if nothing came through then; the server, if others did; else nobody."""
    word, expected = WORDS[case]
    number = list(WORDS).index(case)
    assert "".join(blamed[f"{number} {second}"] for second in range(len(word))) == expected


def test_health_blames_as_v_calls_does(lake: Lake):
    """Of failed calls only, with what came through read beside: the same of every service."""
    told = []
    expected: Counter[tuple[str, str]] = Counter()
    for case, (word, sides) in enumerate(WORDS.values()):
        for letter, side in zip(word, sides, strict=True):
            name = "abc"[int(letter) - 1] if letter.isdigit() else letter.lower()
            if letter.isupper():
                told.append((BEGAN, "east", f"{name}{case}.shop", "west-gateway"))
            else:
                expected[f"{name}{case}.shop", SIDES[side]] += 1
    edges = pl.DataFrame(told, {name: schema.EDGES_1M.schema[name] for name in TOLD}, orient="row")
    end = BEGAN + timedelta(minutes=len(WORDS))
    wrong = wrong_calls(lake, Window(BEGAN, end)).drop("unseen")
    query = unseen_sql(BEGAN, end, "FROM wrong", "rolled", FACTS, before=BEGAN)
    found = asked(lake, query, {"rolled": edges, "wrong": wrong})
    assert Counter(found.select("service", "blame").iter_rows()) == expected
