"""Response flags: the table agrees with Envoy's own message, and says whom each points at."""

from envoy.data.accesslog.v3 import accesslog_pb2

from pipeline.decode.response_flags import BLAMES, FLAGS


def test_every_flag_of_envoys_message_is_known_by_its_number():
    """Numbers and names are those of accesslog.proto."""
    fields = {field.number: field.name for field in accesslog_pb2.ResponseFlags.DESCRIPTOR.fields}
    assert {flag.field: flag.name for flag in FLAGS if flag.field} == fields


def test_every_flag_points_at_a_side_that_is_explained():
    """Short forms are unique, blames are of the fixed list and all in use."""
    assert len({flag.short for flag in FLAGS}) == len(FLAGS)
    assert {flag.blame for flag in FLAGS} == set(BLAMES)
