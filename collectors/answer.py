"""
What a JSON document of a cloud lists: what all vendors' answers share.

Before: gcp_export.py, azure_export.py (what each document is made of). After: exports.py.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from collectors.listing import ListingError


class Found(NamedTuple):
    """An object: scope, resource and uid as in `collectors.change.Change`, and its keys."""

    scope: str
    resource: str
    uid: str
    object: dict[str, Any]


def whole(document: object, found: Iterable[Found], more: Iterable[str]) -> Iterator[Found]:
    """
    Pass on what was found in a document, if that is an answer and all of it.

    Parameters
    ----------
    more
        Keys of which any says that there are further pages.

    Raises
    ------
    ListingError
        When the document says that it is an error; after what was found, when it says
        that it is not whole.
    """
    if isinstance(document, dict) and "error" in document:
        raise ListingError("error_answer", str(document["error"])[:300])
    yield from found
    if isinstance(document, dict) and any(document.get(key) for key in more):
        raise ListingError("more_pages", "the answer is one page of several")
