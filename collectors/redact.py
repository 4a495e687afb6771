"""
Private parts of lines and texts, left out or hashed before anything is shipped.

    {"path":"/pay?card=4929","user_agent":"curl"}   →  {"path":"/pay","user_agent":null}
    "GET /pay?card=4929 HTTP/1.1" 200               →  "GET /pay HTTP/1.1" 200

What a query string, a header or a field is, `collectors.config.Redact` says.
Lines are worked on as bytes, a block at a time: bytes that are no JSON, no
UTF-8 or no log at all are lines too. Whatever a line holds:

- from a question mark on, what belongs to the same string or word is gone.
  That is more than query strings; a text with a question in it is cut as well.
- a line stays one line, and JSON stays JSON: only whole characters and whole
  escapes inside of strings, and whole values, are replaced.

In a line of text a field has no name. Its place is known in the formats that
Envoy, Istio and Kuma use by default, so there ``user_agent`` and ``x_forwarded_for``
are treated; elsewhere leave them out of the format.

A hash is BLAKE2b with the configured key, 16 hexadecimal digits: equal values
stay equal, and nobody without the key can try out values.

Before: logtail.py. After: batch.py. Messages of protobuf: redact_messages.py.
"""

import fnmatch
import hashlib
import re
import string
from collections.abc import Callable, Iterable
from itertools import compress
from typing import Final

from collectors.config import Redact
from collectors.config.redact import Treatment

HEALTH_CHECK_AGENT: Final = "Envoy/HC"
"""User agent of Envoy's own health checks: nobody's, and what tells them from traffic; it stays."""

_QUERY_NAMES: Final = ("query", "query_string", "url.query")
"""Fields that hold a query string without its question mark."""
_HEADER_PREFIXES: Final = ("http.request.header.", "http.response.header.")
"""Of attributes that are headers, by OpenTelemetry's conventions."""
_NAMES_KEPT: Final = 10_000
_PLAIN: Final = bytes.maketrans(
    string.ascii_uppercase.encode() + b"-", string.ascii_lowercase.encode() + b"_"
)

# No pattern is tried at more places of a line than it can afford to look on from: a line has up
# to half a megabyte, and its writer may be hostile. None crosses the end of a line.
_GAP: Final = rb"[ \t\r]*"
_STRING: Final = rb'"(?:[^"\\\n]|\\.)*+"?'
_JSON_REST: Final = rb'((?:[^"\\\n ]++|\\.| (?!HTTP/[0-9.]{1,3}(?:"|$)))*+)'
"""To the end of a string, or to the protocol when a request line ends it."""
_JSON_LINE: Final = re.compile(rb'[^"\n]*\{[ \t\r]*(?:"|\}|$)')
_JSON_QUERY: Final = re.compile(rb"()\?" + _JSON_REST, re.MULTILINE)
_JSON_ESCAPED_QUERY: Final = re.compile(
    rb"(\\(?!u003[fF])[^\n])|(?:\?|\\u003[fF])" + _JSON_REST, re.MULTILINE
)
_TEXT_QUERY: Final = re.compile(
    rb'^([^"\n]*"[A-Z]+ [^?"\n]*)\?([^\n]*?)(?= HTTP/[0-9.]{1,3}"(?: |$))'  # the request line
    rb'|\?((?:[^"\s]|"(?!\s|$))*+)',
    re.MULTILINE,
)
_HEADER: Final = re.compile(
    rb'(\{%b"key"%b:%b")((?:[^"\\\n]|\\.)*+)("%b,%b"value"%b:%b")((?:[^"\\\n]|\\.)*+)(?="%b\})'
    % ((_GAP,) * 8)
)
_TOKEN: Final = re.compile(_STRING + rb"|[\[\]{}\n]")
_DEFAULT_OPENING: Final = re.compile(
    rb'(?:\S+ (?:std(?:out|err) [FP] )?)?\[[^\]"\n]*\] (?:"|([^\s"]+ "))'
)
"""
Of a line in Envoy's or Istio's own format, or in Kuma's, which names a mesh before the request;
also as a container's runtime or kubectl shows it.
"""
_AFTER_AGENT: Final = 3
"""Quoted texts after the user agent: request id, authority, upstream."""
_AFTER_AGENT_KUMA: Final = 7
"""Trace id, request id, authority, both services, source address, upstream."""
_NUMBERS: Final = re.compile(rb'(?: (?:[0-9]+|-)){4} "')
_VERSION: Final = re.compile(r" HTTP/[0-9.]{1,3}\Z")


class Redactor:
    """
    What is left out, by one input's configuration.

    Raises
    ------
    ConfigError
        When something is to be hashed and there is no key.
    """

    def __init__(self, config: Redact) -> None:
        self._key = config.key()
        self.query: Treatment = config.query
        self.headers: Treatment = config.headers
        self.fields: Treatment = config.field_treatment if config.fields else "keep"
        self.keeps_all_metadata = "*" in config.keep_metadata
        self._field_names = frozenset(map(_plain, config.fields))
        self._keep_headers = _any_of(config.keep_headers)
        self._keep_metadata = _any_of(config.keep_metadata)
        self._of_field: dict[str, Treatment] = {}
        self._of_header: dict[str, Treatment] = {}
        names = dict.fromkeys(_QUERY_NAMES, self.query)
        names |= {_plain(name): self.fields for name in config.fields}
        self._keys = {key.encode(): how for key, how in names.items() if how != "keep"}
        self._key_pattern = _key_pattern(self._keys)

    @property
    def keeps_all(self) -> bool:
        """Whether nothing is left out at all."""
        return {self.query, self.headers, self.fields} == {"keep"} and self.keeps_all_metadata

    def of_field(self, name: str) -> Treatment:
        """
        What is done with a field, tag or attribute of this name.

        >>> Redactor(Redact()).of_field("User-Agent"), Redactor(Redact()).of_field("route_name")
        ('drop', 'keep')
        """
        found = self._of_field.get(name)
        if found is None:
            found = self._treatment(_plain(name))
            _remember(self._of_field, name, found)
        return found

    def _treatment(self, plain: str) -> Treatment:
        if plain in self._field_names:
            return self.fields
        if plain in _QUERY_NAMES:
            return self.query
        for prefix in _HEADER_PREFIXES:
            if plain.startswith(prefix):
                return self.of_header(plain[len(prefix) :].replace("_", "-"))
        return "keep"

    def of_header(self, name: str) -> Treatment:
        """What is done with the value of a header of this name."""
        found = self._of_header.get(name)
        if found is None:
            if _plain(name) in self._field_names and self.fields != "keep":
                found = self.fields
            else:
                found = "keep" if self._keep_headers(name.lower()) else self.headers
            _remember(self._of_header, name, found)
        return found

    def keeps_metadata(self, name: str) -> bool:
        """Whether the dynamic metadata of this filter is kept."""
        return self._keep_metadata(name.lower())

    def hash(self, value: bytes) -> bytes:
        """Hash with the key: 16 hexadecimal digits."""
        return hashlib.blake2b(value, digest_size=8, key=self._key).hexdigest().encode()

    def hash_text(self, value: str) -> str:
        """Hash of a text."""
        return self.hash(value.encode("utf-8", "surrogatepass")).decode()

    def text(self, value: str) -> str:
        """
        Leave out the query string of a path, a URL, or a request line.

        >>> Redactor(Redact()).text("GET /pay?card=4929 HTTP/1.1")
        'GET /pay HTTP/1.1'
        """
        place = value.find("?")
        if place < 0 or self.query == "keep":
            return value
        version = _VERSION.search(value, place) if " HTTP/" in value else None
        end = version.start() if version else len(value)
        mark = "?" + self.hash_text(value[place + 1 : end]) if self.query == "hash" else ""
        return value[:place] + mark + value[end:]

    def line(self, line: bytes) -> bytes:
        """One line, or a text of several."""
        return b"\n".join(self.lines(line.split(b"\n")))

    def lines(self, lines: list[bytes]) -> list[bytes]:
        """
        As many lines, in the same order, without what is private in them.

        >>> Redactor(Redact()).lines([b'{"url":"http://a/b?c","user_agent":"d"}'])
        [b'{"url":"http://a/b","user_agent":null}']
        """
        if not lines or self.keeps_all:
            return lines
        if all(line.startswith(b"{") for line in lines):
            return self._json(b"\n".join(lines)).split(b"\n")
        are_json = [_JSON_LINE.match(line) is not None for line in lines]
        as_json = self._json(b"\n".join(compress(lines, are_json))).split(b"\n")
        are_text = [not is_json for is_json in are_json]
        as_text = self._text(b"\n".join(compress(lines, are_text))).split(b"\n")
        json_lines, text_lines = iter(as_json), iter(as_text)
        return [next(json_lines if is_json else text_lines) for is_json in are_json]

    def _json(self, block: bytes) -> bytes:
        if self._keys:
            block = self._replace_values(block)
        if self.headers != "keep" and b'"headers"' in block:
            block = _HEADER.sub(self._header, block)
        if self.query == "keep":
            return block
        pattern = _JSON_ESCAPED_QUERY if b"\\u003" in block else _JSON_QUERY
        if self.query == "drop":
            return pattern.sub(rb"\1", block)
        return pattern.sub(lambda found: found[1] or self._mark(found[2]), block)

    def _text(self, block: bytes) -> bytes:
        if self.fields != "keep":
            block = b"\n".join(map(self._default_format, block.split(b"\n")))
        if self.query == "keep":
            return block
        if self.query == "drop":
            return _TEXT_QUERY.sub(rb"\1", block)
        return _TEXT_QUERY.sub(
            lambda found: (found[1] or b"") + self._mark(found[2] or found[3] or b""), block
        )

    def _mark(self, query: bytes) -> bytes:
        return b"?" + self.hash(query)

    def _replace_values(self, block: bytes) -> bytes:
        """Put null, or a hash, in place of the values of keys that are to go."""
        kept = []
        place = 0
        for found in self._key_pattern.finditer(block.translate(_PLAIN)):
            if found.start() < place:  # within a value that is gone
                continue
            begin, end = found.span(2)
            if block[begin:end].strip(b'"') == HEALTH_CHECK_AGENT.encode():
                continue
            kept.append(block[place:begin])
            place = end
            if block[begin] in b"[{":
                place = _end_of_value(block, begin)
            if self._keys[found[1]] == "hash" and block[begin] in b'"':
                kept.append(b'"' + self.hash(block[begin:place].strip(b'"')) + b'"')
            else:
                kept.append(b"null")
        kept.append(block[place:])
        return b"".join(kept)

    def _header(self, found: "re.Match[bytes]") -> bytes:
        """Of a header as Hubble writes it: {"key":"Cookie","value":"..."}."""
        treatment = self.of_header(found[2].decode("utf-8", "replace"))
        if treatment == "keep":
            return found[0]
        value = self.hash(found[4]) if treatment == "hash" else b""
        return found[1] + found[2] + found[3] + value

    def _default_format(self, line: bytes) -> bytes:
        """... 0 95 3 2 "forwarded for" "user agent" "request id" "authority" "upstream" ..."""
        opening = _DEFAULT_OPENING.match(line)
        if opening is None:
            return line
        after = 2 * (_AFTER_AGENT_KUMA if opening[1] else _AFTER_AGENT)
        parts = line.rsplit(b'"', after)
        numbers = _NUMBERS.search(parts[0])
        if numbers is None or len(parts) <= after or set(parts[2:after:2]) != {b" "}:
            return line
        middle = parts[0][numbers.end() :].removesuffix(b'" ')
        forwarded_for, _, agent = middle.partition(b'" "')
        values = [
            value if value in {b"-", HEALTH_CHECK_AGENT.encode()} else self._field(name, value)
            for name, value in (("x_forwarded_for", forwarded_for), ("user_agent", agent))
        ]
        parts[0] = parts[0][: numbers.end()] + b'" "'.join(values) + b'" '
        return b'"'.join(parts)

    def _field(self, name: str, value: bytes) -> bytes:
        treatment = self.of_field(name)
        if treatment == "keep":
            return value
        return self.hash(value) if treatment == "hash" else b"-"


def _remember(known: dict[str, Treatment], name: str, treatment: Treatment) -> None:
    if len(known) >= _NAMES_KEPT:  # clients choose them
        known.clear()
    known[name] = treatment


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _any_of(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """Test of a name: '*' stands for anything."""
    joined = "|".join(fnmatch.translate(pattern.lower()) for pattern in patterns)
    matches = re.compile(joined or r"(?!)").match
    return lambda name: matches(name) is not None


def _key_pattern(names: Iterable[bytes]) -> "re.Pattern[bytes]":
    """
    Key of a JSON line as `_PLAIN` makes it, and the value that comes then.

    That is a scalar, or the bracket that begins a nested value.
    """
    joined = b"|".join(map(re.escape, names))
    return re.compile(rb'"(%b)"%b:%b(%b|[\[{]|[^\s",\[\]{}]+)' % (joined, _GAP, _GAP, _STRING))


def _end_of_value(block: bytes, begin: int) -> int:
    """Place after an object or array; the end of its line when it has no end."""
    depth = 0
    for token in _TOKEN.finditer(block, begin):
        if token[0] == b"\n":
            return token.start()
        depth += (token[0] in b"[{") - (token[0] in b"]}")
        if not depth:
            return token.end()
    return len(block)
