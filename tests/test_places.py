"""Places of tables: what is one, what it is called, and that no password gets past."""

from pathlib import Path

import pytest

from enricher.places import Database, StoredObject, format_of, is_standard, marked, parse_place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("-", Path("-")),
        ("leads.csv", Path("leads.csv")),
        ("a:b/leads.csv", Path("a:b/leads.csv")),
        ("S3://crm/a/leads.csv", StoredObject("s3://crm/a/leads.csv")),
        ("gs://crm/le?ads.csv", StoredObject("gs://crm/le?ads.csv")),
        ("postgres://h/crm", Database("postgres://h/crm")),
        (
            "postgresql://u@h:5/crm?sslmode=require#a.b",
            Database("postgresql://u@h:5/crm?sslmode=require", "a.b"),
        ),
        ("postgresql:///?service=crm#a%23b", Database("postgresql:///?service=crm", "a#b")),
        ("sqlite:////var/crm.db#leads", Database("sqlite:////var/crm.db", "leads")),
    ],
)
def test_what_is_written_is_understood(text, place) -> None:
    assert parse_place(text) == place


def test_a_database_file_is_found_from_any_directory(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = parse_place("sqlite:///crm.db#leads")
    assert place.file == tmp_path / "crm.db"
    assert parse_place(str(place)) == place, "as a checkpoint keeps it"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:hunter2@h/crm",
        "postgresql://h/crm?password=hunter2",
        "postgresql://h/crm?user=u&PASSWORD=hunter2",
        "postgresql://h/crm?sslpassword=hunter2#t",
        "postgresql://u:hunter2@[h/crm",
        "s3://id:hunter2@crm/leads.csv",
        "az://crm/leads.csv?sv=2020&sig=hunter2",
        "s3://crm/leads.csv?X-Amz-Signature=hunter2",
        "mysql://u:hunter2@h/crm",
    ],
)
def test_secrets_are_refused_and_never_repeated(text) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_place(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "s3://",
        "s3://crm",
        "s3://crm/",
        "s3:///leads.csv",
        "s3://crm/a/",
        "sqlite:///",
        "sqlite://a/b",
    ],
)
def test_what_names_nothing_is_refused(text) -> None:
    with pytest.raises(ValueError, match=r"names no object|is not of the form"):
        parse_place(text)


def test_names_tell_the_format_and_the_place_beside(tmp_path) -> None:
    assert format_of(StoredObject("s3://crm/Leads.CSV.gz")) == ".csv"
    assert format_of(Path("-")) == ".csv"
    assert format_of(Database("postgresql://h/x")) == ""
    beside = marked(StoredObject("s3://crm/a/leads.csv.gz"), "partial")
    assert str(beside) == "s3://crm/a/leads.partial.csv.gz"
    assert marked(Path("-"), "partial") is None
    assert marked(Database("postgresql://h/x", "t"), "partial") is None
    assert is_standard(Path("-"))
    assert not is_standard(StoredObject("s3://crm/-"))
