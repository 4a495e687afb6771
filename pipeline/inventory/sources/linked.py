"""
Objects that name each other: what clouds' sources share.

A machine's zone is in one object, its address in another that names it. So each
object is kept with the names it can be found by, and with the names it reads;
a change of one changes what its readers claim, whichever came first.

Before: decode.py. After: aws.py, gcp.py, azure.py, netbox.py.
"""

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
from msgspec import Meta

from pipeline.inventory.sources import Key, ObjectError

T = TypeVar("T")

Name = Annotated[str, Meta(max_length=1_000, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""A name or link: no control characters (see `rows.Text`); may be empty."""


class Ip(str):
    """IPv4 or IPv6 address, as `ipaddress` writes it; empty where the object has it empty."""

    __slots__ = ()


class Cidr(str):
    """A range, as `ipaddress` writes it; empty where the object has it empty."""

    __slots__ = ()


Time = Annotated[datetime, Meta(tz=True)]


class Part(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Part of an object whose keys are written ``likeThis``; what is not known is skipped."""


def _checked(of: type, value: object) -> Ip | Cidr:
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    if "%" in value:
        raise ValueError("an address with a zone of one machine")
    if of is Ip:
        return Ip(ipaddress.ip_address(value) if value else "")
    return Cidr(ipaddress.ip_network(value, strict=False) if value else "")


def single(cidr: str | None) -> str | None:
    """
    The address of a range that holds one.

    >>> single("10.0.0.7/32"), single("10.0.0.0/31")
    ('10.0.0.7', None)
    """
    if not cidr:
        return None
    network = ipaddress.ip_network(cidr)
    return str(network.network_address) if network.num_addresses == 1 else None


def microseconds(time: datetime | None) -> int | None:
    """UTC microseconds; None for a year in which no cloud was, or will be."""
    if time is None or time.year not in _YEARS:
        return None
    return (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


_YEARS: Final = range(1990, 2200)


def reader(of: type[T]) -> "msgspec.json.Decoder[T]":
    """Decoder of objects of one resource; `Ip` and `Cidr` are checked."""
    return msgspec.json.Decoder(of, strict=True, dec_hook=_checked)


def read(readers: dict[str, "msgspec.json.Decoder[Any]"], key: Key, text: bytes) -> Any:
    """
    An object, decoded as its resource's are; None for a resource that is not read.

    Raises
    ------
    ObjectError
        Names the object and what is wrong.
    """
    decoder = readers.get(key.resource)
    if decoder is None:
        return None
    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ObjectError(f"{key.resource} {key.uid}: {error}") from error


class Objects(Generic[T]):
    """Objects of one source, by key and by name, and who reads whom."""

    def __init__(self) -> None:
        self._objects: dict[Key, T] = {}
        self._names: dict[Key, tuple[str, ...]] = {}
        self._reads: dict[Key, tuple[str, ...]] = {}
        self._named: dict[str, dict[Key, None]] = {}
        self._readers: dict[str, dict[Key, None]] = {}

    def put(
        self, key: Key, one: T, names: Iterable[str] = (), reads: Iterable[str] = ()
    ) -> set[Key]:
        """Keep an object, found by its uid and ``names``; returns who may claim otherwise now."""
        changed = self.remove(key)
        self._objects[key] = one
        self._names[key] = tuple(dict.fromkeys((key.uid, *names)))
        self._reads[key] = tuple(dict.fromkeys(reads))
        for name in self._names[key]:
            self._named.setdefault(name, {})[key] = None
        for name in self._reads[key]:
            self._readers.setdefault(name, {})[key] = None
        return changed | self._reach(key)

    def remove(self, key: Key) -> set[Key]:
        """Forget an object; returns who may claim otherwise now."""
        if key not in self._objects:
            return set()
        changed = self._reach(key)
        del self._objects[key]
        for name in self._names.pop(key):
            _drop(self._named, name, key)
        for name in self._reads.pop(key):
            _drop(self._readers, name, key)
        return changed

    def _reach(self, key: Key) -> set[Key]:
        """The object, who reads it, who reads those..."""
        changed = {key}
        rest = [key]
        while rest:
            for name in self._names[rest.pop()]:
                new = self._readers.get(name, {}).keys() - changed
                changed |= new
                rest += new
        return changed

    def get(self, key: Key) -> T | None:
        """The object, if it is there."""
        return self._objects.get(key)

    def find(self, name: str) -> list[tuple[Key, T]]:
        """Objects of that name, the first known first."""
        return [(key, self._objects[key]) for key in self._named.get(name, ())]


def _drop(index: dict[str, dict[Key, None]], name: str, key: Key) -> None:
    keys = index[name]
    keys.pop(key, None)
    if not keys:
        del index[name]
