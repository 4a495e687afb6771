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

Source: envoy/data/accesslog/v3/accesslog.proto; partial_messages.py.
Before: als.py, otlp.py, hubble.py; redact.py. After: batch.py.
"""

from collections.abc import Callable, MutableMapping
from typing import Any

from envoy.service.accesslog.v3 import als_pb2
from google.protobuf.message import DecodeError

from collectors.partial_messages import HUBBLE, OTLP
from collectors.redact import HEALTH_CHECK_AGENT, Redactor

Redaction = Callable[[bytes], bytes]


class UnreadableError(Exception):
    """Bytes that are no message of this kind, so nothing can be left out of them."""


def als(redactor: Redactor) -> Redaction:
    """Redaction of a StreamAccessLogsMessage."""

    def change(message: Any) -> bool:
        changed = False
        for entry in message.http_logs.log_entry:
            changed |= _envoy_common(redactor, entry.common_properties)
            changed |= _envoy_request(redactor, entry.request)
            changed |= _headers(redactor, entry.response.response_headers)
            changed |= _headers(redactor, entry.response.response_trailers)
        for entry in message.tcp_logs.log_entry:
            changed |= _envoy_common(redactor, entry.common_properties)
        return changed

    return _redaction(redactor, als_pb2.StreamAccessLogsMessage, change)


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


def _envoy_request(redactor: Redactor, request: Any) -> bool:
    changed = _text(redactor, request, "path") | _text(redactor, request, "original_path")
    for field in ("user_agent", "referer", "forwarded_for"):
        value = getattr(request, field)
        if value:
            treated = _treated(redactor, redactor.of_field(field), value)
            if treated != value:
                setattr(request, field, treated or "")
                changed = True
    return _headers(redactor, request.request_headers) or changed


def _envoy_common(redactor: Redactor, common: Any) -> bool:
    changed = False
    if common.custom_tags:
        changed = _map(redactor, common.custom_tags, redactor.of_field)
    if common.HasField("metadata") and not redactor.keeps_all_metadata:
        for of_filter in (common.metadata.filter_metadata, common.metadata.typed_filter_metadata):
            for name in [name for name in of_filter if not redactor.keeps_metadata(name)]:
                del of_filter[name]
                changed = True
    return changed


def _headers(redactor: Redactor, headers: MutableMapping[str, str]) -> bool:
    return bool(headers) and _map(redactor, headers, redactor.of_header)


def _map(
    redactor: Redactor, values: MutableMapping[str, str], treatment: Callable[[str], str]
) -> bool:
    changed = False
    for name, value in list(values.items()):
        treated = _treated(redactor, treatment(name), value)
        if treated is None:
            del values[name]
            changed = True
        elif treated != value:
            values[name] = treated
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
