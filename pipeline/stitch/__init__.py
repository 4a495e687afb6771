"""
Stitching: records of all proxies of a path become one conversation.

    keys      numbers of names, addresses, sockets
    by_id     calls that their id tells
    direct    those of them that are certain, and need nothing of the rest
    records   rows of ``requests`` as numbers, once each
    pairs     the only candidate, or none
    chain     connections: client to gateway, gateway to server
    ties      calls: client's record and server's
    members   the records of each conversation, in order
    rows      ``edges`` and ``legs``
    stage     one minute of the lake

An address alone joins nothing: what joins is an id with what was called, a
socket in its network, a translation that was recorded, or names, and then only
if there is one candidate each way.

Before: windows.py. After: views/stitched.py. How sure: docs/how-to/stitching.md.
"""

from typing import NamedTuple

import polars as pl

from pipeline.stitch import rows
from pipeline.stitch.by_id import calls_by_id
from pipeline.stitch.chain import links
from pipeline.stitch.direct import direct
from pipeline.stitch.members import whole
from pipeline.stitch.pairs import ALL, Span
from pipeline.stitch.records import prepared, translated
from pipeline.stitch.ties import Paths, Pool


class Stitched(NamedTuple):
    """
    Rows of `schema.EDGES` and of `schema.LEGS`.

    Attributes
    ----------
    edges, legs
        Of all that was asked for.
    """

    edges: pl.DataFrame
    legs: pl.DataFrame


def stitch(
    requests: pl.DataFrame,
    gateways: pl.DataFrame,
    flows: pl.DataFrame,
    endpoints: pl.DataFrame,
    span: Span = ALL,
    *,
    asked: Span = ALL,
    calls: pl.DataFrame | None = None,
) -> Stitched:
    """
    Join the records of some minutes.

    Parameters
    ----------
    requests
        Columns `records.NEEDED`, and ``network`` and ``cluster`` of the vantage.
    gateways
        Rows of `schema.GATEWAYS` that held.
    flows
        Columns of `schema.FLOWS`, and ``network``; those with a translated source matter.
    endpoints
        ``endpoint_id``, ``kind``, ``cluster``, ``identity`` of those that ``requests`` name.
    span
        Of what time ``requests`` are all that there are: calls of a connection that goes on
        beyond it are not told apart by their order.
    asked
        When the conversations begin that are asked for: of others no rows are made.
    calls
        What `by_id.calls_by_id` tells of ``requests``, if that is known.
    """
    calls = calls_by_id(requests) if calls is None else calls
    records = prepared(requests, gateways, endpoints, direct(requests, calls, asked))
    pool = Pool(records, span)
    pool.ask_ids()
    found = links(records, translated(flows), pool.ties().found)
    paths = Paths(records.rows.height, found)
    pool.ask_connections(paths)
    pool.ask_identities()
    tied = pool.ties()
    told = whole(records, paths, tied, asked)
    return Stitched(rows.edges(records, told, tied, paths), rows.legs(records, told, tied))
