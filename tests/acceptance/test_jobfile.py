"""Job files as a user has them: written by `init`, looked at by `plan`, run, and gone on with."""

import json
import re
import shlex
import tomllib

from tests.acceptance.desk import COMPANIES, Desk, cells
from tests.acceptance.terminal import Terminal

ROWS = ["Company Name,Domain,Site", "Acme,acme.com,x", "Bolt,bolt.io,y", ",,", "Acme,acme.com,x"]
JOB = f"""\
input = "leads.csv"
[provider]
grid = "{COMPANIES.id}"
[inputs]
company_name = "Company Name"
website = {{ template = "https://{{Domain}}" }}
[options]
rate = "unlimited"
json = true
summary_file = "summary.json"
"""


def job_file(desk: Desk, text: str = JOB) -> None:
    desk.write("leads.csv", ROWS)
    (desk.folder / "leads.job.toml").write_text(text, encoding="utf-8")


def test_a_job_file_is_all_that_a_run_needs_from_anywhere(desk: Desk) -> None:
    job_file(desk)
    elsewhere = desk.folder / "elsewhere"
    elsewhere.mkdir()
    told = desk.do("run", "../leads.job.toml", cwd=elsewhere).json
    assert told["rows"]["completed"] == 3
    assert told == json.loads((desk.folder / "summary.json").read_text())
    assert told["checkpoint"] == str(desk.folder / "leads.job.checkpoint.db")
    assert cells(desk.folder / "leads.enriched.csv").column("enrichment_status")[2] == "skipped"
    assert sorted(run["website"] for run in desk.bought) == ["https://acme.com", "https://bolt.io"]
    assert list(elsewhere.iterdir()) == []

    planned = desk.do("plan", "leads.job.toml", "--json").json
    assert (planned["new_runs"], planned["rows"]["reused"]) == (0, 3)
    assert planned["mapping"]["website"] == {"template": "https://{Domain}"}

    desk.write("today.csv", [*ROWS, "Cog,cog.com,z"])
    again = desk.do("run", "leads.job.toml", "--input", "today.csv").json
    assert (again["job"], again["runs"]["submitted"]) == (told["job"], 1)
    assert again["input"] == str(desk.folder / "leads.csv")  # what the job is known by


def test_plan_knows_what_a_run_costs_when_some_were_paid(desk: Desk) -> None:
    job_file(desk)
    assert desk.do("plan", "leads.job.toml", "--json").json["credits"]["estimate"] is None
    said = desk.do("plan", "leads.csv", "--grid", COMPANIES.id, "--set", "website=x")
    assert "the cost of a run is unknown, try `run --sample 20`" in said.out
    paid = desk.do("run", "leads.job.toml").json["credits"]
    cost = (paid["before"] - paid["after"]) / 2
    assert cost > 0
    desk.write("leads.csv", [*ROWS, *(f"C{n},c{n}.com," for n in range(10))])
    planned = desk.do("plan", "leads.job.toml", "--json").json
    assert (planned["new_runs"], planned["credits"]["estimate"]) == (10, 10 * cost)
    text = desk.do("plan", "leads.csv", "--grid", COMPANIES.id, "--set", "website=x")
    assert "unknown" in text.out  # another checkpoint


def test_mistakes_cost_nothing_and_are_told_to_programs_too(desk: Desk) -> None:
    job_file(desk, JOB.replace("rate =", "rte =").replace("[inputs]", "api_key = 'x'\n[inputs]"))
    said = desk.do("run", "leads.job.toml", exits=1)
    assert said.err.startswith("Error: leads.job.toml has 2 mistakes:")
    assert "leads.job.toml:9: options.rte: unknown key (did you mean `rate`?)" in said.err
    assert said.json["error"]["code"] == "job_file_error"
    assert json.loads((desk.folder / "summary.json").read_text()) == said.json
    assert desk.requests == 0


def test_an_error_tells_programs_what_is_known_of_the_job(desk: Desk) -> None:
    job_file(desk)
    (desk.folder / "leads.enriched.csv").write_text("mine")
    told = desk.do("run", "leads.job.toml", exits=1).json
    assert (told["outcome"], told["error"]["code"]) == ("error", "output_exists")
    assert (told["provider"], told["target"]) == ("bitscale", COMPANIES.id)
    assert told["output"] == str(desk.folder / "leads.enriched.csv")


def test_an_output_of_another_checkpoint_is_refused_with_the_name_of_that_checkpoint(
    desk: Desk,
) -> None:
    job_file(desk)
    desk.do("run", "leads.job.toml", "--checkpoint", "first.checkpoint.db")
    bought = len(desk.bought)
    told = desk.do("run", "leads.job.toml", exits=1)
    (known,) = re.findall(r"--checkpoint (.*) goes on", told.err)
    desk.do("run", "leads.job.toml", "--checkpoint", *shlex.split(known))
    assert len(desk.bought) == bought


def test_the_schema_is_one_json_object(desk: Desk) -> None:
    schema = json.loads(desk.do("schema").out)
    one, several = schema["properties"]["provider"]["properties"]["grid"]["anyOf"]
    assert one["type"] == several["items"]["type"] == "string"


# --- init -----------------------------------------------------------------------------------------

INIT = ("init", "leads.csv", "--grid", COMPANIES.id)


def test_init_without_a_terminal_leaves_the_unsure_as_comments(desk: Desk) -> None:
    desk.write("leads.csv", ROWS)
    said = desk.do(*INIT)
    assert "The first 3 rows as they would be sent" in said.err
    assert "company_name  Acme" in said.err
    assert "fill in what is commented out under [inputs]: website" in said.err
    assert said.err.endswith("Next:  enricher plan leads.job.toml\n")
    text = (desk.folder / "leads.job.toml").read_text("utf-8")
    assert tomllib.loads(text)["inputs"] == {"company_name": "Company Name"}
    assert '# website = "…"' in text
    refused = desk.do("plan", "leads.job.toml", exits=1)
    assert "label 'website': no column of that name" in refused.err

    before = desk.requests
    assert "exists: it is not replaced" in desk.do(*INIT, exits=1).err
    assert (desk.folder / "leads.job.toml").read_text("utf-8") == text
    assert (desk.requests, desk.bought) == (before, [])


def test_init_asks_on_a_terminal_where_it_is_unsure(desk: Desk) -> None:
    desk.write("leads.csv", ROWS)
    with Terminal(desk, *INIT, "-o", "my job.toml") as terminal:
        terminal.until("website: ")
        terminal.type("Domian\n")
        terminal.until("the file has no column 'Domian' (did you mean 'Domain'?)")
        terminal.type("=https://{Domain}\n")
        assert terminal.end() == 0
    assert "https://acme.com" in terminal.shown
    assert "enricher plan 'my job.toml'" in terminal.shown
    desk.do("run", "my job.toml", "--rate", "unlimited")
    assert {run["website"] for run in desk.bought} == {"https://acme.com", "https://bolt.io"}
