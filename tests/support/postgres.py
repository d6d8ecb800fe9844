"""A real PostgreSQL for the tests, where one is installed: on loopback, with a password."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

USER = "crm"
_PASSWORD = "pg-canary-4711"
_FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")


@dataclass(frozen=True)
class Server:
    """Where it listens, and the environment with which its user gets in."""

    url: str
    env: Mapping[str, str]
    password: str = _PASSWORD


def programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`; Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


@contextmanager
def running_postgres() -> Iterator[Server]:
    """Make a cluster in a folder of its own and serve it; root becomes `postgres` for that.

    Raises:
        RuntimeError: it cannot be started here.
    """
    bin_ = programs()
    if bin_ is None:
        raise RuntimeError("no PostgreSQL is installed")
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(mkdtemp(prefix="pg-", dir="/tmp"))  # short: a socket's path has 107 bytes at most
    try:
        if user:
            os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
        secret = folder / "password"
        secret.write_text(_PASSWORD)
        if user:
            shutil.chown(secret, user)
        data, port = folder / "data", _free_port()
        how = f"-p {port} -h 127.0.0.1 -k {folder} " + " ".join(f"-c {one}" for one in _FAST)
        initdb = ("-D", data, "-U", USER, "-A", "scram-sha-256", "--pwfile", secret, "-N")
        _do(user, bin_ / "initdb", *initdb, "--encoding=UTF8", "--locale=C")
        _do(user, bin_ / "pg_ctl", "-D", data, "-o", how, "-l", folder / "log", "-w", "start")
        try:
            yield Server(
                f"postgresql://{USER}@127.0.0.1:{port}/postgres", {"PGPASSWORD": _PASSWORD}
            )
        finally:
            _do(user, bin_ / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _do(user: str | None, *words: object) -> None:
    try:
        subprocess.run([*map(str, words)], user=user, check=True, capture_output=True, cwd="/")
    except (OSError, KeyError, subprocess.CalledProcessError) as error:
        told = getattr(error, "stderr", b"") or b""
        raise RuntimeError(f"PostgreSQL cannot be started: {error} {told.decode()}") from error


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
