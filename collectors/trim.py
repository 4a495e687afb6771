"""
Objects of an inventory, cut to what is read of them.

What a provider tells of a machine holds its start-up script, keys and labels; of
all that nothing leaves the agent but the keys that are named.

Before: aws.py, gcp_export.py, azure_export.py, netbox.py. After: listing.py.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

Keys = Mapping[str, "Keys | None"]
"""Keys that are kept: of an object, or of each of a list, those beneath; None: as it is."""


def keys(*plain: str, **nested: Keys) -> Keys:
    """
    Keys without and with others beneath.

    >>> keys("name", peer=keys("id"))
    {'name': None, 'peer': {'id': None}}
    """
    return {**dict.fromkeys(plain), **nested}


def trim(one: object, kept: Keys) -> dict[str, Any]:
    """
    An object with no more than these keys; what is null or empty is left out.

    >>> trim({"name": "a", "key": "secret", "at": [{"id": 1, "x": 2}]}, keys("name", at=keys("id")))
    {'name': 'a', 'at': [{'id': 1}]}
    """
    if not isinstance(one, dict):
        return {}
    found = {key: _part(one.get(key), beneath) for key, beneath in kept.items()}
    return {key: value for key, value in found.items() if value not in (None, "", [], {})}


def _part(value: object, beneath: "Keys | None") -> object:
    if isinstance(value, list):
        return [part for part in (_part(one, beneath) for one in value) if part is not None]
    if beneath is not None:
        return trim(value, beneath)
    return value if isinstance(value, str | int | float | datetime) else None
