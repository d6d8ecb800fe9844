"""A private file that holds an API key: how it is read, and how another key gets into it."""

import os
import secrets
import shlex
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from enricher.errors import KeyProblem

_LARGEST_FILE = 1 << 16
"""Bytes; a larger file is no key file."""

_FILLER = b"\n" * 4096
"""One block of the disk, which is there before the key is; what is left of it means nothing."""

_OTHERS, _OTHERS_BUT_GROUP = 0o077, 0o007


def read_private(path: Path, *, group_may: bool = False) -> str:
    """The text of a file that nobody else can read.

    Raises:
        KeyProblem: it cannot be read, is no text, or others can read it.
    """
    try:
        with path.open("rb") as file:  # the very file that is read is asked who may read it
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_LARGEST_FILE).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not text"
        raise KeyProblem(
            f"The key file {path} cannot be read: {cause}.",
            mend="Name a text file that holds the key and nothing else.",
            code="key_missing",
        ) from None
    barred = _OTHERS_BUT_GROUP if group_may else _OTHERS
    if os.name == "posix" and stat.S_IMODE(mode) & barred:
        raise KeyProblem(
            f"The key file {path} can be read by other users (mode {stat.S_IMODE(mode):04o}).",
            mend=f"Run: chmod 600 {path}",
            code="key_not_private",
        )
    return text


@contextmanager
def about_to_change(path: Path, refuges: Sequence[Path] = ()) -> Iterator["NewKeyFile"]:
    """Prepare a key file for another key, before that exists: all that may fail is done now.

    The file is replaced once by a copy of itself, and the new one lies beside it, private, on the
    disk, as large as it has to be. What is left is to write some bytes over it and to give it its
    name. A link keeps being one: the file that it leads to is replaced.

    Args:
        path: the key file as its user named it.
        refuges: folders that take the key if the prepared file does not.

    Raises:
        KeyProblem: the file cannot be replaced; nothing has changed.
    """
    with ExitStack() as held:
        try:
            target = path.resolve(strict=True)
            _rehearse(target)
            draft = held.enter_context(closing(_Draft(target)))
            draft.write(_FILLER)
            _sync_folder(target.parent)
        except (OSError, RuntimeError) as error:  # the second for links in a circle
            cause = getattr(error, "strerror", "") or str(error)
            raise _cannot_be_replaced(path, cause) from None
        yield NewKeyFile(path, draft, refuges)


def _rehearse(target: Path) -> None:
    """Replace the file by a copy of itself: what can be done once can be done again.

    A name that is a mount point, or a file that may not be changed, is found only in this way.
    """
    found = target.stat()
    if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST_FILE:
        raise OSError(0, "it is no regular file of some bytes")
    with closing(_Draft(target)) as copy:
        copy.write(target.read_bytes())
        os.utime(copy.path, ns=(found.st_atime_ns, found.st_mtime_ns))
        copy.take_place()


class NewKeyFile:
    """The file that will hold the key, and lies beside the one that does."""

    def __init__(self, path: Path, draft: "_Draft", refuges: Sequence[Path]) -> None:
        self._path = path
        self._draft = draft
        self._refuges = refuges

    def put(self, key: str) -> None:
        """Put `key` in the place of the old one, durably.

        Raises:
            KeyProblem: it could not be done. The key is kept in another file, which the message
                names; if no file takes it, the message says that it is lost.
        """
        draft = self._draft
        try:
            draft.write(key.encode("ascii") + b"\n")
        except OSError as error:
            raise self._taken_refuge(key, error) from None
        try:
            draft.take_place()
        except OSError as error:
            draft.keep()
            raise _stands_elsewhere(draft.path, self._path, error) from None
        try:
            _sync_folder(draft.folder)
        except OSError as error:
            raise KeyProblem(
                f"The new key stands in {self._path}, but the disk does not confirm it"
                f" ({error.strerror}).",
                mend="Copy the file to another disk before this machine is switched off.",
                code="key_not_synced",
            ) from None

    def _taken_refuge(self, key: str, error: OSError) -> KeyProblem:
        for folder in (*self._refuges, Path(tempfile.gettempdir())):
            with suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
                with closing(_Draft(folder / self._path.name)) as draft:
                    draft.write(key.encode("ascii") + b"\n")
                    draft.keep()
                return _stands_elsewhere(draft.path, self._path, error)
        return KeyProblem(
            f"The new key is lost: no file takes it ({error.strerror}). The old one is void.",
            mend="Copy the key from the workspace's settings, and mend the disk.",
            code="key_lost",
        )


class _Draft:
    """A private file beside `target` that can take its place; removed when closed, unless kept.

    Raises:
        OSError: the disk or the rights do not allow it.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._is_ours = True
        self.path = target.with_name(f"{target.name}.new-{secrets.token_hex(4)}")
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            self._make_private()
        except OSError:
            self.close()
            raise

    def _make_private(self) -> None:
        """Mode 0600 whatever the umask, and the target's owner where root mends it for one."""
        if os.name != "posix":
            return
        os.fchmod(self._file, 0o600)
        with suppress(FileNotFoundError):
            owner = self._target.stat().st_uid
            if owner != os.fstat(self._file).st_uid:
                os.fchown(self._file, owner, -1)

    def write(self, content: bytes) -> None:
        """Make `content` all that it holds, durably. What follows it is cut off last."""
        os.lseek(self._file, 0, os.SEEK_SET)
        written = 0
        while written < len(content):
            written += os.write(self._file, content[written:])
        os.ftruncate(self._file, len(content))
        os.fsync(self._file)

    @property
    def folder(self) -> Path:
        return self.path.parent

    def take_place(self) -> None:
        self.path.replace(self._target)
        self.keep()

    def keep(self) -> None:
        self._is_ours = False

    def close(self) -> None:
        with suppress(OSError):
            os.close(self._file)
        if self._is_ours:
            self.path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _cannot_be_replaced(path: Path, cause: str) -> KeyProblem:
    return KeyProblem(
        f"The key file {path} cannot be replaced: {cause}. Nothing was asked of the server.",
        mend="Name a file in a directory that you may write to, and that is no pipe or mount.",
        code="key_file_not_replaceable",
    )


def _stands_elsewhere(place: Path, path: Path, error: OSError) -> KeyProblem:
    return KeyProblem(
        f"The new key stands in {place}, since {path} could not be replaced ({error.strerror})."
        " The old key is void.",
        mend=f"Move it yourself: mv {shlex.quote(str(place))} {shlex.quote(str(path))}",
        code="key_elsewhere",
    )
