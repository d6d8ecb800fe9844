"""The manifest of a job in shards: what is run, on which files, in how many parts."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from enricher.errors import InputError, ManifestError
from enricher.places import StoredObject

SCHEMA = 2
MOST_SHARDS = 100_000
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class FileSeen:
    """A file of the input as it was when the manifest was written."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Workspace:
    """Who runs a shard: the file of a key (`None`: where keys are looked for), and what is run."""

    api_key_file: str | None
    target: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest holds; `options` are those of the job, as JSON.

    Shard i is run with workspace i modulo their number. `state` is the folder of an object store
    where the shards keep what they know, if they share no disk.
    """

    path: Path
    shards: int
    options: Mapping[str, Any]
    files: Sequence[FileSeen]
    workspaces: Sequence[Workspace]
    state: StoredObject | None = None

    def workspace_of(self, shard: int) -> Workspace:
        """Who runs the shard."""
        return self.workspaces[shard % len(self.workspaces)]

    def input_here(self) -> Mapping[str, Any]:
        """What to change of a shard's options to read the input: its worker may have had a copy."""
        return {} if self.state is None else {"read_from": self.options.get("read_from")}

    def write(self) -> None:
        """Write it to its path.

        Raises:
            ManifestError: it cannot be written.
        """
        content = {
            "enricher_manifest": SCHEMA,
            "shards": self.shards,
            "workspaces": [asdict(one) for one in self.workspaces],
            "input": [asdict(file) for file in self.files],
            "options": self.options,
            "state": None if self.state is None else str(self.state),
        }
        try:
            self.path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise ManifestError(
                f"The manifest {self.path} cannot be written: {error.strerror}.",
                mend="Name another place with -o.",
            ) from None

    def check_input(self, files: Sequence[Path]) -> None:
        """Raise `InputError` if these files are not those that the shards were planned for."""
        if len(files) != len(self.files):
            raise _changed(self, f"there are {len(files)} files, and were {len(self.files)}")
        for path, seen in zip(files, self.files, strict=True):
            if path.stat().st_size != seen.size or digest_of(path) != seen.digest:
                raise _changed(self, f"{path} is not what it was")


def seen_of(files: Sequence[Path]) -> list[FileSeen]:
    """The files as they are now."""
    return [FileSeen(path.name, path.stat().st_size, digest_of(path)) for path in files]


def digest_of(path: Path) -> str:
    """Of all bytes of the file: a copy on another machine is as good, whatever its times."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def is_manifest(path: Path) -> bool:
    """Whether there is a manifest at `path`."""
    try:
        read_manifest(path)
    except ManifestError:
        return False
    return True


def read_manifest(path: Path) -> Manifest:
    """Read the manifest at `path`.

    Raises:
        ManifestError: it cannot be read, or is no manifest.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["enricher_manifest"] != SCHEMA:
            raise ManifestError(f"{path} is of another version of enricher.", mend=_ANEW)
        files = [FileSeen(**file) for file in content["input"]]
        workspaces = [Workspace(**one) for one in content["workspaces"]]
        if not workspaces:
            raise ValueError("a job is run by somebody")
        state = StoredObject(content["state"]) if content.get("state") else None
        options = dict(content["options"])
        return Manifest(path, int(content["shards"]), options, files, workspaces, state)
    except OSError as error:
        raise ManifestError(
            f"The manifest {path} cannot be read: {error.strerror}.", mend=_ANEW
        ) from None
    except (KeyError, TypeError, ValueError):
        raise ManifestError(f"{path} is no manifest of enricher.", mend=_ANEW) from None


def check_seen(path: Path, digest: str) -> None:
    """Make sure that another machine sees the very manifest that this digest is of.

    Raises:
        ManifestError: it sees none, or another one.
    """
    try:
        why = "there is another one" if digest_of(path) != digest else ""
    except OSError as error:
        why = str(error.strerror)
    if why:
        raise ManifestError(
            f"{platform.node()} does not see the manifest {path} of this job: {why}.",
            mend="All workers must share the state directory with the machine that you start from,"
            " at the same path: name such a one with --state-dir.",
            code="state_dir_not_shared",
        )


_ANEW = "Write one with `enricher plan INPUT --shards N -o manifest.json`."


def _changed(manifest: Manifest, what: str) -> InputError:
    return InputError(
        f"The input has changed since {manifest.path.name} was written: {what}.",
        mend="Bring the old file back, or plan the shards again: what is in their checkpoints"
        " stays, and is not paid again.",
        code="input_changed",
    )
