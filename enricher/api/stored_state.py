"""The state of a job on a cluster in an object store, for workers that share no disk.

Its folder holds the manifest, the input as `input-<digest>`, and for each shard a folder with its
log (see `checkpoint.shipped`). What is on a local disk is a copy: a worker's for as long as it has
the shard, the client's for `status` and `merge`.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from enricher.api.outside import Through
from enricher.api.shards import checkpoint_of
from enricher.api.wiring import is_begun
from enricher.checkpoint import shipped
from enricher.checkpoint.exports import list_of
from enricher.errors import CheckpointError, ManifestError, StateGone
from enricher.manifest import Manifest, digest_of, read_manifest
from enricher.objects import Folder
from enricher.places import StoredObject

_MANIFEST, _EXPORTS = "manifest.json", "exports"


@dataclass(frozen=True, slots=True)
class Received:
    """What a worker reads: copies of the manifest and of the input."""

    manifest: Path
    input: Path


@dataclass(frozen=True, slots=True)
class StoredState:
    """The state in the folder that `place` names."""

    place: StoredObject

    def open(self, manifest: Path) -> None:
        """Make sure that it can be used; copy the manifest and what was merged, if there is one.

        Raises:
            CheckpointError: it cannot be written, or its objects are replaced by who comes later.
        """
        try:
            self._check()
            self._folder.fetch(_MANIFEST, manifest)
            self._folder.fetch(_EXPORTS, list_of(manifest))
        except StateGone as gone:
            raise CheckpointError(gone.message, mend=gone.mend, code=gone.code) from None

    def _check(self) -> None:
        trial = f"trial-{uuid.uuid4().hex}"
        folder = self._folder
        folder.create(trial, b"first")
        is_taken_twice = folder.create(trial, b"second")
        folder.discard([trial])
        if is_taken_twice:
            raise CheckpointError(
                f"{self.place} lets two writers make the same object: a worker that is thought dead"
                " could not be kept out.",
                mend="Use a store that knows conditional writes (If-None-Match), or a directory"
                " that all workers share.",
                code="state_unsafe",
            )

    def check_kept(self, manifest: Manifest) -> None:
        """Make sure that no shard is gone of which there is a copy here.

        Raises:
            CheckpointError: one is: what it held would be bought again.
        """
        for shard in range(manifest.shards):
            copy = checkpoint_of(manifest, shard, None)
            if is_begun(copy) and not shipped.is_begun(self._log(manifest, shard)):
                raise CheckpointError(
                    f"{self.place} holds nothing of shard {shard} any more, which was begun: {copy}"
                    " is a copy of it. All that it held would be bought again.",
                    mend="Bring the folder back, where the bucket keeps older versions. To pay"
                    f" again, remove {manifest.path.parent}.",
                    code="state_damaged",
                )

    def is_begun(self, manifest: Manifest) -> bool:
        """Whether a shard has submitted anything."""
        return any(shipped.is_begun(self._log(manifest, shard)) for shard in range(manifest.shards))

    def publish(self, manifest: Manifest, files: Sequence[Path]) -> None:
        """Put the input and then the manifest, for the workers.

        Raises:
            StateGone: the object store does not take them.
        """
        folder = self._folder
        there = set(folder.names())
        for path, seen in zip(files, manifest.files, strict=True):
            if _input_name(seen.digest) not in there:
                folder.write(_input_name(seen.digest), path)
        folder.write(_MANIFEST, manifest.path)

    def receive(self, digest: str, folder: Path) -> Received:
        """Copy manifest and input to `folder`.

        Args:
            digest: of the manifest that is meant.

        Raises:
            ManifestError: there is none, or another one.
            StateGone: the object store does not give them.
        """
        path = folder / _MANIFEST
        if not self._folder.fetch(_MANIFEST, path) or digest_of(path) != digest:
            raise ManifestError(
                f"The manifest in {self.place} is not that of this job: another command wrote it.",
                mend="Give each job a folder of its own, and run the same command again.",
                code="state_changed",
            )
        inputs = folder / "input"
        inputs.mkdir()
        files = []
        for number, seen in enumerate(read_manifest(path).files):
            files.append(inputs / f"{number:06}-{seen.name}")
            self._folder.fetch(_input_name(seen.digest), files[-1])
        return Received(path, files[0] if len(files) == 1 else inputs / "*")

    @asynccontextmanager
    async def taken_over(
        self, manifest: Manifest, shard: int, folder: Path
    ) -> AsyncIterator[Through]:
        """Take over a shard, with its checkpoint below `folder`; whoever had it is out by then.

        Raises:
            StateGone: the object store does not answer.
            CheckpointError: what there is cannot be read.
        """
        checkpoint = checkpoint_of(manifest, shard, folder)
        log = await asyncio.to_thread(shipped.taken_over, self._log(manifest, shard), checkpoint)
        try:
            yield log.through
        finally:
            await asyncio.to_thread(log.close, checkpoint)

    def mirror(self, manifest: Manifest) -> None:
        """Make the local checkpoints of all shards what the store has of them.

        Raises:
            StateGone: the object store does not answer.
            CheckpointError: what there is cannot be read.
        """
        for shard in range(manifest.shards):
            shipped.fetch(self._log(manifest, shard), checkpoint_of(manifest, shard, None))

    def keep_exports(self, manifest: Path) -> None:
        """Remember, for other machines too, what was merged.

        Raises:
            StateGone: the object store does not take it.
        """
        if list_of(manifest).exists():
            self._folder.write(_EXPORTS, list_of(manifest))

    @property
    def _folder(self) -> Folder:
        """A connection of its own: a worker's credentials are not sent to it with this."""
        return Folder(self.place)

    def _log(self, manifest: Manifest, shard: int) -> Folder:
        return Folder(self.place.below(f"shard-{shard}-of-{manifest.shards}"))


def mirror(path: Path) -> None:
    """Bring the checkpoints of a manifest here, if they are kept in an object store.

    Raises:
        ManifestError, StateGone, CheckpointError: see `StoredState.mirror`.
    """
    manifest = read_manifest(path)
    if manifest.state is not None:
        StoredState(manifest.state).mirror(manifest)


def _input_name(digest: str) -> str:
    return f"input-{digest}"
