"""Listening to what Python asks of the files of a folder: the functions of `os`, wrapped.

They do not show what is written, only when a file is made, synced, renamed and removed: the files
are read at each of these moments, and what has changed is taken for written.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.powerloss.disk import Trace

_BLOCK = 4096


class _Files:
    """The files that Python made in the folder, as they were seen last."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._seen: dict[str, bytes] = {}

    def made(self, path: Any) -> None:
        name = self._trace.name_of(os.fsdecode(path))
        if name is not None and not self._trace.knows(name):
            self._trace.made(name)
            self._seen[name] = b""

    def synced(self, descriptor: int) -> None:
        self.look()
        found = os.fstat(descriptor)
        if os.path.samestat(found, self._trace.folder.stat()):
            self._trace.synced_directory()
        elif stat.S_ISREG(found.st_mode):
            for name in self._seen:
                if os.path.samestat(found, (self._trace.folder / name).stat()):
                    self._trace.synced(name)

    def renamed(self, old: Any, new: Any) -> None:
        names = (self._trace.name_of(os.fsdecode(path)) for path in (old, new))
        source, target = names
        if source in self._seen and target is not None:
            self._trace.renamed(source, target)
            self._seen[target] = self._seen.pop(source)

    def removed(self, path: Any) -> None:
        name = self._trace.name_of(os.fsdecode(path))
        if self._seen.pop(name or "", None) is not None:
            self._trace.removed(name or "")

    def look(self) -> None:
        for name in self._trace.told_of & self._seen.keys():
            del self._seen[name]
        for name, before in self._seen.items():
            now = (self._trace.folder / name).read_bytes()
            if len(now) < len(before):
                self._trace.truncated(name, len(now))
            for start in range(0, len(now), _BLOCK):
                block = now[start : start + _BLOCK]
                if block != before[start : start + _BLOCK]:
                    self._trace.wrote(name, start, block)
            self._seen[name] = now


@contextmanager
def python_heard(trace: Trace, *, file_sync: bool = True, name_sync: bool = True) -> Iterator[None]:
    """What is asked of `os` in this block is told to `trace`.

    Without `file_sync` no file is synced, without `name_sync` no directory: mistakes, for tests
    that must find them.
    """
    files = _Files(trace)
    originals = {name: getattr(os, name) for name in ("open", "fsync", "replace", "unlink")}

    def opened(path: Any, flags: int, *how: Any, **more: Any) -> int:
        descriptor: int = originals["open"](path, flags, *how, **more)
        if flags & os.O_CREAT:
            files.made(path)
        return descriptor

    def fsync(descriptor: int) -> None:
        if name_sync if stat.S_ISDIR(os.fstat(descriptor).st_mode) else file_sync:
            originals["fsync"](descriptor)
            files.synced(descriptor)

    def replace(old: Any, new: Any) -> None:
        files.look()
        originals["replace"](old, new)
        files.renamed(old, new)

    def unlink(path: Any, **how: Any) -> None:
        originals["unlink"](path, **how)
        files.removed(path)

    wrapped: dict[str, Callable[..., Any]] = {
        "open": opened,
        "fsync": fsync,
        "replace": replace,
        "unlink": unlink,
    }
    for name, function in wrapped.items():
        setattr(os, name, function)
    try:
        yield
    finally:
        for name, function in originals.items():
            setattr(os, name, function)
