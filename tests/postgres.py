"""A real PostgreSQL for tests, to compare with: Debian's, as a user of no rights, one a session."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ports import free_ports

_USER = "crosspane"


def _bin() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    return found[-1].parent


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Connection string, as libpq takes it, of a PostgreSQL with nothing in it."""
    programs = _bin()
    as_user = {"user": "nobody"} if os.geteuid() == 0 else {}  # it refuses to run as root
    with tempfile.TemporaryDirectory(prefix="crosspane-postgres-") as directory:
        folder = Path(directory)
        if as_user:
            subprocess.run(["chown", "nobody", folder], check=True)

        def run(*command: str) -> None:
            subprocess.run(
                [programs / command[0], *command[1:]],
                check=True,
                capture_output=True,
                timeout=60,
                cwd=folder,
                **as_user,
            )

        data, log = str(folder / "data"), str(folder / "log")
        run("initdb", "-D", data, "-U", _USER, "-A", "trust", "-E", "UTF8", "--no-sync")
        (port,) = free_ports(1)
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        run("pg_ctl", "-D", data, "-l", log, "-o", f"{options} -c timezone=UTC", "-w", "start")
        try:
            yield f"host=127.0.0.1 port={port} user={_USER} dbname=postgres"
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "stop")
