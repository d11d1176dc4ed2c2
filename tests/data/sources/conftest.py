"""A real PostgreSQL: a cluster of its own, on loopback, run by a user without rights, gone after the tests."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

PASSWORD = "p@ss/w#rd: 密码?"


@dataclass(frozen=True)
class Server:
    """Where it listens; its user is `app`, its password PASSWORD, its database `shop`."""

    port: int
    password: str = PASSWORD

    @property
    def url(self) -> str:
        """As a charter names it."""
        return f"postgresql://app:${{CHARTER_TEST_PASSWORD}}@127.0.0.1:{self.port}/shop"

    def run(self, *statements: str) -> None:
        """Run statements and commit them."""
        import psycopg

        with psycopg.connect(
            host="127.0.0.1", port=self.port, user="app", password=PASSWORD, dbname="shop"
        ) as connection:
            for statement in statements:
                connection.execute(statement)


def _program(name: str) -> str | None:
    found = shutil.which(name) or next(
        iter(sorted(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), reverse=True)), None
    )
    return str(Path(found).resolve()) if found else None


@pytest.fixture(scope="session")
def postgresql():
    """Skipped where PostgreSQL is not installed; in CI that is a failure, so that nothing passes unseen."""
    initdb, postgres = _program("initdb"), _program("postgres")
    if initdb is None or postgres is None:
        message = "PostgreSQL is not installed (Debian: apt-get install postgresql)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    folder = Path(tempfile.mkdtemp(prefix="charter-pg-"))
    user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
    (folder / "password").write_text(PASSWORD, encoding="utf-8")
    if user:
        for path in (folder, folder / "password"):
            shutil.chown(path, "nobody", "nogroup")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    subprocess.run(
        [initdb, "-D", folder / "data", "-U", "app", "-A", "scram-sha-256", f"--pwfile={folder / 'password'}",
         "-E", "UTF8", "--locale=C", "--no-sync"],
        check=True, capture_output=True, cwd=folder, **user,
    )  # fmt: skip
    server = subprocess.Popen(
        [postgres, "-D", folder / "data", "-p", str(port), "-k", folder, "-h", "127.0.0.1", "-F"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, **user,
    )  # fmt: skip
    try:
        _create(port)
        yield Server(port)
    finally:
        server.send_signal(2)  # SIGINT: a fast shutdown
        server.wait(30)
        shutil.rmtree(folder)


def _create(port: int) -> None:
    import psycopg

    until = time.monotonic() + 60
    while True:
        try:
            connection = psycopg.connect(
                host="127.0.0.1", port=port, user="app", password=PASSWORD, dbname="postgres", autocommit=True
            )
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
            continue
        with connection:
            connection.execute("CREATE DATABASE shop")
        return
