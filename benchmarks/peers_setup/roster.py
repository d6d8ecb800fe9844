"""Who takes part: enricher and its peers, how each is installed, and how its job is started.

A peer's job is a script in `scripts/`; the head of each says which part of the peer's docs it
follows. All are told the same: the leads, the address, the key, the rate, and how often to look.
"""

import getpass
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from enricher.simulator import GRIDS

SCRIPTS = Path(__file__).parent / "scripts"
GRID = GRIDS[0]
_INSTALL_SECONDS = 600


class CannotTakePart(Exception):
    """Why a peer is skipped, in a few words."""


@dataclass(frozen=True)
class Peer:
    """A program that enriches `leads.csv` of the folder that it is started in.

    `script` runs in an environment of its own that holds `pins`; the first of them is the peer.
    """

    name: str
    script: str
    pins: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    command: tuple[str, ...] = ("{python}", "{script}")
    by_default: bool = True
    remark: str = ""


_HTTPX2 = "httpx2==2.16.2"

ENRICHER = Peer(
    "enricher",
    script="",
    command=(
        *(sys.executable, "-m", "enricher"),
        *("run", "leads.csv", "--grid", GRID.id, "-o", "out.csv"),
    ),
    remark="a submission that the kill cut off stays in doubt: shown as such, not sent again",
)
ROSTER = (
    ENRICHER,
    Peer("accrue", "accrue_job.py", pins=("accrue==1.5.2", _HTTPX2)),
    Peer(
        "batchledger",
        "batchledger_job.py",
        pins=("batchledger==0.1.0", _HTTPX2),
        remark="two passes: all are submitted, then all are collected",
    ),
    Peer(
        "batchledger-readme",
        "batchledger_readme_job.py",
        pins=("batchledger==0.1.0", _HTTPX2),
        by_default=False,
        remark="one function a row, as its README begins; some 14 minutes for 100 rows",
    ),
    Peer(
        "parallel",
        "parallel_job.sh",
        programs=("parallel", "curl", "jq", "bash"),
        command=("bash", "{script}"),
        remark="GNU parallel, curl and jq; --delay is its only pace",
    ),
    Peer(
        "scrapy",
        "scrapy_job.py",
        pins=("scrapy==2.19.0",),
        command=("{python}", "-m", "scrapy", "runspider", "{script}"),
        remark="its docs promise to resume after a clean stop only, not after kill -9",
    ),
    Peer(
        "naive",
        "naive_job.py",
        pins=(_HTTPX2, "aiolimiter==1.3.0", "tenacity==9.2.1"),
        remark="asyncio, httpx2, aiolimiter and tenacity, as most would write it",
    ),
)
NAMES = tuple(peer.name for peer in ROSTER)


@dataclass(frozen=True)
class Installed:
    """A peer that can be started: its whole command, and its version."""

    peer: Peer
    command: tuple[str, ...]
    version: str


def default_cache() -> Path:
    """Where environments stay from one benchmark to the next."""
    return Path(tempfile.gettempdir()) / f"enricher-peers-{getpass.getuser()}"


def install(peer: Peer, cache: Path) -> Installed:
    """Make the environment of a peer, unless it is there; or say why it cannot take part."""
    if peer is ENRICHER:
        return Installed(peer, peer.command, "checkout")
    missing = [program for program in peer.programs if shutil.which(program) is None]
    if missing:
        raise CannotTakePart(f"{', '.join(missing)} not installed")
    python = _environment(peer, cache) if peer.pins else Path(sys.executable)
    words = {"python": str(python), "script": str(SCRIPTS / peer.script)}
    command = tuple(word.format_map(words) for word in peer.command)
    return Installed(peer, command, _version(peer))


def _environment(peer: Peer, cache: Path) -> Path:
    """The Python of a virtual environment with the pins of this peer."""
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = cache / peer.script.removesuffix(".py")
    python, stamp = folder / "bin" / "python", folder / "pins"
    if not stamp.exists() or stamp.read_text() != "\n".join(peer.pins):
        _do(sys.executable, "-m", "venv", "--clear", str(folder))
        _do(str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *peer.pins)
        stamp.write_text("\n".join(peer.pins))
    return python


def _version(peer: Peer) -> str:
    if peer.name == "naive":
        return "-"
    if peer.pins:
        return peer.pins[0].partition("==")[2]
    return _do(peer.programs[0], "--version").splitlines()[0].split()[-1]


def _do(*command: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 — the commands of this file
            command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise CannotTakePart(f"cannot be installed: {problem}") from None
    if done.returncode != 0:
        last_words = (done.stderr.strip() or "no word").splitlines()[-1]
        raise CannotTakePart(f"cannot be installed: {last_words}")
    return done.stdout
