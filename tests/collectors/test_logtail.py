"""Lines of files that grow, rotate, are cut, and outlive the agent."""

import gzip
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors import envelope as envelopes
from collectors.batch import Batcher
from collectors.config import BatchConfig, TailInput
from collectors.envelope import Header
from collectors.log import Place
from collectors.log.local import LocalReader, LocalWriter
from collectors.logtail import LineSplitter, follow, read_lines
from collectors.ship import Shipper

HEADER = Header(agent="a", cluster="east", network="n", kind="access_log", epoch_ns=1)
PLACE = Place("crosspane.v1.proxy.east", 0)


class _Tail:
    """A follower, and the log it ships to."""

    def __init__(self, folder: Path, pattern: str = "*.log", **settings: object) -> None:
        self.folder = folder
        values = {
            "paths": (str(folder / pattern),),
            "poll_ms": 5,
            "rotate_wait_ms": 50,
            "position_file": str(folder / "state" / "positions.json"),
            **settings,
        }
        self.config = TailInput(**values)

    def __enter__(self) -> Self:
        self.batcher = Batcher(HEADER, BatchConfig(max_age_ms=5))
        self.log = LocalWriter(self.folder / "the-log")
        self.shipper = Shipper(self.log, key=b"a")
        self.shipper.start()
        self.stop = threading.Event()
        self.errors: list[BaseException] = []
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()
        return self

    def _follow(self) -> None:
        try:
            follow(self.config, self.batcher, self.shipper, self.stop)
        except BaseException as error:
            self.errors.append(error)
            raise

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(10)
        self.shipper.close()
        self.log.close()
        assert self.errors == []

    def found(self) -> list[envelopes.Envelope]:
        return _found(self.folder)

    def lines(self) -> list[bytes]:
        return [line for one in self.found() for line in one.payloads["payload"].to_pylist()]

    def wait(self, *lines: bytes) -> None:
        deadline = time.monotonic() + 10
        while self.lines() != list(lines):
            assert time.monotonic() < deadline, self.lines()
            time.sleep(0.01)


def _found(folder):
    with LocalReader(folder / "the-log") as reader:
        if PLACE not in reader.places("crosspane"):
            return []
        reader.seek({PLACE: 0})
        found = []
        while messages := reader.poll(1 << 30, 0):
            found += [envelopes.decode(message.value) for message in messages]
        return found


def _append(path, data):
    with path.open("ab") as file:
        file.write(data)


def test_lines_arrive_as_they_are_written(tmp_path):
    """Old lines and new ones, once each, named by their file."""
    path = tmp_path / "access.log"
    path.write_bytes(b'{"n": 1}\n{"n": 2}\n')
    with _Tail(tmp_path) as tail:
        tail.wait(b'{"n": 1}', b'{"n": 2}')
        _append(path, b'{"n": 3}\n\n   \n{"n": 4}\n')
        tail.wait(b'{"n": 1}', b'{"n": 2}', b'{"n": 3}', b'{"n": 4}')
        names = {name for one in tail.found() for name in one.payloads["exporter"].to_pylist()}
        assert names == {str(path)}


def test_a_line_waits_for_its_newline(tmp_path):
    """Half a line is no line, even when cut within a character."""
    path = tmp_path / "access.log"
    word = '{"path": "/größe"}'.encode()
    with _Tail(tmp_path) as tail:
        _append(path, b"first\n" + word[:13])
        tail.wait(b"first")
        time.sleep(0.05)
        assert tail.lines() == [b"first"]
        _append(path, word[13:] + b"\n")
        tail.wait(b"first", word)


def test_bytes_that_are_no_text_pass_through(tmp_path):
    """Nothing is decoded here."""
    with _Tail(tmp_path, exporter="proxy-1") as tail:
        _append(tmp_path / "access.log", b"\xff\xfe\x00\r\n")
        tail.wait(b"\xff\xfe\x00\r")
        assert tail.found()[0].payloads["exporter"].to_pylist() == ["proxy-1"]


def test_rename_and_create_loses_nothing_and_keeps_order(tmp_path):
    """The old file is read to its end, also what is written to it after the rename."""
    path = tmp_path / "access.log"
    _append(path, b"1\n")
    with _Tail(tmp_path, rotate_wait_ms=300) as tail:
        tail.wait(b"1")
        _append(path, b"2\n")
        with path.open("ab", buffering=0) as still_open:
            path.rename(tmp_path / "access.log.1")
            still_open.write(b"3\n")
            path.write_bytes(b"4\n")
            tail.wait(b"1", b"2", b"3", b"4")
            still_open.write(b"5\n")
            tail.wait(b"1", b"2", b"3", b"4", b"5")
        assert tail.batcher.lost == {}


def test_an_unfinished_last_line_of_a_rotated_file_is_handed_on(tmp_path):
    """Nobody will finish it; what it is worth is for the decoder to say."""
    path = tmp_path / "access.log"
    _append(path, b"1\n{half")
    with _Tail(tmp_path) as tail:
        tail.wait(b"1")
        path.rename(tmp_path / "access.old")
        tail.wait(b"1", b"{half")


def test_copy_and_truncate_starts_again(tmp_path):
    """A file smaller than what was read is a new one."""
    path = tmp_path / "access.log"
    _append(path, b"long first line\nsecond\n")
    with _Tail(tmp_path) as tail:
        tail.wait(b"long first line", b"second")
        os.truncate(path, 0)
        time.sleep(0.05)
        _append(path, b"third\n")
        tail.wait(b"long first line", b"second", b"third")


def test_a_truncated_file_that_grew_beyond_its_old_size_is_known_by_its_first_bytes(tmp_path):
    """Its size alone would tell nothing."""
    path = tmp_path / "access.log"
    _append(path, b"old 1\nold 2\n")
    with _Tail(tmp_path) as tail:
        tail.wait(b"old 1", b"old 2")
        with path.open("r+b") as file:  # at once, as between two looks
            file.write(b"new 1\nnew 2\nnew 3\n")
        tail.wait(b"old 1", b"old 2", b"new 1", b"new 2", b"new 3")


def test_lines_too_long_are_counted_and_skipped(tmp_path):
    """In memory there is never more than one line's limit of them."""
    path = tmp_path / "access.log"
    with _Tail(tmp_path, max_line_bytes=1024) as tail:
        _append(path, b"a\n" + b"x" * 1025 + b"\nb\n")
        tail.wait(b"a", b"b")
        _append(path, b"y" * 600_000)
        time.sleep(0.05)
        _append(path, b"y" * 600_000 + b"\n" + b"z" * 1024 + b"\n")
        tail.wait(b"a", b"b", b"z" * 1024)
        assert tail.batcher.lost == {"line_too_long": 2}
    told = sum((Counter(one.header.dropped) for one in tail.found()), Counter())
    assert told == {"line_too_long": 2}


def test_new_files_are_picked_up_and_compressed_ones_left_out(tmp_path):
    """A rotated file compressed beside the log is not a log of binary lines."""
    with _Tail(tmp_path, pattern="access*") as tail:
        _append(tmp_path / "access.1", b"1\n")
        tail.wait(b"1")
        (tmp_path / "access.2.gz").write_bytes(gzip.compress(b"0\n"))
        _append(tmp_path / "access.3", b"2\n")
        tail.wait(b"1", b"2")


def test_start_at_the_end_takes_only_what_comes(tmp_path):
    """For the first run only: later runs go on where the last one stopped."""
    path = tmp_path / "access.log"
    _append(path, b"old\n")
    with _Tail(tmp_path, start="end") as tail:
        time.sleep(0.05)
        _append(path, b"1\n")
        tail.wait(b"1")
    _append(path, b"2\n")
    with _Tail(tmp_path, start="end") as tail:
        tail.wait(b"1", b"2")


def test_a_restart_goes_on_with_line_and_number(tmp_path):
    """Positions and sequence numbers outlive the process; rotation meanwhile is no loss."""
    path = tmp_path / "access.log"
    _append(path, b"1\n2\nhalf")
    with _Tail(tmp_path) as tail:
        tail.wait(b"1", b"2")
    _append(path, b" a line\n3\n")
    path.rename(tmp_path / "access.log.1")
    _append(path, b"4\n")
    with _Tail(tmp_path) as tail:
        tail.wait(b"1", b"2", b"half a line", b"3", b"4")
    headers = [one.header for one in tail.found()]
    assert headers[-1].first_sequence + 1 <= 5
    assert len({header.epoch_ns for header in headers}) == 1


def test_an_inode_used_again_is_another_file(tmp_path):
    """A saved position is only for a file that still begins with the same bytes."""
    path = tmp_path / "access.log"
    _append(path, b"old 1\nold 2\n")
    with _Tail(tmp_path) as tail:
        tail.wait(b"old 1", b"old 2")
    with path.open("r+b") as file:
        file.write(b"new 1\nnew 2\nnew 3\n")
    with _Tail(tmp_path) as tail:
        tail.wait(b"old 1", b"old 2", b"new 1", b"new 2", b"new 3")


def test_a_batch_that_may_not_have_arrived_is_made_again_byte_for_byte(tmp_path):
    """Same agent, epoch and first sequence: its reader drops the second."""
    path = tmp_path / "access.log"
    _append(path, b"1\n" + b"x" * 2000 + b"\n2\n3\n")
    with _Tail(tmp_path, max_line_bytes=1024) as tail:
        tail.wait(b"1", b"2", b"3")
    state_path = tmp_path / "state" / "positions.json"
    state = json.loads(state_path.read_text())
    assert state["in_flight"] == []
    (file,) = state["files"]
    span = {**file, "begin": 0}  # as if killed before the batch was crossed out
    state["in_flight"] = [{"first_sequence": 0, "payloads": 3, "spans": [span]}]
    state_path.write_text(json.dumps(state))
    path.rename(tmp_path / "access.log.1")
    with _Tail(tmp_path, max_line_bytes=1024) as tail:
        tail.wait(b"1", b"2", b"3", b"1", b"2", b"3")
    first, second = tail.found()
    assert first.header == second.header
    assert first.header.dropped == {"line_too_long": 1}
    assert json.loads(state_path.read_text())["in_flight"] == []


def test_what_is_private_is_left_out_also_of_a_batch_that_is_made_again(tmp_path):
    """By default, and the same way each time: the same lines, in the same places."""
    path = tmp_path / "access.log"
    path.write_bytes(b'{"path":"/a?card=1"}\n"GET /b?card=2 HTTP/1.1" 200\n')
    shown = [b'{"path":"/a"}', b'"GET /b HTTP/1.1" 200']
    with _Tail(tmp_path) as tail:
        tail.wait(*shown)
    state_path = tmp_path / "state" / "positions.json"
    state = json.loads(state_path.read_text())
    (file,) = state["files"]
    span = {**file, "begin": 0}
    state["in_flight"] = [{"first_sequence": 0, "payloads": 2, "spans": [span]}]
    state_path.write_text(json.dumps(state))
    with _Tail(tmp_path) as tail:
        tail.wait(*shown, *shown)
        assert tail.batcher.lost == {}


def test_a_batch_whose_file_is_gone_is_counted(tmp_path):
    """What can neither be shown to have arrived nor be made again is ``file_gone``."""
    path = tmp_path / "access.log"
    _append(path, b"1\n2\n")
    with _Tail(tmp_path) as tail:
        tail.wait(b"1", b"2")
    state_path = tmp_path / "state" / "positions.json"
    state = json.loads(state_path.read_text())
    span = {**state["files"][0], "begin": 0}
    state["in_flight"] = [{"first_sequence": 0, "payloads": 2, "spans": [span]}]
    state_path.write_text(json.dumps(state))
    path.unlink()
    with _Tail(tmp_path) as tail:
        time.sleep(0.1)
    assert tail.lines() == [b"1", b"2"]
    assert tail.found()[-1].header.dropped == {"file_gone": 2}


def test_a_position_file_that_is_none_says_what_to_do(tmp_path):
    """It is not guessed: that would repeat all files in silence."""
    path = tmp_path / "positions.json"
    path.write_text("{")
    config = TailInput(paths=("/nowhere/*",), position_file=str(path))
    with pytest.raises(OSError, match="remove it to read all files again"):
        follow(config, Batcher(HEADER, BatchConfig()), None, threading.Event())


AGENT = """
    import sys, threading
    from pathlib import Path
    from collectors.agent import run
    from collectors.config import AgentConfig, BatchConfig, SpoolConfig, TailInput
    from collectors.log.local import LocalWriter

    folder = Path(sys.argv[1])
    config = AgentConfig(
        name="a", cluster="east", network="n",
        inputs=(TailInput(paths=(str(folder / "access*"),), poll_ms=1, rotate_wait_ms=2_000),),
        batch=BatchConfig(max_payloads=50, max_age_ms=1),
        spool=SpoolConfig(directory=str(folder / "state")),
    )
    with LocalWriter(folder / "the-log") as log:
        run(config, log, threading.Event(), spooling=False)
"""


def test_killed_at_any_moment_each_line_arrives_and_repeats_are_told_apart(tmp_path):
    """Kill -9, five times, while files grow and rotate: all lines, each number once."""
    path = tmp_path / "access.log"
    written = 0
    for round_number in range(5):
        agent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(AGENT), str(tmp_path)])
        deadline = time.monotonic() + 0.6 + 0.07 * round_number
        while time.monotonic() < deadline:
            _append(path, b"".join(b"line %d\n" % n for n in range(written, written + 40)))
            written += 40
            if written % 2000 == 0:
                path.rename(tmp_path / f"access.{written}")
            time.sleep(0.002)
        agent.send_signal(signal.SIGKILL)
        agent.wait()
    position_file = str(tmp_path / "state" / "east.a" / "positions.json")
    with _Tail(tmp_path, pattern="access*", position_file=position_file) as tail:
        lines: dict[int, bytes] = {}
        deadline = time.monotonic() + 20
        while len(lines) < written and time.monotonic() < deadline:
            time.sleep(0.1)
            lines = {}
            for one in tail.found():
                first = one.header.first_sequence
                for number, line in enumerate(one.payloads["payload"].to_pylist(), first):
                    assert lines.setdefault(number, line) == line
    assert sorted(lines) == list(range(written))
    assert sorted(lines.values()) == sorted(b"line %d" % n for n in range(written))
    assert len({one.header.epoch_ns for one in tail.found()}) == 1


def test_read_lines_reads_to_the_end_also_gzipped(tmp_path):
    """A file that does not grow: its last line needs no newline."""
    plain, zipped = tmp_path / "a.jsonl", tmp_path / "a.jsonl.gz"
    plain.write_bytes(b"1\n\n2\n3")
    zipped.write_bytes(gzip.compress(b"1\n\n2\n3"))
    assert list(read_lines(plain)) == [b"1", b"2", b"3"]
    assert list(read_lines(zipped)) == [b"1", b"2", b"3"]
    skipped = Counter()
    plain.write_bytes(b"x" * 2000 + b"\nok\n" + b"y" * 2000)
    assert list(read_lines(plain, 1000, skipped)) == [b"ok"]
    assert skipped == {"line_too_long": 2}


def test_a_torn_gzip_file_yields_its_lines_and_then_an_oserror(tmp_path):
    """Not an EOFError, which looks like an orderly end."""
    path = tmp_path / "a.log.gz"
    path.write_bytes(gzip.compress(b"1\n2\n" * 1000)[:-10])
    with pytest.raises(OSError, match="ended before"):
        list(read_lines(path))


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40)), st.integers(1, 50))
def test_lines_do_not_depend_on_how_the_bytes_came(pieces, limit):
    """Any bytes in any pieces: each byte is in one line, one skipped line, or the rest."""
    splitter = LineSplitter(limit)
    whole = b"".join(pieces)
    kept, byte_count = [], 0
    for piece in pieces:
        skipped, lines = splitter.feed(piece)
        byte_count += skipped + sum(len(line) + 1 for line in lines)
        kept += [line for line in lines if len(line) <= limit]
        assert len(splitter.rest) <= limit
        assert byte_count + splitter.pending_bytes <= len(whole)
    assert byte_count + splitter.pending_bytes == len(whole)
    assert kept == [line for line in whole.split(b"\n")[:-1] if len(line) <= limit]
