"""
What could not be decoded, why, and the bytes.

A reject is data: one row with a reason of the fixed list below, the raw bytes
(cut at `RAW_BYTES`) and where in the log they stand, so that a mended decoder
can be proved by replay. A reason is never built from input.

Before: decode/. After: lake.py (table ``rejects``).
"""

from enum import StrEnum
from typing import Final

import polars as pl

RAW_BYTES: Final = 2_048
"""Raw bytes kept of one reject; ``raw_length`` says how many there were."""


class Reason(StrEnum):
    """Every reason for a reject. Add one here, with a test that triggers it."""

    ENVELOPE_MALFORMED = "envelope_malformed"
    ENVELOPE_VERSION = "envelope_version"
    ENVELOPE_TOO_LARGE = "envelope_too_large"
    CLUSTER_MISMATCH = "cluster_mismatch"  # the topic names another cluster than the envelope
    PAYLOAD_EMPTY = "payload_empty"
    VERSION_UNKNOWN = "version_unknown"  # first two bytes name no export protocol we know
    HEADER_TRUNCATED = "header_truncated"
    LENGTH_MISMATCH = "length_mismatch"  # the header's length or count does not fit the bytes
    SET_LENGTH = "set_length"  # a set shorter than its header, or longer than its message
    SET_ID_RESERVED = "set_id_reserved"
    TEMPLATE_MALFORMED = "template_malformed"
    TEMPLATE_TOO_LARGE = "template_too_large"  # more fields or bytes than `decode` allows
    TEMPLATE_LIMIT = "template_limit"  # more templates or fields than one domain may have
    RECORD_TRUNCATED = "record_truncated"  # a set ends inside a record
    PENDING_LIMIT = "pending_limit"  # waited for a template too long, or too much waited
    STATE_LIMIT = "state_limit"  # more domains, fields or samplers than are remembered
    JSON_MALFORMED = "json_malformed"
    JSON_NOT_OBJECT = "json_not_object"
    PROTOBUF_MALFORMED = "protobuf_malformed"
    PROTOBUF_FIELDS = "protobuf_fields"  # more fields in one message than are read
    EXPOSITION_MALFORMED = "exposition_malformed"  # lines that are no sample, comment or blank
    LINE_TOO_LONG = "line_too_long"
    FORMAT_MISMATCH = "format_mismatch"  # not as the declared format, or any known, says
    FORMAT_UNUSABLE = "format_unusable"  # the declared format itself makes no sense
    FIELD_INVALID = "field_invalid"  # a value its field cannot have (a date, a number, an address)
    REQUIRED_MISSING = "required_missing"
    OBJECT_INVALID = "object_invalid"  # an object of an inventory source, not as those are


FRAME: Final = pl.Schema(
    {
        "vantage": pl.Int32(),  # index into `Decoded.vantages`; null where even that is unknown
        "payload": pl.Int32(),  # index into `Payloads`
        "reason": pl.String(),
        "detail": pl.String(),  # for people: lengths, ids, offsets; at most 200 characters
        "raw": pl.Binary(),
        "raw_length": pl.UInt32(),
    }
)
