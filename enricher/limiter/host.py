"""One rate limit for all processes of a host: a small SQLite file.

It holds nothing that must survive a power cut, so nothing is ever synced: after one there is
another boot, and what the file says of the last one is thrown away. A process that is killed leaves
places that count as used once their lease is over, and a turn in the queue that nobody waits for.
"""

import platform
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from platformdirs import user_state_path

from enricher.budget import LEASE, BudgetAway, BudgetBroken, Heard, Said
from enricher.limiter import budget_name
from enricher.limiter.host_files import opening

GRACE = 0.05
"""Seconds after its turn for which somebody in the queue is waited for."""

_REMEMBERED = 5.0
"""Seconds for which sends are kept at least: another process may look further back."""

_AT_WORK = 10.0
"""Seconds for which the rate of a process that is not heard of counts at least."""

_CATCH_UP = 0.02
"""Seconds by which timers may be late without costing rate."""

_LONGEST_PAUSE = 3600.0
"""Seconds; a pause beyond it is of another boot, or no time at all."""

_BUSY = 0.25
"""Seconds to wait for another process in the file; it needs a fraction of a millisecond."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_TABLES = """
CREATE TABLE IF NOT EXISTS state (
    boot TEXT NOT NULL, next_at REAL NOT NULL, paused_until REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS places (
    id INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL,
    given_at REAL NOT NULL, used_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS places_by_use ON places (used_at);
CREATE TABLE IF NOT EXISTS owners (
    owner TEXT PRIMARY KEY, rate REAL, until REAL NOT NULL, turn INTEGER, promised REAL
) WITHOUT ROWID;
"""
"""`used_at`: when the request left, or while it has not, when its lease is over. `rate` is NULL
while the server has not told it, `turn` while its process does not wait."""


def file_of(name: str) -> Path:
    """Where the budget `name` of this host is kept.

    A state directory may be on a share, and each of its hosts has a clock of its own.
    """
    folder = user_state_path("enricher", appauthor=False) / "limits"
    return folder / f"{budget_name('host', platform.node(), name)}.db"


class HostBudget:
    """The budget in a file.

    Args:
        path: the file; it is made, mode 0600, with its folder. Old ones beside it are removed.
        clock: seconds that all processes of the host count alike, and that never jump.

    Raises:
        BudgetBroken: it cannot be used.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._owner = uuid.uuid4().hex
        self._began = clock()
        self._boot = _boot_id()
        try:
            with opening(path), ExitStack() as until_ready:
                sql = sqlite3.connect(path, timeout=_BUSY, isolation_level=None)
                self._sql = until_ready.enter_context(closing(sql))
                self._sql.execute("PRAGMA journal_mode = WAL")
                self._sql.execute("PRAGMA synchronous = OFF")
                self._sql.executescript(_TABLES)
                until_ready.pop_all()
        except (OSError, sqlite3.Error) as error:
            raise BudgetBroken(_words(path, error)) from None

    async def exchange(self, said: Said) -> Heard:
        """See `Budget`; done in a fraction of a millisecond, without a thread."""
        try:
            with self._sql:  # commits, or takes all back
                self._sql.execute("BEGIN IMMEDIATE")
                return self._exchanged(said, self._clock())
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                raise BudgetAway(f"the limiter file {self._path} is locked") from None
            raise BudgetBroken(_words(self._path, error)) from None

    async def aclose(self) -> None:
        """Leave; places that are held keep their lease."""
        with suppress(sqlite3.Error):  # it is forgotten soon anyway
            self._sql.execute("DELETE FROM owners WHERE owner = ?", (self._owner,))
        self._sql.close()

    # --- one exchange ------------------------------------------------------------------------

    def _exchanged(self, said: Said, now: float) -> Heard:
        self._begin(now, max(1.0, 1 / said.rate) + said.margin)
        self._take_note(said, now)
        rate = self._rate(said, now)
        window = max(1.0, 1 / rate) + said.margin
        self._forget(now, window)
        if not said.want:
            return Heard(shared=self._is_shared())
        return self._next(said, now, rate, window)

    def _begin(self, now: float, window: float) -> None:
        """Nobody knows what was sent before the file was made, or before this boot."""
        found = self._sql.execute("SELECT boot, next_at, paused_until FROM state").fetchone()
        if found and found[0] == self._boot and max(found[1:]) <= now + _LONGEST_PAUSE:
            return
        for table in ("state", "places", "owners"):
            self._sql.execute(f"DELETE FROM {table}")  # noqa: S608 — names of our own
        self._sql.execute("INSERT INTO state VALUES (?, 0, ?)", (self._boot, now + window))

    def _take_note(self, said: Said, now: float) -> None:
        self._sql.executemany(
            "INSERT INTO places VALUES (?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET used_at = excluded.used_at",
            [(place, self._owner, now, now - ago) for place, ago in said.sent],
        )
        self._sql.executemany("DELETE FROM places WHERE id = ?", [(p,) for p in said.unused])
        self._sql.executemany(
            "UPDATE places SET used_at = ? WHERE id = ?", [(now + LEASE, p) for p in said.held]
        )
        if said.pause:
            pause = now + min(said.pause, _LONGEST_PAUSE)
            self._sql.execute("UPDATE state SET paused_until = max(paused_until, ?)", (pause,))
        self._sql.execute(
            "INSERT INTO owners (owner, rate, until) VALUES (?, ?, ?) ON CONFLICT (owner)"
            " DO UPDATE SET rate = excluded.rate, until = excluded.until",
            (
                self._owner,
                None if said.vague else said.rate,
                now + max(_AT_WORK, 2 / said.rate),
            ),
        )

    def _rate(self, said: Said, now: float) -> float:
        """The least that anybody at work keeps to; who does not know follows those who do."""
        self._sql.execute(
            "DELETE FROM owners WHERE until < ? OR until > ?", (now, now + 3 * _LONGEST_PAUSE)
        )
        least: float | None = self._one("SELECT min(rate) FROM owners")
        return said.rate if least is None else least

    def _forget(self, now: float, window: float) -> None:
        self._sql.execute(
            "DELETE FROM places WHERE used_at <= ? OR used_at > ?",
            (now - max(window, _REMEMBERED), now + 2 * LEASE),
        )

    def _next(self, said: Said, now: float, rate: float, window: float) -> Heard:
        ahead = self._ahead(now)
        most = max(1, int(rate))
        used = int(self._one("SELECT count(*) FROM places WHERE used_at > ?", now - window))
        free = most - used - ahead
        next_at, paused_until = self._sql.execute(
            "SELECT next_at, paused_until FROM state"
        ).fetchone()
        at = max(paused_until, next_at + ahead / rate)
        if free <= 0:
            at = max(at, self._frees_at(1 - free, now, window))
        if at <= now and said.enter:
            wanted = min(said.want, free)
            paced = max(next_at, now - _CATCH_UP) + wanted / rate
            self._sql.execute("UPDATE state SET next_at = ?", (paced,))
            return Heard(self._give(wanted, now), 0.0, used + wanted, self._is_shared())
        self._sql.execute("UPDATE owners SET promised = ? WHERE owner = ?", (at, self._owner))
        return Heard((), max(0.0, at - now), used, self._is_shared())

    def _ahead(self, now: float) -> int:
        """How many stand before this process in the queue, at whose end it stands if it did not."""
        self._sql.execute(
            "UPDATE owners SET turn = NULL WHERE promised < ? AND owner != ?",
            (now - GRACE, self._owner),
        )
        self._sql.execute(
            "UPDATE owners SET turn = (SELECT coalesce(max(turn), 0) + 1 FROM owners)"
            " WHERE owner = ? AND turn IS NULL",
            (self._owner,),
        )
        return int(
            self._one(
                "SELECT count(*) FROM owners"
                " WHERE turn < (SELECT turn FROM owners WHERE owner = ?)",
                self._owner,
            )
        )

    def _frees_at(self, nth: int, now: float, window: float) -> float:
        """When so many places will have come free; a held one is taken to be used now."""
        found = self._sql.execute(
            "SELECT used_at FROM places WHERE used_at > ? ORDER BY used_at LIMIT 1 OFFSET ?",
            (now - window, nth - 1),
        ).fetchone()
        return min(found[0] if found else now, now) + window

    def _give(self, count: int, now: float) -> list[int]:
        self._sql.execute(
            "UPDATE owners SET turn = NULL, promised = NULL WHERE owner = ?", (self._owner,)
        )
        return [
            self._sql.execute(
                "INSERT INTO places (owner, given_at, used_at) VALUES (?, ?, ?) RETURNING id",
                (self._owner, now, now + LEASE),
            ).fetchone()[0]
            for _ in range(count)
        ]

    def _is_shared(self) -> bool:
        return bool(
            self._one(
                "SELECT EXISTS (SELECT 1 FROM places WHERE owner != ? AND given_at > ?)",
                self._owner,
                self._began,
            )
        )

    def _one(self, sql: str, *arguments: object) -> float:
        return self._sql.execute(sql, arguments).fetchone()[0]  # type: ignore[no-any-return]


def _boot_id() -> str:
    """Tells one boot from another, where the system does; the clock begins anew with each."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _words(path: Path, error: Exception) -> str:
    cause = (isinstance(error, OSError) and error.strerror) or str(error)
    return f"the limiter file {path} cannot be used ({cause}; if it stays so, remove it)"
