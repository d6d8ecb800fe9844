"""Options to a job: what is taken, what is refused, and how all mistakes are told at once."""

import json
import math
import os
from pathlib import Path

import pytest

from enricher.errors import UsageError
from enricher.forms import parse_age, parse_in_flight, parse_rate
from enricher.job import make_job
from enricher.model import Mode

URL = "https://api.bitscale.ai/api/v1"
LEAST = {"input": "/data/leads.csv", "provider": "bitscale", "target": "grid-1", "base_url": URL}


def job(**options):
    return make_job({**LEAST, **options})


def mistakes(**options):
    """The lines of the error that these options bring; its last one is the mend."""
    with pytest.raises(UsageError) as caught:
        job(**options)
    assert caught.value.mend
    assert caught.value.exit_code == 2
    return caught.value.message.splitlines()


# --- forms -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("2h", 7200),
        ("30d", 2_592_000),
        ("0s", 0),
        ("1.5h", 5400),
        ("0.5s", 0.5),
        (" 2h ", 7200),
    ],
)
def test_an_age_is_a_number_with_a_unit(text, seconds):
    assert parse_age(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "90", "s", "-5s", "+5s", "1h30m", "2 h", "2H", "1w", ".5h", "1.h", "nand", "infs", "1e3s"],
)
def test_an_age_of_another_form_is_refused(text):
    with pytest.raises(ValueError, match="90s, 15m, 2h or 30d"):
        parse_age(text)


@pytest.mark.parametrize(
    ("value", "rate"),
    [
        ("auto", "auto"),
        ("unlimited", "unlimited"),
        ("5", 5.0),
        (50, 50.0),
        ("0.5", 0.5),
        ("7.25", 7.25),
        ("0.001", 0.001),
        ("100000", 100_000.0),
    ],
)
def test_a_rate_is_a_number_or_one_of_two_words(value, rate):
    assert parse_rate(value) == rate


@pytest.mark.parametrize(
    "value",
    [
        "",
        "0",
        "-5",
        "nan",
        "inf",
        "-inf",
        "fast",
        "Auto",
        "5/s",
        "5,5",
        "0.0001",
        "1e9",
        True,
        None,
    ],
)
def test_a_rate_of_another_form_is_refused(value):
    with pytest.raises(ValueError, match="`auto` or `unlimited`"):
        parse_rate(value)


@pytest.mark.parametrize(
    ("value", "most"), [("auto", "auto"), ("1", 1), (1, 1), ("007", 7), ("100000", 100_000)]
)
def test_how_many_may_be_in_flight_is_a_whole_number_or_auto(value, most):
    assert parse_in_flight(value) == most
    assert job(max_in_flight=value).max_in_flight == most


@pytest.mark.parametrize(
    "value",
    [
        *("", "0", "-1", "+1", "1.5", "1e3", "1_000", "many", "Auto", "unlimited", "100001", " 5"),
        *("9" * 5000, "٣", "inf", "nan", 0, -1, 1.5, True, None),
    ],
)
def test_a_number_in_flight_of_another_form_is_refused(value):
    with pytest.raises(ValueError, match="a whole number from 1 to 100000, or `auto`"):
        parse_in_flight(value)


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "1000000000"])
def test_a_number_in_flight_of_another_form_is_told_with_its_option(value):
    [line] = mistakes(max_in_flight=value)
    form = "is not a whole number from 1 to 100000, or `auto`"
    assert line == f"--max-in-flight: {value!r} {form}"


@pytest.mark.parametrize("mode", ["async", "sync", "auto"])
def test_a_mode_is_one_of_three_words(mode):
    assert job(mode=mode).mode == Mode(mode)


@pytest.mark.parametrize("mode", ["", "Sync", "fast", 1])
def test_another_mode_is_refused(mode):
    [line] = mistakes(mode=mode)
    assert line == "--mode: Input should be 'async', 'sync' or 'auto'"


# --- where the key may go --------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://api.bitscale.ai/api/v1",
        "https://localhost/api/v1",
        "https://10.0.0.1:8443",
        "https://[2001:db8::1]/v1",
        "http://localhost:8765/api/v1",
        "http://LOCALHOST/api",
        "http://127.0.0.1:8765/api/v1",
        "http://127.8.9.10/api/v1",
        "http://[::1]:8765/api/v1",
    ],
)
def test_an_address_over_https_or_of_this_machine_is_taken(url):
    assert job(base_url=url).base_url == url
    assert job(base_url=url + "//").base_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.bitscale.ai/api/v1",
        "http://10.0.0.1/",
        "http://127.0.0.1.example.com/",
        "http://localhost.example.com/",
        "http://example.com:127/",
        "http://0.0.0.0/",
        "http://[::2]/",
        "HTTP://example.com",
    ],
)
def test_http_is_refused_outside_loopback(url):
    [line] = mistakes(base_url=url)
    assert line.startswith("--base-url: ")
    assert line.endswith("would carry the key unencrypted; use https://")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.bitscale.ai",
        "/api/v1",
        "ftp://api.bitscale.ai",
        "https://",
        "https:///api",
        "https://[::1",
        "https://host:port/",
        "https://host:99999/",
        "https://host/api?key=1",
        "https://host/api#x",
        "https://host /api",
        "https://ho\nst/api",
        "http://localhost\\.example.com/",
    ],
)
def test_what_is_no_address_is_refused(url):
    [line] = mistakes(base_url=url)
    assert line == f"--base-url: {url!r} is no address such as {URL}"


@pytest.mark.parametrize("url", ["https://me:secret@host/", "https://@host/", "https://me@host/"])
def test_no_password_stands_in_an_address(url):
    [line] = mistakes(base_url=url)
    assert "must not hold a user name or password" in line
    assert "secret" not in line


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        (URL, "https://api.bitscale.ai"),
        ("https://API.BitScale.ai/Api/V1", "https://api.bitscale.ai"),
        ("https://api.bitscale.ai:443/api/v1", "https://api.bitscale.ai"),
        ("https://host:8443/a/b", "https://host:8443"),
        ("http://127.0.0.1:80/", "http://127.0.0.1"),
        ("http://localhost:443/", "http://localhost:443"),
    ],
)
def test_the_origin_is_scheme_host_and_port(url, origin):
    assert job(base_url=url).origin == origin


# --- paths -----------------------------------------------------------------------------------


def test_output_and_checkpoint_stand_beside_the_input():
    made = job(input="/data/leads.csv")
    assert made.output == Path("/data/leads.enriched.csv")
    assert made.checkpoint == Path("/data/leads.enriched.csv.checkpoint.db")
    assert made.partial == Path("/data/leads.enriched.partial.csv")


def test_the_checkpoint_stands_beside_the_output():
    made = job(output="/out/x.parquet")
    assert made.checkpoint == Path("/out/x.parquet.checkpoint.db")
    assert made.partial == Path("/out/x.partial.parquet")
    assert job(output="/out/x.csv", checkpoint="/c.db").checkpoint == Path("/c.db")


def test_what_is_not_given_is_its_default():
    made = job(rate=None, output=None, status_prefix=None, run_timeout=None, api_key_file=None)
    assert (made.rate, made.run_timeout, made.status_prefix) == ("auto", 7200, "enrichment")
    assert (made.output_columns, made.maps, made.templates) == ((), {}, {})
    made = job(mode=None, max_in_flight=None)
    assert (made.mode, made.max_in_flight) == (Mode.ASYNC, "auto")


def test_a_file_has_one_name_from_wherever_it_is_named(tmp_path, monkeypatch):
    """The same command again goes on, also from another folder and through a linked one."""
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    here = job(input=tmp_path / "data" / "leads.csv")
    monkeypatch.chdir(tmp_path / "data")
    for name in ("leads.csv", "./leads.csv", "../data/leads.csv", "../link/leads.csv"):
        there = job(input=name)
        assert there == here
        assert there.id == here.id


def test_what_is_written_stands_beside_a_link_to_a_file(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "leads.csv").symlink_to("elsewhere/leads-2024.csv")
    assert job(input=tmp_path / "leads.csv").output == tmp_path / "leads.enriched.csv"


def test_a_tilde_is_the_home_folder_where_there_is_such_a_user(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert job(input="~/leads.csv").input == tmp_path / "leads.csv"
    assert job(input="~$leads.csv").input == tmp_path / "~$leads.csv"


@pytest.mark.parametrize("path", ["", ".", "..", "/", "a/.."])
def test_a_folder_that_has_no_name_is_no_input(path):
    assert mistakes(input=path) == [f"INPUT: {path!r} names no file"]


# --- all mistakes at once --------------------------------------------------------------------


def test_all_mistakes_are_listed_at_once_with_the_option_they_stand_in():
    assert mistakes(
        target="",
        output="..",
        base_url="http://example.com",
        maps={"a": "A", "b": "B"},
        templates={"b": "{B}"},
        output_columns=[7],
        rate="fast",
        run_timeout=-1,
        status_prefix="a b",
        colour="red",
    ) == [
        "--output: '..' names no file",
        "--target: is required",
        "--base-url: 'http://example.com' would carry the key unencrypted; use https://",
        "--output-column: Input should be a valid string",
        "--set: fed twice, by -m b=… and by --set b=…; drop one of them",
        "--rate: 'fast' is not a number of requests per second from 0.001 to 100000, `auto` or"
        " `unlimited`",
        "--run-timeout: Input should be greater than or equal to 0",
        "--status-prefix: 'a b' must be a name without spaces, commas, semicolons and quotes",
        "--colour: Extra inputs are not permitted",
    ]


def test_a_missing_grid_is_told_as_required():
    with pytest.raises(UsageError) as caught:
        make_job({**LEAST, "target": None}, "grid")
    assert str(caught.value) == "--grid: is required\nSee `enricher run --help`."


@pytest.mark.parametrize("timeout", [math.nan, math.inf, -0.1, "soon"])
def test_a_run_timeout_is_a_number_of_seconds(timeout):
    [line] = mistakes(run_timeout=timeout)
    assert line.startswith("--run-timeout: ")


@pytest.mark.parametrize("prefix", ["", "a b", "a,b", "a;b", 'a"b', "a\n"])
def test_a_prefix_that_no_column_should_have_is_refused(prefix):
    [line] = mistakes(status_prefix=prefix)
    assert line.startswith("--status-prefix: ")


def test_text_that_could_not_be_sent_is_refused():
    """A shell hands over bytes that are no UTF-8 as lone surrogates."""
    bad = os.fsdecode(b"caf\xe9")
    assert mistakes(templates={"a": bad}, source_id=bad) == [
        f"--source-id: {bad!r} is not valid text: write it in UTF-8",
        f"--set: {bad!r} is not valid text: write it in UTF-8",
    ]


def test_a_job_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        job().rate = "auto"


# --- identity --------------------------------------------------------------------------------

FULL = {
    "input": "/data/leads.csv",
    "provider": "bitscale",
    "target": "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
    "base_url": URL,
    "source_id": "src-1",
    "output_columns": ("Funding Stage", "Company Description"),
    "maps": {"company_name": "Company Name"},
    "templates": {"website": "https://{Domain}"},
}


def test_the_id_of_a_job_never_changes():
    """A checkpoint holds its jobs under these ids: another id is another job, which begins anew."""
    assert job().id == "e09268e605f8"
    assert make_job(FULL).id == "b5ce0144ede1"


@pytest.mark.parametrize(
    "change",
    [
        {"input": "/data/leads2.csv"},
        {"target": "b"},
        {"base_url": "https://api.bitscale.ai/api/v2"},
        {"source_id": ""},
        {"output_columns": ("Funding Stage",)},
        {"maps": {"company_name": "Name"}},
        {"maps": {}},
        {"templates": {"website": "{Domain}"}},
    ],
)
def test_another_input_provider_target_or_mapping_is_another_job(change):
    assert make_job({**FULL, **change}).id != make_job(FULL).id


@pytest.mark.parametrize(
    "change",
    [
        {"output": "/x.csv"},
        {"checkpoint": "/x.db"},
        {"overwrite": True},
        {"rate": 50},
        {"run_timeout": 60},
        {"mode": "sync"},
        {"max_in_flight": 10},
        {"api_key_file": "/key"},
        {"status_prefix": "x"},
        {"output_columns": ("Company Description", "Funding Stage")},
    ],
)
def test_all_other_options_leave_it_the_same_job(change):
    assert make_job({**FULL, **change}).id == make_job(FULL).id


def test_a_job_goes_through_the_checkpoint_unchanged():
    more = {"rate": 7.5, "api_key_file": "/key", "run_timeout": 90.0}
    made = make_job({**FULL, **more, "mode": "sync", "max_in_flight": 7})
    stored = json.loads(json.dumps(made.model_dump(mode="json"), allow_nan=False))
    assert make_job(stored) == made
    assert make_job(stored).id == made.id
