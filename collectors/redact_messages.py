"""
Private parts of protobuf messages, left out or hashed: Envoy's, OpenTelemetry's, Hubble's.

A message is written anew only when something in it had to change. Fields this
program does not know are kept as they came.

A message that cannot be read may hold anything: it raises `UnreadableError`,
and its input drops it as ``redact_failed``. Only an input that is told to keep
everything passes such bytes on.

    Envoy      path, original_path: query. headers, trailers: by name.
               user_agent, referer, forwarded_for, tags: by name. Values of
               headers and tags that are kept: query. Dynamic metadata: by the
               filter's name. What a filter stated for the log (filter state)
               is kept.
    OTLP       attributes of records, scopes and resources: by name, and the
               query in every text. A body is treated as a line is.
    Hubble     HTTP: URL and summary: query. Headers: by name.

Source: partial_messages.py.
Before: als.py, otlp.py, hubble.py; redact.py. After: batch.py.
"""

from collections.abc import Callable
from typing import Any, Final

from google.protobuf.message import DecodeError

from collectors.partial_messages import ENVOY, HUBBLE, OTLP
from collectors.redact import HEALTH_CHECK_AGENT, Redactor

Redaction = Callable[[bytes], bytes]

_NAMED: Final = ("user_agent", "referer", "forwarded_for")
"""Fields of Envoy's requests that are treated by their names."""


class UnreadableError(Exception):
    """Bytes that are no message of this kind, so nothing can be left out of them."""


def als(redactor: Redactor) -> Redaction:
    """Redaction of a StreamAccessLogsMessage."""

    def change(message: Any) -> bool:
        changed = False
        for entry in message.http_logs.log_entry:
            changed |= _envoy_http(redactor, entry)
            changed |= _envoy_common(redactor, entry.common_properties)
        for entry in message.tcp_logs.log_entry:
            changed |= _envoy_common(redactor, entry.common_properties)
        return changed

    return _redaction(redactor, ENVOY["StreamAccessLogsMessage"], change)


def otlp(redactor: Redactor) -> Redaction:
    """Redaction of an ExportLogsServiceRequest."""

    def change(message: Any) -> bool:
        changed = False
        for of_resource in message.resource_logs:
            changed |= _attributes(redactor, of_resource.resource.attributes)
            for of_scope in of_resource.scope_logs:
                changed |= _attributes(redactor, of_scope.scope.attributes)
                for record in of_scope.log_records:
                    changed |= _attributes(redactor, record.attributes)
                    changed |= _any_value(redactor, record.body, _line)
        return changed

    return _redaction(redactor, OTLP["ExportLogsServiceRequest"], change)


def hubble(redactor: Redactor) -> Redaction:
    """Redaction of a GetFlowsResponse."""

    def change(message: Any) -> bool:
        flow = message.flow
        changed = _text(redactor, flow, "summary")
        if not flow.HasField("l7") or not flow.l7.HasField("http"):
            return changed
        http = flow.l7.http
        changed |= _text(redactor, http, "url")
        for header in http.headers:
            value = _treated(redactor, redactor.of_header(header.key), header.value)
            if value != header.value:
                header.value = value or ""
                changed = True
        return changed

    return _redaction(redactor, HUBBLE["GetFlowsResponse"], change)


def _redaction(redactor: Redactor, kind: Any, change: Callable[[Any], bool]) -> Redaction:
    def redact(payload: bytes) -> bytes:
        try:
            message = kind.FromString(payload)
        except DecodeError as error:
            raise UnreadableError(str(error)) from error
        return bytes(message.SerializeToString()) if change(message) else payload

    return bytes if redactor.keeps_all else redact


def _treated(redactor: Redactor, treatment: str, value: str) -> str | None:
    """Value as it goes on; None when it does not."""
    if treatment == "keep" or value == HEALTH_CHECK_AGENT:
        return redactor.text(value) if "?" in value else value
    return redactor.hash_text(value) if treatment == "hash" else None


def _text(redactor: Redactor, message: Any, field: str) -> bool:
    """Leave out the query string of one field."""
    value = getattr(message, field)
    if "?" not in value:
        return False
    text = redactor.text(value)
    setattr(message, field, text)
    return bool(text != value)


def _envoy_http(redactor: Redactor, entry: Any) -> bool:
    """Done 50,000 times a second: nothing is called for what is not there."""
    request, response = entry.request, entry.response
    changed = False
    if "?" in request.path:
        changed = _text(redactor, request, "path")
    if "?" in request.original_path:
        changed |= _text(redactor, request, "original_path")
    for field in _NAMED:
        if value := getattr(request, field):
            treated = _treated(redactor, redactor.of_field(field), value)
            if treated is None:
                request.ClearField(field)
                changed = True
            elif treated != value:
                setattr(request, field, treated)
                changed = True
    if headers := request.request_headers:
        changed |= _texts(redactor, headers, redactor.of_header)
    if headers := response.response_headers:
        changed |= _texts(redactor, headers, redactor.of_header)
    if headers := response.response_trailers:
        changed |= _texts(redactor, headers, redactor.of_header)
    return changed


def _envoy_common(redactor: Redactor, common: Any) -> bool:
    changed = False
    if common.custom_tags:
        changed = _texts(redactor, common.custom_tags, redactor.of_field)
    if common.HasField("metadata") and not redactor.keeps_all_metadata:
        for of_filter in (common.metadata.filter_metadata, common.metadata.typed_filter_metadata):
            for place in range(len(of_filter) - 1, -1, -1):
                if not redactor.keeps_metadata(of_filter[place].key):
                    del of_filter[place]
                    changed = True
    return changed


def _texts(redactor: Redactor, texts: Any, treatment: Callable[[str], str]) -> bool:
    """Treat the texts of a map by their keys."""
    changed = False
    for place in range(len(texts) - 1, -1, -1):
        text = texts[place]
        treated = _treated(redactor, treatment(text.key), text.value)
        if treated is None:
            del texts[place]
            changed = True
        elif treated != text.value:
            text.value = treated
            changed = True
    return changed


def _attributes(redactor: Redactor, attributes: Any) -> bool:
    changed = False
    for place in range(len(attributes) - 1, -1, -1):
        attribute = attributes[place]
        treatment = redactor.of_field(attribute.key)
        if treatment == "keep" or attribute.value.string_value == HEALTH_CHECK_AGENT:
            changed |= _any_value(redactor, attribute.value, Redactor.text)
            continue
        changed = True
        if treatment == "hash" and attribute.value.WhichOneof("value") == "string_value":
            attribute.value.string_value = redactor.hash_text(attribute.value.string_value)
        else:
            del attributes[place]
    return changed


def _any_value(redactor: Redactor, value: Any, treat: Callable[[Redactor, str], str]) -> bool:
    kind = value.WhichOneof("value")
    changed = False
    if kind == "string_value":
        text = treat(redactor, value.string_value)
        changed = text != value.string_value
        value.string_value = text
    elif kind == "bytes_value":
        treated = redactor.line(value.bytes_value)
        changed = treated != value.bytes_value
        value.bytes_value = treated
    elif kind == "kvlist_value":
        changed = _attributes(redactor, value.kvlist_value.values)
    elif kind == "array_value":
        for one in value.array_value.values:
            changed |= _any_value(redactor, one, treat)
    return changed


def _line(redactor: Redactor, text: str) -> str:
    return redactor.line(text.encode()).decode()
