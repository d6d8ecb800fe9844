"""Databases in and out: a query is copied once, and a table is replaced whole or not at all."""

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import polars as pl
import pytest

from tests.acceptance.desk import COMPANIES, STATUS, Desk, answers, cells, until
from tests.support.postgres import Server, running_postgres

pytest.importorskip("pyarrow")
dbapi = pytest.importorskip("adbc_driver_postgresql.dbapi")

RUN = ("--grid", COMPANIES.id, "--rate", "unlimited", "--checkpoint", "all.db")
OUTPUTS = [column.name for column in COMPANIES.outputs]

# --- SQLite -----------------------------------------------------------------------------------


def crm(desk: Desk, *statements: str) -> None:
    with closing(sqlite3.connect(desk.folder / "crm.db")) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def asked(desk: Desk, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(desk.folder / "crm.db")) as db:
        return db.execute(sql).fetchall()


LEADS = 'CREATE TABLE leads ("Company Name", Website, staff, mixed, score)'
FILLED = """INSERT INTO leads VALUES
    ('Acme', 'acme.com', 7, 1, 1.0), ('Bolt', NULL, 9007199254740993, 'two', 0.1),
    ('Café', 'café.fr', NULL, 3.5, NULL)"""


@pytest.fixture
def leads(desk: Desk) -> Desk:
    crm(desk, LEADS, FILLED)
    return desk


def test_a_table_of_sqlite_is_read_as_it_is(leads: Desk) -> None:
    leads.do("run", "sqlite:///crm.db", "--table", "leads", *RUN, "-o", "out.csv")
    out = cells(leads.folder / "out.csv")
    assert out.header == ["Company Name", "Website", "staff", "mixed", "score", *OUTPUTS, *STATUS]
    assert [row[:5] for row in out.rows] == [
        ["Acme", "acme.com", "7", "1", "1"],
        ["Bolt", "", "9007199254740993", "two", "0.1"],
        ["Café", "café.fr", "", "3.5", ""],
    ]
    assert len(leads.bought) == 3


def test_a_query_chooses_rows_and_columns(leads: Desk) -> None:
    query = 'SELECT "Company Name", Website FROM leads WHERE staff > 1 ORDER BY staff DESC'
    leads.do("run", "sqlite:///crm.db", "--query", query, *RUN, "-o", "out.parquet")
    out = pl.read_parquet(leads.folder / "out.parquet")
    assert out["Company Name"].to_list() == ["Bolt", "Acme"]
    assert out.columns == ["Company Name", "Website", *OUTPUTS, *STATUS]


def test_a_table_is_made_and_replaced_whole(leads: Desk) -> None:
    command = ("run", "sqlite:///crm.db#leads", *RUN, "-o", "sqlite:///crm.db#enriched")
    leads.do(*command)
    rows = asked(leads, "SELECT * FROM enriched")
    assert [row[:3] for row in rows] == [
        ("Acme", "acme.com", 7),
        ("Bolt", None, 9007199254740993),
        ("Café", "café.fr", None),
    ]
    assert [row[-2:] for row in rows] == [("completed", None)] * 3
    given = answers(COMPANIES, {"company_name": "Acme", "website": "acme.com"})
    found = dict(zip(OUTPUTS, rows[0][5:-2], strict=True))
    for name, value in zip(OUTPUTS, given, strict=True):
        if isinstance(value, bool):
            assert found[name] == int(value)
        elif isinstance(value, str | int | float):
            assert found[name] == value
    crm(leads, "INSERT INTO leads VALUES ('Dune', 'dune.com', 1, 1, 1)")
    leads.do(*command)
    assert len(asked(leads, "SELECT * FROM enriched")) == 4
    assert len(leads.bought) == 4
    tables = asked(leads, "SELECT name FROM sqlite_master ORDER BY name")
    assert tables == [("enriched",), ("leads",)]


def test_a_database_is_made_where_there_is_none(desk: Desk) -> None:
    desk.write("leads.csv", ["Company Name,Website", "Acme,acme.com", "00123,b.com"])
    desk.do("run", "leads.csv", *RUN, "-o", "sqlite:///crm.db#out")
    found = asked(desk, 'SELECT "Company Name", enrichment_status FROM out')
    assert found == [("Acme", "completed"), ("00123", "completed")]


def test_a_foreign_table_is_not_replaced(leads: Desk) -> None:
    crm(leads, "CREATE TABLE precious (n)")
    command = ("run", "sqlite:///crm.db", "--table", "leads", *RUN)
    said = leads.do(*command, "-o", "sqlite:///crm.db#precious", exits=1)
    assert "crm.db#precious exists" in said.err
    assert "is the input itself" in leads.do(*command, "-o", "sqlite:///crm.db#leads", exits=1).err
    assert leads.bought == []
    leads.do(*command, "-o", "sqlite:///crm.db#precious", "--overwrite")
    assert len(asked(leads, "SELECT * FROM precious")) == 3


def test_a_stopped_job_leaves_the_table_and_resume_needs_only_the_copy(leads: Desk) -> None:
    command = ("run", "sqlite:///crm.db", "--table", "leads", *RUN, "-o", "sqlite:///crm.db#out")
    said = leads.do(*command, "--max-runs", "1", exits=4)
    assert "none yet: a database gets finished tables only" in said.err
    assert asked(leads, "SELECT name FROM sqlite_master") == [("leads",)]
    (copy,) = leads.folder.glob("all.db.input-*")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    crm(leads, "DROP TABLE leads")
    assert "-o" in leads.do("export", "all.db", exits=1).err
    leads.do("export", "all.db", "-o", "so-far.csv")
    assert cells(leads.folder / "so-far.csv").column("enrichment_status").count("pending") == 2
    leads.do("resume", "all.db")
    assert len(asked(leads, "SELECT * FROM out")) == 3
    assert len(leads.bought) == 3


def test_a_killed_job_goes_on(new_desk: Any) -> None:
    desk = new_desk(duration="constant:0.5", rate=20)
    crm(desk, 'CREATE TABLE leads ("Company Name", Website)')
    with closing(sqlite3.connect(desk.folder / "crm.db")) as db:
        db.executemany("INSERT INTO leads VALUES (?, ?)", [(f"Firm {n}", n) for n in range(30)])
        db.commit()
    command: tuple[str, ...] = ("run", "sqlite:///crm.db", "--table", "leads")
    command += ("--grid", COMPANIES.id, "--rate", "20", "--checkpoint", "all.db")
    command += ("-o", "sqlite:///crm.db#out")
    life = desk.start(*command)
    until(lambda: len(desk.bought) >= 10, "ten runs")
    life.process.kill()
    life.end()
    assert asked(desk, "SELECT name FROM sqlite_master") == [("leads",)]
    desk.do(*command, "--in-doubt", "retry")
    found = asked(desk, 'SELECT "Company Name", enrichment_status FROM out')
    assert found == [(f"Firm {n}", "completed") for n in range(30)]
    assert len(desk.bought) - 30 <= 2, "what was in doubt at the kill, and no more"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("sqlite:///no.db", "--table", "leads"), ["no.db: there is no such file"]),
        (("sqlite:///crm.db", "--table", "none"), ["crm.db#none cannot be read: no such table"]),
        (("sqlite:///crm.db", "--query", "SELEC 1"), ["syntax error"]),
        (("sqlite:///crm.db", "--query", "DELETE FROM leads"), ["readonly database"]),
        (("sqlite:///crm.db", "--query", "SELECT 1 AS a, 2 AS a"), ["two columns named 'a'"]),
        (("sqlite:///text.csv", "--table", "t"), ["file is not a database"]),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_sent(
    leads: Desk, words: tuple[str, ...], said: list[str]
) -> None:
    leads.write("text.csv", ["a,b"] * 99)
    told = leads.do("run", *words, *RUN, "-o", "out.csv", exits=1)
    for word in said:
        assert word in told.err
    assert leads.bought == []
    assert leads.files() == ["crm.db", "text.csv"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("sqlite:///crm.db", "-o", "out.csv"), "either --query SQL or --table NAME"),
        (("sqlite:///crm.db#a", "--query", "SELECT 1", "-o", "out.csv"), "either --query"),
        (("leads.csv", "--table", "leads"), "--query and --table are for databases"),
        (("leads.csv", "-o", "sqlite:///crm.db"), "names no table: write it after a #"),
        (("sqlite:///crm.db", "--table", "leads"), "--output: is required"),
        (("sqlite://crm.db", "--table", "leads", "-o", "out.csv"), "is not of the form sqlite:///"),
    ],
)
def test_wrong_usage(leads: Desk, words: tuple[str, ...], said: str) -> None:
    assert said in leads.do("run", *words, "--grid", COMPANIES.id, exits=2).err


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("Company Name,Website,website", "no two columns can be called 'website'"),
        ("Company Name,Website,", "no column can be called ''"),
    ],
)
def test_names_that_a_table_cannot_have_are_refused_before_anything_is_sent(
    desk: Desk, header: str, said: str
) -> None:
    desk.write("leads.csv", [header, "Acme,a.com,x"])
    maps = ("-m", "company_name=Company Name", "-m", "website=Website")
    told = desk.do("run", "leads.csv", *RUN, *maps, "-o", "sqlite:///crm.db#out", exits=1)
    assert said in told.err
    assert desk.bought == []


# --- PostgreSQL -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    try:
        running = running_postgres()
        server = running.__enter__()
    except RuntimeError as error:
        pytest.skip(str(error))
    yield server
    running.__exit__(None, None, None)


class Crm:
    """A database of PostgreSQL, empty at first, and a desk whose environment leads to it."""

    def __init__(self, desk: Desk, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self.desk = desk
        self.url = server.url
        self.server = server
        desk.secrets.append(server.password)
        monkeypatch.setenv("PGPASSWORD", server.password)
        self.sql("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")

    def sql(self, *statements: str) -> None:
        with closing(dbapi.connect(self.url)) as db:
            for statement in statements:
                with db.cursor() as cursor:
                    cursor.execute(statement)
            db.commit()

    def asked(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(dbapi.connect(self.url)) as db, db.cursor() as cursor:
            cursor.execute(sql)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows

    def do(self, *words: object, **how: Any) -> Any:
        return self.desk.do(*words, env={**self.server.env, **how.pop("env", {})}, **how)


@pytest.fixture
def pg(desk: Desk, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Crm:
    return Crm(desk, postgres, monkeypatch)


PG_LEADS = """CREATE TABLE leads ("Company Name" text, "Website" varchar(40), code char(3),
    staff bigint, price numeric, share float8, founded date, seen timestamp, at timestamptz,
    hiring boolean, tags text[], note jsonb, id uuid)"""
PG_FILLED = """INSERT INTO leads VALUES
    ('Acme', 'acme.com', '001', 7, 12.50, 0.1, '1999-12-31', '2020-01-02 03:04:05',
     '2020-01-02 03:04:05+02', true, '{a,"b c"}', '{"k": 1}',
     '5eed0001-0000-4000-8000-000000000000'),
    ('Bolt', NULL, NULL, NULL, 1e20, 1, NULL, NULL, NULL, false, NULL, NULL, NULL)"""
PG_TEXT = [
    *("Acme", "acme.com", "001", "7", "12.5", "0.1", "1999-12-31", "2020-01-02T03:04:05"),
    *("2020-01-02T01:04:05+00:00", "true", '["a","b c"]', '{"k": 1}'),
    "5eed0001-0000-4000-8000-000000000000",
]


def test_a_table_of_postgresql_keeps_its_types(pg: Crm) -> None:
    pg.sql(PG_LEADS, PG_FILLED)
    pg.do("run", pg.url, "--table", "public.leads", *RUN, "-o", "out.csv")
    out = cells(pg.desk.folder / "out.csv")
    assert out.rows[0][: len(PG_TEXT)] == PG_TEXT
    assert out.rows[1][:6] == ["Bolt", "", "", "", "100000000000000000000", "1"]
    pg.do("run", f"{pg.url}#leads", *RUN, "-o", "out.parquet")
    schema = pl.read_parquet_schema(pg.desk.folder / "out.parquet")
    assert schema["founded"] == pl.Date
    assert schema["tags"] == pl.List(pl.String)
    assert len(pg.desk.bought) == 2


def test_a_table_of_postgresql_is_made_and_replaced_whole(pg: Crm) -> None:
    pg.sql(PG_LEADS, PG_FILLED)
    query = 'SELECT * FROM leads ORDER BY "Company Name"'
    command = ("run", pg.url, "--query", query, *RUN, "-o", f"{pg.url}#out")
    pg.do(*command)
    pg.sql("INSERT INTO leads VALUES ('Core', 'core.com')")
    pg.do(*command)
    rows = pg.asked('SELECT "Company Name", founded::text, enrichment_status FROM out')
    assert rows == [
        ("Acme", "1999-12-31", "completed"),
        ("Bolt", None, "completed"),
        ("Core", None, "completed"),
    ]
    given = dict(
        zip(
            OUTPUTS,
            answers(COMPANIES, {"company_name": "Acme", "website": "acme.com"}),
            strict=True,
        )
    )
    ((employees, hiring, kind),) = pg.asked(
        """SELECT "Employees", "Is Hiring", pg_typeof("Employees")::text FROM out LIMIT 1"""
    )
    assert (employees, hiring) == (given["Employees"], given["Is Hiring"])
    assert kind == "bigint"
    tables = pg.asked("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
    assert sorted(tables) == [("leads",), ("out",)]
    assert len(pg.desk.bought) == 3


def test_a_table_in_the_way_of_others_stays_as_it_is(pg: Crm) -> None:
    pg.sql("CREATE TABLE out (n integer)", "CREATE VIEW watching AS SELECT n FROM out")
    pg.desk.write("leads.csv", ["Company Name,Website", "Acme,acme.com"])
    command = ("run", "leads.csv", *RUN, "-o", f"{pg.url}#out")
    assert f"{pg.url}#out exists" in pg.do(*command, exits=1).err
    said = pg.do(*command, "--overwrite", exits=1)
    assert "other objects depend on it" in said.err
    assert pg.asked("SELECT count(*) FROM out") == [(0,)]
    pg.do("export", "all.db", "-o", "out.csv")
    assert cells(pg.desk.folder / "out.csv").column("enrichment_status") == ["completed"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT '12'::money AS m", ["column 'm' is of the type money", 'CAST("m" AS text)']),
        ("SELECT '1.2.3.4'::inet AS ip", ["column 'ip' is of the type inet"]),
        ("SELECT interval '1 day' AS i", ["column 'i' is of the type interval"]),
        ("SELECT row(1) AS r", ["column 'r' is of the type record"]),
        ("SELECT 1 AS a, 2 AS a", ["two columns named 'a'"]),
        ("SELEC 1", ['syntax error at or near "SELEC"']),
        ("DROP TABLE leads", ["read-only transaction"]),
        ("SELECT * FROM nothing", ['relation "nothing" does not exist']),
    ],
)
def test_what_postgresql_cannot_give_is_refused_before_anything_is_sent(
    pg: Crm, query: str, said: list[str]
) -> None:
    pg.sql(PG_LEADS)
    told = pg.do("run", pg.url, "--query", query, *RUN, "-o", "out.csv", exits=1)
    for word in said:
        assert word in told.err
    assert pg.desk.bought == []
    assert pg.desk.files() == []
    assert pg.asked("SELECT count(*) FROM leads") == [(0,)]


def test_nul_has_no_place_in_text_of_postgresql(pg: Crm) -> None:
    (pg.desk.folder / "leads.csv").write_bytes(b"Company Name,Website\nA\x00b,acme.com\n")
    pg.do("run", "leads.csv", *RUN, "-o", f"{pg.url}#out")
    assert pg.asked('SELECT "Company Name" FROM out') == [("A\ufffdb",)]


def test_a_wrong_password_and_no_server_are_told(pg: Crm) -> None:
    command = ("run", pg.url, "--table", "leads", *RUN, "-o", "out.csv")
    said = pg.do(*command, env={"PGPASSWORD": "guess-4"}, exits=1)
    assert 'password authentication failed for user "crm"' in said.err
    assert "PGPASSWORD" in said.err
    assert "guess-4" not in said.err
    nowhere = "postgresql://crm@127.0.0.1:9/postgres"
    said = pg.do("run", nowhere, "--table", "leads", *RUN, "-o", "out.csv", exits=1)
    assert "Connection refused" in said.err


@pytest.mark.parametrize(
    "url", ["postgresql://crm:{}@127.0.0.1/x", "postgres://127.0.0.1/x?user=crm&password={}"]
)
def test_a_password_in_an_address_is_refused_and_not_repeated(desk: Desk, url: str) -> None:
    desk.secrets.append("pg-canary-4711")
    url = url.format("pg-canary-4711")
    for words in ((url, "--table", "t", "-o", "out.csv"), ("leads.csv", "-o", f"{url}#t")):
        said = desk.do("run", *words, "--grid", COMPANIES.id, "--json", exits=2)
        assert "must not hold a password: put it into PGPASSWORD" in said.err
    assert desk.files() == []
