"""Job files: what they may say, the places of mistakes, precedence, and the schema."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from enricher import jobfile
from enricher.api import order_of
from enricher.cli.schema import descriptions
from enricher.errors import EnricherError, JobFileError, UsageError
from enricher.job import Job
from enricher.jobfile import Draft, read_job_file, written
from enricher.jobfile.layout import TARGETS, keys
from enricher.jobfile.places import places

ROOT = Path(__file__).parents[1]
NOBODY: dict[str, str] = {}

WHOLE = """\
input = "lists/leads.csv"
output = "out.csv"

[provider]
name = "bitscale"
grid = "a1b2"
output_columns = ["Company Description"]
api_key_file = "secret.key"

[inputs]
company_name = "Company Name"
"a b" = { column = "A" }
website = { template = "https://{Domain}" }
country = { value = "{US}" }

[options]
rate = 5
run_timeout = "15m"
max_failures = "5%"
json = true
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/leads.csv").write_text("Company Name\n")
    (tmp_path / "secret.key").write_text("x")
    return tmp_path


def ordered(folder: Path, text: str, environ: dict[str, str] = NOBODY, **options: Any):
    path = folder / "leads.job.toml"
    path.write_text(text)
    return order_of(path, options, environ=environ)


def mistakes(folder: Path, text: str, **options: Any) -> list[str]:
    with pytest.raises(JobFileError) as caught:
        ordered(folder, text, **options)
    path = f"{folder / 'leads.job.toml'}:"
    return [line.strip().removeprefix(path) for line in caught.value.message.splitlines()[1:]]


def test_every_section_is_read_and_paths_are_relative_to_the_file(folder: Path) -> None:
    order = ordered(folder, WHOLE)
    job = order.job
    assert (job.input, job.output) == (folder / "lists/leads.csv", folder / "out.csv")
    assert job.checkpoint == folder / "leads.job.checkpoint.db"
    assert job.api_key_file == folder / "secret.key"
    assert (job.target, job.output_columns) == ("a1b2", ("Company Description",))
    assert job.maps == {"company_name": "Company Name", "a b": "A"}
    assert job.templates == {"website": "https://{Domain}", "country": "{{US}}"}
    assert (job.rate, job.run_timeout, job.max_failures.share) == (5.0, 900.0, 0.05)
    assert order.telling.as_json
    assert not order.telling.quiet


def test_every_option_of_a_job_has_its_key() -> None:
    fields = {key.field for key in keys().values() if key.model is Job}
    by_other_names = {"maps", "templates", "target"}
    assert fields == set(Job.model_fields) - by_other_names - {
        *("read_from", "own_keys", "wanted", "step", "steps", "shard", "job_file"),
    } | set(TARGETS)


def test_all_mistakes_are_listed_with_their_places(folder: Path) -> None:
    text = """\
input = "none.csv"
[provider]
gird = "x"
grid = 5
output_columns = [
  "a",
  3]
[inputs]
b = { template = "x", value = "y" }
c = 4
[options]
max-runs = 5
rate = "fast"
grid = "y"
excel_safe = "yes"
stop_after = 2024-01-01
quiet = true
verbose = true
[option]
"""
    found = mistakes(folder, text, max_attempts=0)
    lines = [int(line.partition(":")[0]) for line in found if line[0].isdigit()]
    assert lines == [1, 3, 4, 5, 9, 10, 12, 13, 14, 15, 16, 18, 19]
    told = "\n".join(found)
    for words in (
        f"1: input: there is no file {folder / 'none.csv'}",
        "3: provider.gird: unknown key (did you mean `grid`?)",
        "4: provider.grid: must be a valid string, not 5",
        "5: provider.output_columns: must be a valid string, not 3",
        "9: inputs.b: template and value contradict",
        "10: inputs.c: must be a column in quotes or a template, not 4",
        "12: options.max-runs: unknown key (did you mean `max_runs`?)",
        "13: options.rate: 'fast' is not a number of requests per second",
        "14: options.grid: unknown key: `grid` stands under [provider]",
        '15: options.excel_safe: must be a valid boolean, not "yes"',
        "16: options.stop_after: must not be a date or time; put 2024-01-01 in quotes",
        "18: options.verbose: `options.quiet` and `options.verbose` contradict each other",
        "19: option: unknown section (did you mean `options`?)",
        "--max-attempts: Input should be greater than or equal to 1",
    ):
        assert words in told


def test_what_is_required_may_stand_in_the_file_or_be_an_option(folder: Path) -> None:
    text = 'input = "lists/leads.csv"\n[provider]\n'
    assert mistakes(folder, text) == ["2: provider.grid: is required, here or as an option"]
    assert ordered(folder, text, grid="x").job.target == "x"


def test_mistakes_of_options_alone_are_wrong_usage(folder: Path) -> None:
    with pytest.raises(UsageError, match="--max-runs: Input should be greater"):
        ordered(folder, WHOLE, max_runs=0)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('input = "x"\ngrid = a1b2\n', ":2:8: this is no TOML"),
        ('input = "x', ":1:11: this is no TOML"),
        ('input = "x"\ninput = "y"\n', ":2:12: this is no TOML"),
    ],
)
def test_a_syntax_error_has_line_and_column(folder: Path, text, place) -> None:
    with pytest.raises(JobFileError) as caught:
        ordered(folder, text)
    assert place in caught.value.message


def test_what_is_not_utf8_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes('input = "x"\n# café\n'.encode("latin-1"))
    with pytest.raises(JobFileError, match=r"x\.toml:2: this is not UTF-8"):
        read_job_file(path)


SECRET = "sk-live-0123456789abcdef"


@pytest.mark.parametrize(
    "line",
    [
        f'[provider]\napi_key = "{SECRET}"',
        f'api_key = "{SECRET}"',
        f'[provider]\ngrid = "x"\napi_key_env = "{SECRET}"',
        f'[options]\ntoken = "{SECRET}"',
        f"[provider]\napi_key = {SECRET}",
        f'[provider]\nbase_url = "https://me:{SECRET}@api.example/v1"',
    ],
)
def test_a_key_in_the_file_is_refused_and_not_repeated(folder: Path, line) -> None:
    with pytest.raises(EnricherError) as caught:
        ordered(folder, f"{line}\n", grid="x")
    assert SECRET not in str(caught.value)
    assert caught.value.exit_code == 1


def test_two_sources_of_a_key_contradict(folder: Path) -> None:
    text = WHOLE.replace("api_key_file", 'api_key_env = "OTHER"\napi_key_file')
    (mistake,) = mistakes(folder, text)
    assert "`provider.api_key_file` and `provider.api_key_env` contradict each other" in mistake


# --- precedence -----------------------------------------------------------------------------------

URL = "BITSCALE_BASE_URL"


def test_options_come_before_the_environment_and_that_before_the_file(folder: Path) -> None:
    text = WHOLE.replace("[inputs]", 'base_url = "https://file.example"\n[inputs]')
    environ = {URL: "https://environ.example"}
    assert ordered(folder, text).job.base_url == "https://file.example"
    by_environ = ordered(folder, text, environ)
    assert by_environ.job.base_url == "https://environ.example"
    assert any(URL in remark for remark in by_environ.remarks)
    told = {"base_url": "https://option.example", "rate": 7.0}
    job = ordered(folder, text, environ, **told).job
    assert (job.base_url, job.rate) == ("https://option.example", 7.0)
    assert ordered(folder, WHOLE).job.base_url == "https://api.bitscale.ai/api/v1"


def test_a_key_in_the_environment_comes_before_a_key_file_of_the_job_file(folder: Path) -> None:
    environ = {"BITSCALE_API_KEY": "sk-x"}
    order = ordered(folder, WHOLE, environ)
    assert order.job.api_key_file is None
    assert any("BITSCALE_API_KEY is set" in remark for remark in order.remarks)
    given = folder / "other.key"
    assert ordered(folder, WHOLE, environ, api_key_file=given).job.api_key_file == given


def test_an_option_takes_the_place_of_its_rivals_in_the_file(folder: Path) -> None:
    text = WHOLE.replace("json = true", "verbose = true")
    assert not ordered(folder, text, quiet=True).telling.verbose
    named = WHOLE.replace('api_key_file = "secret.key"', 'api_key_env = "OTHER"')
    assert ordered(folder, named).job.api_key_env == "OTHER"
    assert ordered(folder, named, api_key_file=folder / "secret.key").job.api_key_env is None


def test_an_option_feeds_a_label_in_place_of_the_file(folder: Path) -> None:
    job = ordered(folder, WHOLE, maps={"website": "Web"}, templates={"company_name": "x"}).job
    assert job.maps == {"a b": "A", "website": "Web"}
    assert job.templates == {"country": "{{US}}", "company_name": "x"}


def test_another_input_stands_in_and_the_job_stays_the_same(folder: Path) -> None:
    order = ordered(folder, WHOLE)
    other = folder / "today.csv"
    moved = order_of(folder / "leads.job.toml", {"read_from": other}, environ=NOBODY)
    assert (moved.job.source, moved.job.id) == (other, order.job.id)
    assert (moved.job.output, moved.job.checkpoint) == (order.job.output, order.job.checkpoint)


# --- places, schema, writing ----------------------------------------------------------------------


def test_each_step_has_its_own_place() -> None:
    text = "[[s]]\na = 1\n[s.t]\nb = [1]\n[[s]]\n[s.t]\nc = 1\n"
    found = places(text)
    assert [found["s", "0"], found["s", "0", "t", "b"], found["s", "1"]] == [1, 4, 5]
    assert found["s", "1", "t", "c"] == 7


def test_places_are_where_a_statement_begins() -> None:
    text = 'a = 1\n\n# b = 2\nb = [\n 1,\n 2]\n[t.u]\n"c d" = """\nx\n[v]\n"""\ne.f = 1\n'
    assert places(text) == {
        ("a",): 1,
        ("b",): 4,
        ("t",): 7,
        ("t", "u"): 7,
        ("t", "u", "c d"): 8,
        ("t", "u", "e"): 12,
        ("t", "u", "e", "f"): 12,
    }


def test_the_published_schema_is_that_of_the_models() -> None:
    published = json.loads((ROOT / "docs/job.schema.json").read_text("utf-8"))
    assert published == jobfile.schema(descriptions()), (
        "renew it: enricher schema > docs/job.schema.json"
    )


def test_the_schema_has_every_key_with_words_for_people() -> None:
    schema = jobfile.schema(descriptions())
    for key in keys().values():
        table = schema["properties"]
        if key.section:
            table = table[key.section]["properties"]
        found = table[key.name]
        assert {"type", "anyOf", "$ref"} & found.keys(), key.path
        assert "null" not in json.dumps(found), key.path
    options = schema["properties"]["options"]["properties"]
    assert options["max_runs"]["description"].startswith("Submit at most N runs")
    assert options["max_failures"]["default"] == "50%"


AWKWARD = 'a "b" \\ \x7f é\n'


def test_what_init_writes_is_read_as_it_was_meant(folder: Path) -> None:
    draft = Draft(
        input="lists/leads.csv",
        title=AWKWARD,
        provider={"name": "bitscale", "grid": "a1", "api_key_env": "BITSCALE_API_KEY"},
        inputs={"company name": {"column": AWKWARD}, "w": {"template": "{{x}} {A}"}},
        unsure={"e mail": f"label: no column\n{AWKWARD}"},
        columns=[AWKWARD],
        outputs=["x", AWKWARD],
    )
    text = written(draft)
    data = tomllib.loads(text)
    assert data["inputs"] == {"company name": AWKWARD, "w": {"template": "{{x}} {A}"}}
    assert '# "e mail" = "…"' in text
    job = ordered(folder, text).job
    assert job.maps == {"company name": AWKWARD}
    uncommented = [
        line.removeprefix("# ")
        for line in text.splitlines()
        if line.startswith("# ") and " = " in line
    ]
    for line in uncommented:
        name = line.split(" = ")[0]
        if ("options", name) in keys():
            ordered(folder, f"{text}\n{line}\n")
