"""Listening to what SQLite asks of its files: the library that `sqlite3` itself uses, in place.

The default VFS is wrapped by one made with ctypes, which tells a trace of every write, truncation,
sync, removal and directory sync, and lets the original do them. The product is not touched: it
opens its files as ever. Needs a Python whose SQLite library shows its symbols; most do.
"""

import ctypes
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.powerloss.disk import Trace, Write

_OK = 0
_SIZE = ctypes.c_int64
_POINTER = ctypes.c_void_p
_NUMBER = ctypes.c_int


def _function(*arguments: Any) -> Any:
    return ctypes.CFUNCTYPE(_NUMBER, *arguments)


_OPEN = _function(_POINTER, _POINTER, _POINTER, _NUMBER, _POINTER)
_DELETE = _function(_POINTER, _POINTER, _NUMBER)
_CLOSE = _function(_POINTER)
_WRITE = _function(_POINTER, _POINTER, _NUMBER, _SIZE)
_TRUNCATE = _function(_POINTER, _SIZE)
_SYNC = _function(_POINTER, _NUMBER)
_SET_SYSTEM_CALL = _function(_POINTER, ctypes.c_char_p, _POINTER)
_GET_SYSTEM_CALL = ctypes.CFUNCTYPE(_POINTER, _POINTER, ctypes.c_char_p)
_OPEN_DIRECTORY = _function(_POINTER, _POINTER)


Fault = Callable[[str], int]
"""Told what is about to be asked for (`write`, `truncate` or `sync`); an error code refuses it."""


class _Vfs(ctypes.Structure):
    """`sqlite3_vfs`, version 3."""

    _fields_ = [
        ("version", _NUMBER),
        ("file_size", _NUMBER),
        ("longest_path", _NUMBER),
        ("next", _POINTER),
        ("name", ctypes.c_char_p),
        ("data", _POINTER),
        ("open", _OPEN),
        ("delete", _DELETE),
        ("others", _POINTER * 11),
        ("set_system_call", _SET_SYSTEM_CALL),
        ("get_system_call", _GET_SYSTEM_CALL),
        ("next_system_call", _POINTER),
    ]


class _Methods(ctypes.Structure):
    """`sqlite3_io_methods`, version 3."""

    _fields_ = [
        ("version", _NUMBER),
        ("close", _CLOSE),
        ("read", _POINTER),
        ("write", _WRITE),
        ("truncate", _TRUNCATE),
        ("sync", _SYNC),
        ("others", _POINTER * 13),
    ]


class Unheard(Exception):
    """The SQLite library of this Python cannot be listened to."""


class _Listening:
    """The wrapped VFS. Made once and kept: SQLite holds pointers to its parts."""

    def __init__(self) -> None:
        self._trace: Trace | None = None
        self._syncs = True
        self._fault: Fault = _none
        self._depth = 0
        self._library = _library()
        self._inner = self._library.sqlite3_vfs_find(None).contents
        if self._inner.version < 3:
            raise Unheard("the default VFS is older than version 3")
        self._outer = _Vfs.from_buffer_copy(self._inner)
        self._outer.name = b"listening"
        self._outer.open = _OPEN(self._open)
        self._outer.delete = _DELETE(self._delete)
        self._tables: dict[int, _Methods] = {}
        self._paths: dict[int, bytes] = {}
        inner = ctypes.byref(self._inner)
        original = self._inner.get_system_call(inner, b"openDirectory")
        self._inner_open_directory = _OPEN_DIRECTORY(original)
        self._open_directory = _OPEN_DIRECTORY(self._directory_opened)

    @contextmanager
    def heard(self, trace: Trace | None, syncs: bool, fault: Fault) -> Iterator[None]:
        """See `sqlite_heard`."""
        before = self._trace, self._syncs, self._fault
        self._trace, self._syncs, self._fault = trace, syncs, fault
        self._depth += 1
        if self._depth == 1:
            self._begin()
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._end()
            self._trace, self._syncs, self._fault = before

    def _begin(self) -> None:
        self._library.sqlite3_vfs_register(ctypes.byref(self._outer), 1)
        hook = ctypes.cast(self._open_directory, _POINTER)
        self._inner.set_system_call(ctypes.byref(self._inner), b"openDirectory", hook)

    def _end(self) -> None:
        self._inner.set_system_call(ctypes.byref(self._inner), b"openDirectory", None)
        self._library.sqlite3_vfs_register(ctypes.byref(self._inner), 1)
        self._library.sqlite3_vfs_unregister(ctypes.byref(self._outer))

    # --- called by SQLite ------------------------------------------------------------------------

    def _open(self, _vfs: int, path: int | None, file: int, flags: int, out: int) -> int:
        # The path goes on as the pointer that it is: SQLite keeps more behind its end.
        code: int = self._inner.open(ctypes.byref(self._inner), path, file, flags, out)
        table = _POINTER.from_address(file)
        if code == _OK and table.value:
            table.value = self._wrapped(table.value)
            self._paths[file] = ctypes.string_at(path) if path else b""
            self._tell(file, lambda trace, name: trace.opened(name))
        return code

    def _wrapped(self, address: int) -> int:
        if address not in self._tables:
            inner = _Methods.from_address(address)
            outer = _Methods.from_buffer_copy(inner)
            outer.close = _CLOSE(lambda file: self._closed(inner, file))
            outer.write = _WRITE(lambda *how: self._written(inner, *how))
            outer.truncate = _TRUNCATE(lambda *how: self._truncated(inner, *how))
            outer.sync = _SYNC(lambda *how: self._synced(inner, *how))
            self._tables[address] = outer
        return ctypes.addressof(self._tables[address])

    def _closed(self, inner: Any, file: int) -> int:
        self._paths.pop(file, None)
        code: int = inner.close(file)
        return code

    def _written(self, inner: Any, file: int, data: int, size: int, offset: int) -> int:
        code: int = self._fault("write") or inner.write(file, data, size, offset)
        if code == _OK:
            written = ctypes.string_at(data, size)
            self._tell(file, lambda trace, name: trace.wrote(name, offset, written))
        return code

    def _truncated(self, inner: Any, file: int, size: int) -> int:
        code: int = self._fault("truncate") or inner.truncate(file, size)
        if code == _OK:
            self._tell(file, lambda trace, name: trace.truncated(name, size))
        return code

    def _synced(self, inner: Any, file: int, flags: int) -> int:
        if fault := self._fault("sync"):
            return fault
        # Told first: the directory may be synced with it, which comes after.
        self._tell(file, lambda trace, name: trace.synced(name))
        code: int = inner.sync(file, flags) if self._syncs else _OK
        return code

    def _delete(self, _vfs: int, path: int, sync: int) -> int:
        if self._trace is not None and (name := self._trace.name_of(ctypes.string_at(path))):
            self._trace.removed(name)  # first, as above
        done = sync if self._syncs else 0
        code: int = self._inner.delete(ctypes.byref(self._inner), path, done)
        return code

    def _directory_opened(self, path: int, descriptor: int) -> int:
        """SQLite opens a directory for nothing else than to sync it at once."""
        if self._trace is not None and self._trace.name_of(ctypes.string_at(path)):
            self._trace.synced_directory()
        code: int = self._inner_open_directory(path, descriptor)
        return code

    def _tell(self, file: int, what: Callable[[Trace, str], None]) -> None:
        path = self._paths.get(file)
        if self._trace is not None and path and (name := self._trace.name_of(path)):
            what(self._trace, name)


def _library() -> Any:
    module = import_module("_sqlite3")
    try:
        library = ctypes.CDLL(getattr(module, "__file__", None))
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        library.sqlite3_libversion.restype = ctypes.c_char_p
    except (AttributeError, OSError) as error:
        raise Unheard(f"the SQLite library of this Python hides its symbols ({error})") from None
    if library.sqlite3_libversion().decode() != sqlite3.sqlite_version:
        raise Unheard("the SQLite library that was found is not the one of this Python")
    return library


def _none(_: str) -> int:
    return _OK


_made: list[_Listening] = []


@contextmanager
def sqlite_heard(
    trace: Trace | None = None, *, syncs: bool = True, fault: Fault = _none
) -> Iterator[None]:
    """What connections made in this block ask of their files is told to `trace`, if there is one.

    They are to be closed in it. Without `syncs` nothing waits for the disk, and no sync of the
    directory is heard: for files that are thrown away. `fault` may refuse what is asked.

    Raises:
        Unheard: this cannot be done here.
    """
    if not _made:
        _made.append(_Listening())
    with _made[0].heard(trace, syncs, fault):
        yield


def check_heard() -> None:
    """Make sure that what `sqlite3` asks of its files is heard.

    Raises:
        Unheard: it is not, with the reason.
    """
    with TemporaryDirectory() as folder:
        trace = Trace(Path(folder))
        with sqlite_heard(trace), closing(sqlite3.connect(Path(folder, "x.db"))) as connection:
            connection.execute("CREATE TABLE t (x)")
    if not any(isinstance(operation, Write) for operation in trace.operations):
        raise Unheard("the SQLite library that was found is not the one that sqlite3 uses")
