"""
A change of an inventory: what every source of inventory sends, whatever it is.

    {"op": "put", "resource": "pods", "uid": "5f...", "version": 812, "object": {...}}

A source (an API server, a cloud account, a file) has resources (pods, subnets),
each a set of objects. It tells of a whole set by a *list*: ``begin``, a ``put``
for each object, ``end``; what was there before and was not put in between is
gone. Between lists it may tell single changes: ``put`` and ``delete``. A
``quiet`` says that the source is heard and nothing has changed.

One change is one payload of an envelope whose kind is the source's. All changes
of a source have one exporter, so the log keeps their order.

Before: kubernetes/, listing.py (which make them). After: envelope.py, then
pipeline/inventory.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

_Name = Annotated[str, Meta(max_length=2_000)]


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    One change.

    Attributes
    ----------
    op
        ``begin`` and ``end`` of a list of a resource, ``put`` of an object as it
        is now, ``delete`` of one, ``quiet``: nothing new.
    resource
        Set the object is in: ``pods``, ``ec2.subnets``; plural, lower case.
    scope
        Part of the source that is listed by itself: an account and region, a
        namespace; empty where there is one.
    uid
        Identity of the object within source, scope and resource; the same
        object never has two, two objects never share one.
    version
        Orders changes of one object: the greater is the later. An API server's
        resource version; for sources without, UTC nanoseconds of the answer.
    time_ns
        When it happened, UTC nanoseconds, if the source says so; else 0: the
        time of receipt stands.
    count
        Of an ``end``: how many objects the list put. Where another number
        arrived, the list is no evidence that something is gone.
    object
        The object, as JSON, with no more than `pipeline.inventory` reads of it.
        Of a ``delete`` its last state, if the source tells it.
    """

    op: Literal["begin", "put", "delete", "end", "quiet"]
    resource: _Name = ""
    scope: _Name = ""
    uid: _Name = ""
    version: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0
    time_ns: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0
    count: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0
    object: msgspec.Raw = msgspec.Raw(b"null")


encode = msgspec.json.Encoder().encode
"""A change to its payload."""

decode = msgspec.json.Decoder(Change).decode
"""A payload to its change; `msgspec.MsgspecError` for anything else."""
