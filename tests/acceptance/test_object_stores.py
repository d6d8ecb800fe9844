"""Object stores, against an S3 on loopback: copied once, read from the copy, uploaded whole."""

import gzip
from typing import Any

import polars as pl
import pytest

from enricher.zstd import ZstdFile
from tests.acceptance.bucket import Bucket, endpoint
from tests.acceptance.desk import COMPANIES, STATUS, Desk, until
from tests.support.object_store import SECRET

__all__ = ["endpoint"]

LIST = b"Company Name,Website\nAcme,acme.com\nBolt,bolt.com\n"
OUTPUTS = [column.name for column in COMPANIES.outputs]
RUN = ("--grid", COMPANIES.id, "--rate", "unlimited")


@pytest.fixture
def bucket(desk: Desk, endpoint: str) -> Bucket:
    return Bucket(desk, endpoint)


def test_an_object_becomes_an_object_beside_it(bucket: Bucket) -> None:
    bucket.put("a b/leads é.csv", LIST)
    said = bucket.do("run", "s3://crm/a b/leads é.csv", *RUN)
    assert bucket.keys() == ["a b/leads é.csv", "a b/leads é.enriched.csv"]
    header, *rows = bucket.rows("a b/leads é.enriched.csv")
    assert header == ["Company Name", "Website", *OUTPUTS, *STATUS]
    assert [row[:2] for row in rows] == [["Acme", "acme.com"], ["Bolt", "bolt.com"]]
    assert "the checkpoint is " in said.err
    assert "s3://crm/a b/leads é.enriched.csv" in said.err


def test_the_copy_is_private_and_packed_and_read_ever_after(bucket: Bucket) -> None:
    bucket.put("leads.csv.gz", gzip.compress(LIST))
    bucket.do("run", "s3://crm/leads.csv.gz", *RUN, "-o", "out.csv", "--max-runs", "1", exits=4)
    (copy,) = bucket.desk.folder.glob("out.csv.checkpoint.db.input-*")
    assert copy.stat().st_mode & 0o777 == 0o600
    with ZstdFile(copy) as plain:
        assert plain.read() == LIST
    bucket.put("leads.csv.gz", b"gone bad")
    bucket.desk.do(
        "resume", "out.csv.checkpoint.db", env={"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    )
    assert len(bucket.desk.bought) == 2
    assert (bucket.desk.folder / "out.csv").read_text().startswith("Company Name,Website,")


def test_the_same_object_again_is_not_loaded_again_and_a_new_version_is(bucket: Bucket) -> None:
    bucket.put("leads.csv", LIST)
    command = ("run", "s3://crm/leads.csv", *RUN, "-o", "out.csv")
    bucket.do(*command)
    (copy,) = bucket.desk.folder.glob("*.input-*")
    stamp = copy.stat().st_mtime_ns
    bucket.do(*command)
    assert [one.stat().st_mtime_ns for one in bucket.desk.folder.glob("*.input-*")] == [stamp]
    bucket.put("leads.csv", LIST + b"Core,core.com\n")
    bucket.do(*command)
    assert [run["company_name"] for run in bucket.desk.bought] == ["Acme", "Bolt", "Core"]
    (new,) = bucket.desk.folder.glob("*.input-*")
    assert new != copy, "the old copy is of no use any more"


@pytest.mark.parametrize("name", ["leads.parquet", "leads.xlsx", "leads.ndjson.zst"])
def test_every_format_comes_and_goes(bucket: Bucket, name: str) -> None:
    bucket.desk.write("leads.csv", LIST.decode().splitlines())
    options = (*RUN, "--checkpoint", "all.db")
    bucket.do("run", "leads.csv", *options, "-o", f"s3://crm/{name}")
    bucket.do(
        *("run", f"s3://crm/{name}", *options, "-o", "out.parquet", "--status-prefix", "again")
    )
    out = pl.read_parquet(bucket.desk.folder / "out.parquet")
    assert out["Company Name"].to_list() == ["Acme", "Bolt"]
    assert out["enrichment_status"].to_list() == ["completed"] * 2
    assert len(bucket.desk.bought) == 2


def test_what_there_is_stands_beside_the_output_until_the_job_is_finished(bucket: Bucket) -> None:
    bucket.put("leads.csv", LIST)
    said = bucket.do("run", "s3://crm/leads.csv", *RUN, "--max-runs", "1", exits=4)
    assert bucket.keys() == ["leads.csv", "leads.enriched.partial.csv"]
    assert "s3://crm/leads.enriched.partial.csv" in said.err
    checkpoint = said.err.partition("the checkpoint is ")[2].splitlines()[0]
    bucket.do("export", checkpoint, "-o", "s3://crm/so-far.csv")
    assert b"pending" in bucket.get("so-far.csv")
    bucket.do("run", "s3://crm/leads.csv", *RUN)
    assert bucket.keys() == ["leads.csv", "leads.enriched.csv", "so-far.csv"]
    assert len(bucket.desk.bought) == 2


def test_a_killed_job_goes_on(new_desk: Any, endpoint: str) -> None:
    bucket = Bucket(new_desk(duration="constant:0.5", rate=20), endpoint)
    lines = ["Company Name,Website", *[f"Firm {n},{n}.com" for n in range(30)]]
    bucket.put("leads.csv", "\n".join(lines).encode())
    command = ("run", "s3://crm/leads.csv", "--grid", COMPANIES.id, "--rate", "20")
    life = bucket.desk.start(*command, env=bucket.env)
    until(lambda: len(bucket.desk.bought) >= 10, "ten runs")
    life.process.kill()
    life.end()
    assert bucket.keys() == ["leads.csv"]
    bucket.do(*command, "--in-doubt", "retry")
    assert [row[0] for row in bucket.rows("leads.enriched.csv")[1:]] == [
        f"Firm {n}" for n in range(30)
    ]
    assert len(bucket.desk.bought) - 30 <= 2, "what was in doubt at the kill, and no more"


def test_plan_leaves_nothing_behind(bucket: Bucket) -> None:
    bucket.put("leads.csv", LIST)
    said = bucket.do("plan", "s3://crm/leads.csv", *RUN)
    assert "2" in said.out
    assert bucket.keys() == ["leads.csv"]
    assert [name for name in bucket.desk.files() if "input-" in name or ".db" in name] == []


@pytest.mark.parametrize(
    ("words", "key", "said"),
    [
        (("s3://crm/none.csv",), "", ["s3://crm/none.csv: there is no such object"]),
        (("s3://nobucket/leads.csv",), "", ["there is no such object, or no such bucket"]),
        (
            ("s3://crm/leads.csv", "-o", "s3://nobucket/out.csv"),
            "leads.csv",
            ["there is no such bucket"],
        ),
        (("s3://crm/leads.pdf",), "leads.pdf", ["the extension .pdf is not known"]),
        (("s3://crm/empty.csv",), "empty.csv", ["s3://crm/empty.csv is empty (0 bytes)"]),
        (("s3://crm/bad.csv.gz",), "bad.csv.gz", ["s3://crm/bad.csv.gz", "gzip"]),
        (("s3://crm/ragged.csv",), "ragged.csv", ["s3://crm/ragged.csv, line 2: 3 fields"]),
    ],
)
def test_what_cannot_be_read_or_written_is_refused_before_anything_is_sent(
    bucket: Bucket, words: tuple[str, ...], key: str, said: list[str]
) -> None:
    contents = {"empty.csv": b"", "bad.csv.gz": gzip.compress(LIST * 99)[:-30]}
    contents["ragged.csv"] = b"Company Name,Website\nAcme,a.com,b\n"
    if key:
        bucket.put(key, contents.get(key, LIST))
    told = bucket.do("run", *words, *RUN, exits=1)
    for word in said:
        assert word in told.err
    assert bucket.desk.bought == []
    assert [name for name in bucket.desk.files() if "input-" in name] == []


def test_a_foreign_object_is_not_replaced(bucket: Bucket) -> None:
    bucket.put("leads.csv", LIST)
    bucket.put("leads.enriched.csv", b"precious")
    said = bucket.do("run", "s3://crm/leads.csv", *RUN, exits=1)
    assert "s3://crm/leads.enriched.csv exists" in said.err
    assert bucket.get("leads.enriched.csv") == b"precious"
    bucket.do("run", "s3://crm/leads.csv", *RUN, "--overwrite")
    assert bucket.get("leads.enriched.csv") != b"precious"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"s3://id:{SECRET}@crm/leads.csv", "must not hold a key"),
        (f"az://crm/leads.csv?sv=1&sig={SECRET}", "must not hold a key or a signature"),
        ("s3://crm", "names no object"),
        ("ftp://crm/leads.csv", "ftp:// is no place of tables"),
    ],
)
def test_addresses_with_keys_or_without_an_object_are_wrong_usage(
    bucket: Bucket, url: str, words: str
) -> None:
    assert words in bucket.do("run", url, *RUN, exits=2).err
    assert words in bucket.do("run", "leads.csv", "-o", url, *RUN, exits=2).err


def test_without_credentials_the_message_names_the_variables(bucket: Bucket) -> None:
    said = bucket.desk.do(
        *("run", "s3://crm/leads.csv", *RUN, "-o", "out.csv"),
        env={**bucket.env, "AWS_ACCESS_KEY_ID": ""},
        exits=1,
    )
    assert "AWS_ACCESS_KEY_ID" in said.err


def test_an_endpoint_without_tls_is_for_loopback_only(bucket: Bucket) -> None:
    env = {**bucket.env, "AWS_ENDPOINT_URL": "http://s3.example.org"}
    said = bucket.desk.do("run", "s3://crm/leads.csv", *RUN, "-o", "out.csv", env=env, exits=1)
    assert "s3://crm/leads.csv cannot be read" in said.err
