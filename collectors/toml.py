"""
TOML to a typed struct, with errors in the words of the file.

msgspec says where and what; here the key's own documentation, from its
``Meta``, and what would be allowed are put beside it.

Before: nothing. After: config.py, and the pipeline's configuration.
"""

import difflib
import re
import tomllib
import types
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Meta

T = TypeVar("T")


class ConfigError(Exception):
    """The configuration cannot be used: names the key and what is allowed there."""


def decode_toml(data: bytes, of_type: type[T]) -> T:
    """
    TOML to a struct.

    >>> class Batch(msgspec.Struct):
    ...     size: Annotated[int, Meta(ge=1, description="payloads in a batch")] = 1
    >>> decode_toml(b"size = 0", Batch)
    Traceback (most recent call last):
    collectors.toml.ConfigError: size: expected `int` >= 1 (payloads in a batch)

    Raises
    ------
    ConfigError
        With the path of the key, what is allowed, and what it means.
    """
    try:
        raw = tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"not TOML: {error}") from error
    return checked(raw, of_type)


def checked(raw: object, of_type: type[T], *, strict: bool = True) -> T:
    """
    What a file says, decoded, to a struct; errors as those of `decode_toml`.

    Parameters
    ----------
    strict
        False: text that is a number stands for it, as in a file that has only text.
    """
    try:
        return msgspec.convert(raw, of_type, strict=strict)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(str(error), raw, of_type)) from error


_INVALID: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)


def _explain(message: str, raw: object, of_type: Any) -> str:
    """Say what msgspec said in the words of the file: key path, what is allowed, what it means."""
    match = _INVALID.match(message)
    what = match["what"] if match else message
    path = (match["path"] if match else "") or ""
    path = path.removeprefix("$").removeprefix(".")
    allowed_type, description = _walk(path, raw, of_type)
    unknown = re.search(r"unknown field `(.*)`", what)
    missing = re.search(r"missing required field `(.*)`", what)
    if unknown:
        keys = sorted(_fields(allowed_type))
        near = difflib.get_close_matches(unknown[1], keys, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{_join(path, unknown[1])}: no such key, allowed are {', '.join(keys)}{hint}"
    if missing:
        _, description = _walk(_join(path, missing[1]), raw, of_type)
        allowed = _choices(allowed_type) if missing[1] == "type" else ()
        text = f"{_join(path, missing[1])}: needed but missing"
    elif own := re.match(r"([a-z_]+): (.*)", what, re.DOTALL):  # raised in a __post_init__
        _, description = _walk(_join(path, own[1]), raw, of_type)
        allowed = ()
        text = f"{_join(path, own[1])}: {own[2]}"
    else:
        allowed = _choices(allowed_type) if what.startswith("Invalid") else ()
        text = f"{path or 'file'}: {what[:1].lower()}{what[1:]}"
    if allowed:
        text += f", allowed are {', '.join(map(repr, allowed))}"
    return f"{text} ({description})" if description else text


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _variants(of_type: Any) -> Iterator[Any]:
    """All types a value may have, with annotations and unions opened."""
    if get_origin(of_type) is Annotated:
        yield from _variants(get_args(of_type)[0])
    elif get_origin(of_type) in (Union, types.UnionType):
        for one in get_args(of_type):
            yield from _variants(one)
    else:
        yield of_type


def _structs(of_type: Any) -> list[type[msgspec.Struct]]:
    return [
        one
        for one in _variants(of_type)
        if isinstance(one, type) and issubclass(one, msgspec.Struct)
    ]


def _fields(of_type: Any) -> dict[str, Any]:
    return {
        field.encode_name: field.type
        for struct in _structs(of_type)
        for field in msgspec.structs.fields(struct)
    }


def _choices(of_type: Any) -> tuple[object, ...]:
    """Literals allowed, or the tags of a union of structs."""
    literals = [
        one for kind in _variants(of_type) if get_origin(kind) is Literal for one in get_args(kind)
    ]
    tags = [struct.__struct_config__.tag for struct in _structs(of_type)]
    return tuple(literals or (tag for tag in tags if tag is not None))


def _walk(path: str, raw: Any, of_type: Any) -> tuple[Any, str]:
    """Type and description of the key at ``path``, as far as it can be followed."""
    description = ""
    for step in re.findall(r"\[[0-9.]+\]|[^.\[\]]+", path):
        if step.startswith("["):
            items = [get_args(one)[0] for one in _variants(of_type) if get_origin(one) is tuple]
            if not items or not step[1:-1].isdigit():
                return None, description
            of_type, raw = items[0], raw[int(step[1:-1])]
            continue
        structs = _structs(of_type)
        tag = raw.get("type") if isinstance(raw, dict) else None
        tagged = [one for one in structs if one.__struct_config__.tag == tag]
        if step == "type" and step not in _fields(of_type):
            return of_type, description
        of_type = _fields(tagged[0] if tagged else of_type).get(step)
        raw = raw.get(step) if isinstance(raw, dict) else None
        notes = getattr(of_type, "__metadata__", ())
        description = next(
            (m.description for m in notes if isinstance(m, Meta) and m.description), ""
        )
    structs = _structs(of_type)
    tag = raw.get("type") if isinstance(raw, dict) else None
    tagged = [one for one in structs if one.__struct_config__.tag == tag]
    return (tagged[0] if tagged else of_type), description
