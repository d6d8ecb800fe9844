"""The tables of a checkpoint, as migrations: a released one is never edited, only followed.

An item costs about 145 bytes besides its inputs and outputs (`benchmarks/checkpoint.py`): 52 are
its key and a UUID as run id, 40 are what random keys leave empty in the pages. Outputs stand in a
table of their own, in the order in which they came, so that the tree of items stays small and
quick to look up.
"""

import sqlite3

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

APPLICATION_ID = 0x656E7263
"""`enrc`: tells a checkpoint from any other SQLite file."""

SCHEMA_VERSION = 1

migrations = Migrations("enricher")

_TABLES = """
CREATE TABLE contexts (
    id INTEGER PRIMARY KEY,
    provider TEXT NOT NULL, origin TEXT NOT NULL, account TEXT NOT NULL,
    target TEXT NOT NULL, source TEXT NOT NULL, max_batch INTEGER,
    UNIQUE (provider, origin, account, target, source)
);
CREATE TABLE column_sets (
    id INTEGER PRIMARY KEY, columns TEXT NOT NULL, revision TEXT NOT NULL,
    UNIQUE (columns, revision)
);
CREATE TABLE output_names (
    context INTEGER NOT NULL REFERENCES contexts, id TEXT NOT NULL, name TEXT NOT NULL,
    PRIMARY KEY (context, id)
) WITHOUT ROWID;
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, context INTEGER NOT NULL REFERENCES contexts,
    column_set INTEGER NOT NULL REFERENCES column_sets,
    created_at REAL NOT NULL, used_at REAL NOT NULL,
    options TEXT NOT NULL, mapping TEXT NOT NULL, output_columns TEXT NOT NULL,
    census TEXT
);
CREATE TABLE passes (
    id INTEGER PRIMARY KEY, job TEXT NOT NULL REFERENCES jobs,
    started_at REAL NOT NULL, finished_at REAL,
    rows_before INTEGER, spent TEXT, evidence TEXT
);
CREATE TABLE invocations (
    id INTEGER PRIMARY KEY, job TEXT NOT NULL REFERENCES jobs,
    pass INTEGER NOT NULL REFERENCES passes, started_at REAL NOT NULL, summary TEXT NOT NULL
);
CREATE TABLE outputs_written (path TEXT PRIMARY KEY);
CREATE TABLE items (
    key BLOB PRIMARY KEY, context INTEGER NOT NULL REFERENCES contexts,
    pass INTEGER NOT NULL, column_set INTEGER NOT NULL, state INTEGER NOT NULL,
    attempt INTEGER NOT NULL, submitted_at REAL NOT NULL, ended_at REAL,
    run_id TEXT, result INTEGER REFERENCES results, code TEXT, message TEXT, inputs TEXT NOT NULL,
    batched INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX items_unfinished ON items (state) WHERE state < 5;
CREATE TABLE results (
    id INTEGER PRIMARY KEY, column_set INTEGER NOT NULL, attempt INTEGER NOT NULL,
    outputs TEXT NOT NULL, provisional INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE batches (
    id TEXT PRIMARY KEY, context INTEGER NOT NULL REFERENCES contexts, formed_at REAL NOT NULL,
    keys BLOB NOT NULL, body BLOB NOT NULL
);
CREATE TABLE attempt_history (
    key BLOB NOT NULL, attempt INTEGER NOT NULL, pass INTEGER NOT NULL,
    column_set INTEGER NOT NULL, state INTEGER NOT NULL, submitted_at REAL NOT NULL,
    ended_at REAL, run_id TEXT, code TEXT, message TEXT,
    PRIMARY KEY (key, attempt)
) WITHOUT ROWID;
"""

_VIEWS = """
CREATE VIEW readable_items AS
SELECT lower(hex(i.key)) AS item,
       CASE i.state WHEN 1 THEN 'submitting' WHEN 2 THEN 'running' WHEN 3 THEN 'stalled'
                    WHEN 4 THEN 'in_doubt' WHEN 5 THEN 'completed' WHEN 6 THEN 'failed'
       END AS state,
       i.attempt, i.inputs, r.outputs, i.code, i.message, i.run_id,
       datetime(i.submitted_at, 'unixepoch') AS submitted_utc,
       datetime(i.ended_at, 'unixepoch') AS ended_utc,
       c.provider, c.target
FROM items i JOIN contexts c ON c.id = i.context LEFT JOIN results r ON r.id = i.result;
"""


def planted(connection: sqlite3.Connection) -> list[str]:
    """What stands in a file that we never made: SQLite would run it when we read or write."""
    ours = {_words(view) for view in _VIEWS.split(";")}
    rows = connection.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    return [
        f"{kind} {name}"
        for kind, name, sql in rows
        if (kind in ("trigger", "view") and _words(sql) not in ours)
        or sql.upper().startswith("CREATE VIRTUAL")
    ]


def _words(sql: str) -> str:
    return " ".join(sql.split())


@migrations()
def first_tables(db: Database) -> None:
    """Everything of version 0.1."""
    for statement in (_TABLES + _VIEWS).split(";"):
        if statement.strip():
            db.execute(statement)
    db.execute("PRAGMA user_version = 1")
