"""Envelopes on disk: order, bound, and what outlives a process."""

import subprocess
import sys
import textwrap

import pytest

from collectors.config import SpoolConfig
from collectors.log import LogError
from collectors.spool import Spool

MIB = 1 << 20


def _config(tmp_path, policy="drop_oldest"):
    return SpoolConfig(directory=str(tmp_path), max_bytes=MIB, policy=policy)


def _waiting(spool):
    return [(message.key, message.value) for message in spool.peek(1 << 30)]


def _drain(spool):
    first_bytes = []
    while messages := spool.peek(MIB):
        first_bytes += [message.value[0] for message in messages]
        spool.done(messages[-1].offset)
    return first_bytes


def test_what_was_put_first_comes_first_and_stays_until_it_is_done(tmp_path):
    """Looking takes nothing away."""
    spool = Spool(tmp_path, _config(tmp_path))
    assert spool.put(b"t1", b"one") == []
    assert spool.put(b"t2", b"two") == []
    assert _waiting(spool) == [(b"t1", b"one"), (b"t2", b"two")]
    assert _waiting(spool) == [(b"t1", b"one"), (b"t2", b"two")]
    spool.done(spool.peek(MIB)[0].offset)
    assert _waiting(spool) == [(b"t2", b"two")]
    assert len(spool) == 1
    spool.put(b"t3", b"three")
    spool.done(spool.peek(MIB)[-1].offset)
    assert _waiting(spool) == [(b"t3", b"three")]
    spool.done(spool.peek(MIB)[-1].offset)
    assert (len(spool), spool.byte_count, _waiting(spool)) == (0, 0, [])
    spool.close()


def test_a_new_process_goes_on_where_the_last_one_stopped(tmp_path):
    """What was done stays done, what waited still waits."""
    spool = Spool(tmp_path, _config(tmp_path))
    for n in range(5):
        spool.put(b"t", b"%d" % n)
    spool.done(spool.peek(MIB)[1].offset)
    bytes_before = spool.byte_count
    spool.close()
    spool = Spool(tmp_path, _config(tmp_path))
    assert [value for _, value in _waiting(spool)] == [b"2", b"3", b"4"]
    assert spool.byte_count == bytes_before
    spool.close()


def test_at_the_bound_the_oldest_go_and_are_given_back(tmp_path):
    """``drop_oldest`` keeps the newest, on no more disk than allowed."""
    spool = Spool(tmp_path, _config(tmp_path))
    lost = []
    for n in range(30):
        lost += spool.put(b"t", bytes([n]) * 100_000)
        used = sum(path.stat().st_size for path in (tmp_path / "spool").rglob("*.log"))
        assert used <= MIB
    assert _drain(spool) == list(range(21, 30))
    assert [message.value[0] for message in lost] == list(range(21))
    spool.close()


def test_at_the_bound_the_newest_is_refused_if_so_configured(tmp_path):
    """``drop_newest`` keeps what came first."""
    spool = Spool(tmp_path, _config(tmp_path, "drop_newest"))
    lost = [spool.put(b"t", bytes([n]) * 100_000) for n in range(30)]
    assert _drain(spool) == list(range(9))
    assert lost[:9] == [[]] * 9
    assert [one[0].value[0] for one in lost[9:]] == list(range(9, 30))
    spool.close()


def test_an_envelope_larger_than_the_spool_is_refused(tmp_path):
    """It is given back as lost, and so are those that made room in vain."""
    spool = Spool(tmp_path, _config(tmp_path))
    spool.put(b"t", b"small")
    assert spool.put(b"t", b"x" * 2 * MIB)[-1].value == b"x" * 2 * MIB
    spool.close()


def test_two_agents_cannot_share_a_spool(tmp_path):
    """The second is told who has it."""
    spool = Spool(tmp_path, _config(tmp_path))
    with pytest.raises(LogError, match="has a writer already"):
        Spool(tmp_path, _config(tmp_path))
    spool.close()


def test_a_damaged_position_says_what_to_do(tmp_path):
    """It is not guessed: that would repeat or lose a whole spool in silence."""
    spool = Spool(tmp_path, _config(tmp_path))
    spool.put(b"t", b"one")
    spool.close()
    (tmp_path / "shipped.json").write_text("{")
    with pytest.raises(LogError, match="remove the file"):
        Spool(tmp_path, _config(tmp_path))


WRITER = """
    import os, signal, sys
    from pathlib import Path
    from collectors.config import SpoolConfig
    from collectors.spool import Spool

    folder = Path(sys.argv[1])
    spool = Spool(folder, SpoolConfig(directory=str(folder), max_bytes=1 << 20))
    for n in range(10):
        spool.put(b"t", b"%d" % n)
    spool.done(spool.peek(1 << 20)[3].offset)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_put_and_done_outlives_kill_9(tmp_path):
    """Nothing waits for an orderly end; a torn last envelope is cut off."""
    arguments = [sys.executable, "-c", textwrap.dedent(WRITER), str(tmp_path)]
    assert subprocess.run(arguments, check=False).returncode == -9
    newest = max((tmp_path / "spool").rglob("*.log"))
    with newest.open("ab") as file:
        file.write(b"torn")
    spool = Spool(tmp_path, _config(tmp_path))
    assert [value for _, value in _waiting(spool)] == [b"4", b"5", b"6", b"7", b"8", b"9"]
    spool.close()
