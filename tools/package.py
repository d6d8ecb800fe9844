"""The package as its users get it, tried: `python -m tools.package [EXTRA]…`, or `make package`.

Builds the sdist, the wheel from it, and looks at what they hold. Installs the wheel alone, then
with each extra alone, into environments of their own. In each every command is asked for its help,
a list is enriched, whatever needs another extra must name it, and the acceptance tests of what is
there are played against the installed program. It takes minutes, and a package registry.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from enricher.simulator import GRIDS
from tools.manpages import TOP, contexts

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
UV = Path(sys.executable).with_name("uv")
LIST = "Company Name,Website\nAcme,acme.com\nÉtoile,etoile.fr\n"
CHECKPOINT = "out.csv.checkpoint.db"


@dataclass(frozen=True)
class Extra:
    """What an extra is for.

    Attributes:
        tests: the acceptance tests of it.
        needs_it: a command that cannot be done without it, or not as well.
        code: how that command ends then.
    """

    tests: tuple[str, ...]
    needs_it: tuple[str, ...]
    code: int = 1


def _run(*words: str) -> tuple[str, ...]:
    return ("run", "leads.csv", "--grid", GRIDS[0].id, *words)


EXTRAS = {
    "keyring": Extra(("key",), ("key", "forget")),
    "excel": Extra(("workbooks",), _run("-o", "new.xlsx")),
    "cloud": Extra(("object_stores",), _run("-o", "s3://crm/out.csv")),
    "db": Extra(("databases",), _run("-o", "sqlite:///crm.db#out")),
    "report": Extra(("report",), ("report", CHECKPOINT), code=0),
    "mcp": Extra(("mcp",), ("mcp",)),
    "redis": Extra(("limiter",), _run("--limiter", "redis://127.0.0.1:1/0", "-o", "new.csv")),
    "dask": Extra(("cluster",), _run("--cluster", "tcp://127.0.0.1:1", "-o", "new.csv")),
}
WITHOUT = ("run", "commands", "newcomer", "stop", "quickstart")
"""The acceptance tests that need no extra."""


def main(names: list[str]) -> None:
    wheel = _built()
    for name in names or ["", *EXTRAS]:
        print(f"enricher{f'[{name}]' if name else ''}", flush=True)
        with TemporaryDirectory() as folder:
            python = _installed(wheel, name, Path(folder) / "venv")
            _try_commands(python, name, Path(folder))
            _play(python, name)


# --- the two files ------------------------------------------------------------------------------


def _built() -> Path:
    shutil.rmtree(DIST, ignore_errors=True)
    _do(UV, "build", "-q", "--build-constraints", "requirements/build.txt", "-o", DIST)
    (wheel,), (source,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    ours = set(_do("git", "ls-files").splitlines())
    with ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    wanted = {name for name in ours if name.startswith("enricher/")}
    _require("the wheel holds", held, wanted | {"enricher/sample_data/companies.csv"})
    with tarfile.open(source) as tar:
        held = {name.partition("/")[2] for name in tar.getnames()}
    _require("the sdist holds", held, ours - {".gitattributes"} | {"PKG-INFO"})
    return wheel


# --- one environment ----------------------------------------------------------------------------


def _installed(wheel: Path, extra: str, venv: Path) -> Path:
    python = venv / "bin/python"
    _do(UV, "venv", "-q", "--python", sys.executable, venv)
    wanted = f"enricher[{extra}] @ {wheel.as_uri()}" if extra else str(wheel)
    _do(UV, "pip", "install", "-q", "--python", python, "-c", "requirements/dev.txt", wanted)
    # Some tests name a helper of theirs to the program; beside the interpreter it finds them.
    (venv / "bin/tests").symlink_to(ROOT / "tests")
    return python


def _try_commands(python: Path, extra: str, folder: Path) -> None:
    enricher = python.with_name("enricher")
    for context in contexts(TOP):
        _do(enricher, *context.command_path.split()[1:], "--help", cwd=folder)
    (folder / "leads.csv").write_text(LIST, "utf-8")
    with _simulator(enricher) as world:
        _do(enricher, *_run("-o", "out.csv"), cwd=folder, env=world)
        for name, one in EXTRAS.items():
            if name != extra:
                said = _do(enricher, *one.needs_it, cwd=folder, env=world, code=one.code)
                if f"pip install 'enricher[{name}]'" not in said:
                    sys.exit(f"enricher {' '.join(one.needs_it)} does not name {name}:\n{said}")
    if not extra:
        _do(enricher, "demo", cwd=folder)


@contextmanager
def _simulator(enricher: Path) -> Iterator[dict[str, str]]:
    words = [str(enricher), "simulate", "--json", "--rate", "unlimited", "--duration", "0.1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        told = json.loads(next(process.stdout or iter("")))
        try:
            yield {"BITSCALE_BASE_URL": told["base_url"], "BITSCALE_API_KEY": told["api_key"]}
        finally:
            process.terminate()


def _play(python: Path, extra: str) -> None:
    topics = EXTRAS[extra].tests if extra else WITHOUT
    files = [f"tests/acceptance/test_{topic}.py" for topic in topics]
    # A workbook in a bucket needs two extras.
    some = () if extra == "excel" else ("-k", "not xlsx")
    env = {"ENRICHER_PYTHON": str(python)}
    _do(sys.executable, "-m", "pytest", "-q", "-n2", "--dist=loadfile", *some, *files, env=env)


# --- both ---------------------------------------------------------------------------------------


def _do(
    *words: object, cwd: Path = ROOT, env: Mapping[str, str] | None = None, code: int = 0
) -> str:
    """What a command said; the end of this one if it does not end with `code`."""
    line = [str(word) for word in words]
    done = subprocess.run(
        line,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != code:
        sys.exit(f"{' '.join(line)}: code {done.returncode}, not {code}\n{done.stdout}")
    return done.stdout


def _require(what: str, held: set[str], wanted: set[str]) -> None:
    if held != wanted:
        sys.exit(f"{what}: not {sorted(wanted - held)}, but {sorted(held - wanted)}")


if __name__ == "__main__":
    main(sys.argv[1:])
