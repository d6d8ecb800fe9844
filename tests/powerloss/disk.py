"""A disk that loses its power: what was asked of it, and what it may hold afterwards.

A write is on the disk when its file was synced; a name (made, changed, removed) when its directory
was. Until then each of them may have arrived or not, in any order, and a write in parts: at any
sector, with the file as long as if all had come, filled with zeros or with what lay there before.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Contents = Mapping[str, bytes]
"""The files of a folder by name."""


@dataclass(frozen=True, slots=True)
class Write:
    file: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    """What was written to the file is on the disk; its name need not be."""

    file: int


@dataclass(frozen=True, slots=True)
class Names:
    """Names of the folder change, all at once: each to a file, or to none."""

    changes: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True)
class SyncDirectory:
    pass


Operation = Write | Truncate | Sync | Names | SyncDirectory


class Trace:
    """What was asked of the disk for the files of one folder, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.at_first = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.operations: list[Operation] = []
        self._names = {name: number for number, name in enumerate(self.at_first)}
        self._files = len(self._names)
        self.told_of: set[str] = set()
        """Files of which every write is told; others have to be looked at."""

    @property
    def position(self) -> int:
        """The number of operations up to now."""
        return len(self.operations)

    def name_of(self, path: str | bytes | Path) -> str | None:
        """The name of a file in the folder; `None` for any other, and for shared memory.

        What stands in shared memory is never on the disk on purpose.
        """
        place = Path(path.decode() if isinstance(path, bytes) else path)
        inside = place.parent == self.folder and not place.name.endswith("-shm")
        return place.name if inside else None

    def knows(self, name: str) -> bool:
        return name in self._names

    def made(self, name: str) -> None:
        """The file is there; new, if it was not known."""
        if name not in self._names:
            self._rename({name: self._files})
            self._files += 1

    def opened(self, name: str) -> None:
        """Whoever opened it, and made it if it was not there, tells of every write."""
        self.made(name)
        self.told_of.add(name)

    def renamed(self, old: str, new: str) -> None:
        self._rename({new: self._names[old], old: None})

    def removed(self, name: str) -> None:
        if name in self._names:
            self._rename({name: None})

    def wrote(self, name: str, offset: int, data: bytes) -> None:
        self.operations.append(Write(self._names[name], offset, data))

    def truncated(self, name: str, size: int) -> None:
        self.operations.append(Truncate(self._names[name], size))

    def synced(self, name: str) -> None:
        self.operations.append(Sync(self._names[name]))

    def synced_directory(self) -> None:
        self.operations.append(SyncDirectory())

    def _rename(self, changes: dict[str, int | None]) -> None:
        for name, number in changes.items():
            if number is None:
                del self._names[name]
            else:
                self._names[name] = number
        self.operations.append(Names(tuple(changes.items())))


# --- what may be left ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fate:
    """How a disk treats what was not synced: `lost` and `torn` are shares of the operations.

    `fill` gives what stands where a file grew and its bytes did not come; without it the file
    does not grow. `in_order` keeps the changes of names in their order: the last ones are lost.
    """

    lost: float
    torn: float
    sector: int
    in_order: bool
    fill: Callable[[int], bytes] | None

    @classmethod
    def drawn(cls, draw: random.Random) -> "Fate":
        return cls(
            lost=draw.choice((0.0, 0.1, 0.5, 0.9, 1.0)),
            torn=draw.choice((0.0, 0.2, 1.0)),
            sector=draw.choice((512, 4096)),
            in_order=draw.random() < 0.5,
            fill=draw.choice((None, bytes, draw.randbytes)),
        )


@dataclass(slots=True)
class Disk:
    """A disk while a trace happens to it."""

    trace: Trace
    position: int = 0
    _names: dict[str, int] = field(default_factory=dict)
    _files: dict[int, bytearray] = field(default_factory=dict)
    _unsynced: dict[int, list[Write | Truncate]] = field(default_factory=dict)
    _unsynced_names: list[Names] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number, (name, content) in enumerate(self.trace.at_first.items()):
            self._names[name] = number
            self._files[number] = bytearray(content)

    def go_on(self, position: int) -> None:
        """Let the operations before `position` happen."""
        for operation in self.trace.operations[self.position : position]:
            self._happen(operation)
        self.position = position

    def _happen(self, operation: Operation) -> None:
        match operation:
            case Write(file) | Truncate(file):
                self._unsynced.setdefault(file, []).append(operation)
            case Sync(file):
                content = self._files.setdefault(file, bytearray())
                for change in self._unsynced.pop(file, ()):
                    _apply(content, change)
            case Names():
                self._unsynced_names.append(operation)
            case SyncDirectory():
                self._names = _renamed(self._names, self._unsynced_names)
                self._unsynced_names.clear()

    def now(self) -> Contents:
        """What a program sees that asks at this moment."""
        return self.after(random.Random(), Fate(0.0, 0.0, 512, in_order=True, fill=None))

    def after(self, draw: random.Random, fate: Fate) -> Contents:
        """What may be found when the power was cut at this moment."""
        kept = list(_kept_names(self._unsynced_names, draw, fate))
        names = _renamed(self._names, kept)
        return {name: self._content(file, draw, fate) for name, file in names.items()}

    def _content(self, file: int, draw: random.Random, fate: Fate) -> bytes:
        content = bytearray(self._files.get(file, b""))
        for change in self._unsynced.get(file, ()):
            for part in _parts(change, draw, fate):
                if draw.random() >= fate.lost:
                    _apply(content, part)
                elif fate.fill is not None and isinstance(part, Write):
                    end = part.offset + len(part.data)
                    content += fate.fill(max(0, end - len(content)))
        return bytes(content)


def _kept_names(changes: list[Names], draw: random.Random, fate: Fate) -> Iterator[Names]:
    for change in changes:
        if draw.random() >= fate.lost:
            yield change
        elif fate.in_order:
            return


def _renamed(names: Mapping[str, int], changes: list[Names]) -> dict[str, int]:
    after: dict[str, int | None] = {**names}
    for change in changes:
        after.update(change.changes)
    return {name: file for name, file in after.items() if file is not None}


def _parts(change: Write | Truncate, draw: random.Random, fate: Fate) -> Iterator[Write | Truncate]:
    """A write that is torn comes in parts that end where sectors end."""
    if isinstance(change, Truncate) or draw.random() >= fate.torn:
        yield change
        return
    start, end = change.offset, change.offset + len(change.data)
    while start < end:
        stop = min(end, (start // fate.sector + 1) * fate.sector)
        yield Write(change.file, start, change.data[start - change.offset : stop - change.offset])
        start = stop


def _apply(content: bytearray, change: Write | Truncate) -> None:
    if isinstance(change, Truncate):
        del content[change.size :]
        return
    content += bytes(max(0, change.offset - len(content)))
    content[change.offset : change.offset + len(change.data)] = change.data
