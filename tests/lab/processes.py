"""
Programs inside namespaces, by name.

What runs is also written to a file, so that a later command finds the
processes of a lab which an earlier one left running.

Before: netns.py. After: mesh.py.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

_STOP_SECONDS = 5.0
_FILE = "processes.json"


class LabError(RuntimeError):
    """The lab cannot run here, or one of its processes did not start."""


@dataclass(frozen=True)
class Program:
    """A process: where it runs, by which command, and its number."""

    namespace: str
    command: tuple[str, ...]
    pid: int

    def runs(self) -> bool:
        """Look whether the process is there, and no other that got its number."""
        try:
            line = Path(f"/proc/{self.pid}/cmdline").read_bytes()
        except OSError:
            return False
        return line.split(b"\0")[:-1] == [os.fsencode(word) for word in self.command]


class Processes:
    """
    Start, stop and restart programs; their output goes to NAME.out in `directory`.

    Parameters
    ----------
    keep
        Descriptors that every program inherits: a lock which is held as long
        as one of them runs.
    """

    def __init__(self, directory: Path, keep: tuple[int, ...] = ()) -> None:
        self.directory = directory
        self._keep = keep
        self._programs: dict[str, Program] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def load(self) -> None:
        """Take over what another process started in this directory."""
        text = (self.directory / _FILE).read_text()
        for name, program in json.loads(text).items():
            command = tuple(program["command"])
            self._programs[name] = Program(program["namespace"], command, program["pid"])

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of all programs, running or not, which begin so."""
        return [name for name in self._programs if name.startswith(prefix)]

    def command(self, name: str) -> tuple[str, ...]:
        """Return a program's command."""
        return self._programs[name].command

    def pid(self, name: str) -> int:
        """Return a program's process id."""
        return self._programs[name].pid

    def runs(self, name: str) -> bool:
        """Look whether a program runs."""
        if name in self._children:
            return self._children[name].poll() is None
        return self._programs[name].runs()

    def start(self, name: str, namespace: str, *command: str) -> None:
        """Start a program inside a namespace."""
        with (self.directory / f"{name}.out").open("ab") as output:
            child = subprocess.Popen(
                ["ip", "netns", "exec", namespace, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=self._keep,
            )
        self._children[name] = child
        self._programs[name] = Program(namespace, command, child.pid)
        self._save()

    def restart(self, name: str, *command: str) -> None:
        """Start a stopped program again, by another command if there is one."""
        old = self._programs[name]
        self.start(name, old.namespace, *(command or old.command))

    def stop(self, *names: str, by: signal.Signals = signal.SIGTERM) -> None:
        """Signal these programs, wait for each, kill what stays; they keep their names."""
        chosen = [name for name in names if name in self._programs]
        for name in chosen:
            self.signal(name, by)
        limit = time.monotonic() + _STOP_SECONDS
        for name in chosen:
            if not self._wait(name, limit):
                self.signal(name, signal.SIGKILL)
                self._wait(name, limit + _STOP_SECONDS)
            self._children.pop(name, None)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Signal a program, if it runs."""
        if self.runs(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._programs[name].pid, number)

    def expect(self, name: str, limit: float) -> None:
        """Wait a moment; LabError once the program is gone or `limit` has passed."""
        if not self.runs(name) or time.monotonic() > limit:
            output = (self.directory / f"{name}.out").read_text(errors="replace")
            raise LabError(f"{name} is not ready: {output[-2000:]}")
        time.sleep(0.05)

    def release(self) -> None:
        """Let all programs run on without this process."""
        for child in self._children.values():
            child.returncode = 0  # or Popen warns that it still runs
        self._children.clear()

    def _wait(self, name: str, limit: float) -> bool:
        while self.runs(name):
            if time.monotonic() > limit:
                return False
            time.sleep(0.02)
        return True

    def _save(self) -> None:
        file = self.directory / _FILE
        fresh = file.with_suffix(".new")
        fresh.write_text(json.dumps({n: asdict(p) for n, p in self._programs.items()}))
        fresh.replace(file)
