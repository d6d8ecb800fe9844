"""The provider `http`: an API that nobody wrote a provider for, told by a job file."""

from typing import Any

from tests.acceptance.desk import Desk, cells
from tests.acceptance.vendor import Vendor
from tests.support.canary import KEY

ROWS = ["Company,Domain", "Acme,acme.com", "Bolt,bolt.io", "Acme,acme.com", "Bad,bad.com"]
POLLED = """\
input = "leads.csv"

[provider]
name = "http"
base_url = "{base}/api"
api_key_env = "ACME_DATA_KEY"
key_header = "X-Token"
headers = {{ X-Version = "2" }}
check = "/v1/me"
submit = "/v1/lookups?source=enricher"
body = {{ query = {{ name = "{{company}}", site = "https://{{domain}}" }}, deep = true, n = 3 }}
id = "data.id"
poll = "/v1/lookups/{{id}}"
status = "data.state"
running = ["queued", "busy"]
done = ["ready"]
failed = ["broken"]
error = "problem.text"
error_code = "problem.kind"
row_errors = [422]

[provider.outputs]
Employees = "data.result.people"
"First office" = "data.result.offices.0.city"

[inputs]
company = "Company"
domain = "Domain"

[options]
rate = "unlimited"
json = true
"""
AT_ONCE = """\
input = "leads.csv"
[provider]
name = "http"
base_url = "{base}/api"
api_key_env = "ACME_DATA_KEY"
submit = "/v1/now"
outputs = "."
row_errors = [422]
[inputs]
name = "Company"
[options]
rate = "unlimited"
json = true
"""


def job_file(desk: Desk, vendor: Vendor, text: str = POLLED, rows: Any = ROWS) -> dict[str, str]:
    """Write the list and the job file; the environment that holds the key."""
    desk.write("leads.csv", rows)
    (desk.folder / "job.toml").write_text(text.format(base=vendor.base), encoding="utf-8")
    return {"ACME_DATA_KEY": KEY}


def test_an_api_is_polled_as_the_job_file_says(desk: Desk, vendor: Vendor) -> None:
    env = job_file(desk, vendor)
    planned = desk.do("plan", "job.toml", "--json", env=env).json
    assert planned["new_runs"] == 3
    assert vendor.runs == []

    told = desk.do("run", "job.toml", env=env, exits=3).json
    assert (told["rows"]["completed"], told["rows"]["failed"]) == (3, 1)
    assert told["provider"] == "http"
    assert told["target"].startswith("/v1/lookups?source=enricher#")
    enriched = cells(desk.folder / "leads.enriched.csv")
    assert enriched.header[2:4] == ["Employees", "First office"]
    assert enriched.column("Employees") == ["40", "40", "40", ""]
    assert enriched.column("First office") == ["Acme City", "Bolt City", "Acme City", ""]
    assert enriched.column("enrichment_error")[3] == "NO_SUCH_SITE: bad.com is parked"

    path, body, headers = next(asked for asked in vendor.asked if asked[1])
    assert path == "/api/v1/lookups?source=enricher"
    assert {"name", "site"} == body["query"].keys()
    assert (body["deep"], body["n"]) == (True, 3)
    assert (headers["X-Token"], headers["X-Version"]) == (KEY, "2")
    assert "Authorization" not in headers

    again = desk.do("run", "job.toml", env=env, exits=3).json
    assert (again["runs"]["submitted"], again["rows"]["reused"]) == (0, 4)
    assert len(vendor.runs) == 2


def test_reading_the_answers_otherwise_buys_nothing_again(desk: Desk, vendor: Vendor) -> None:
    env = job_file(desk, vendor)
    desk.do("run", "job.toml", env=env, exits=3)
    text = POLLED.replace('Employees = "data.result.people"', 'People = "data.result.people"')
    job_file(desk, vendor, text)
    assert desk.do("plan", "job.toml", "--json", env=env).json["new_runs"] == 0
    job_file(desk, vendor, POLLED.replace("n = 3", "n = 4"))
    assert desk.do("plan", "job.toml", "--json", env=env).json["new_runs"] == 3


def test_an_answer_that_is_lost_leaves_a_doubt_and_a_wait_leaves_none(
    desk: Desk, vendor: Vendor
) -> None:
    env = job_file(desk, vendor, rows=["Company,Domain", "Lost,lost.com", "Wait,wait.com"])
    told = desk.do("run", "job.toml", env=env, exits=3).json
    assert (told["rows"]["in_doubt"], told["rows"]["completed"]) == (1, 1)
    assert told["requests"]["rate_limited"] == 1
    before = len(vendor.asked)
    again = desk.do("run", "job.toml", env=env, exits=3).json
    assert again["rows"]["in_doubt"] == 1
    assert [path for path, body, _ in vendor.asked[before:] if body] == []


def test_an_api_that_answers_at_once_needs_six_lines(desk: Desk, vendor: Vendor) -> None:
    vendor.key = KEY
    env = job_file(desk, vendor, AT_ONCE)
    assert desk.do("plan", "job.toml", env=env).json["requests"] == 3 + 3
    said = desk.do("run", "job.toml", "--mode", "sync", env=env, exits=3)
    assert "--mode sync changes nothing: http has no request to hold open" in said.err
    assert said.json["requests"]["poll"] == 0
    enriched = cells(desk.folder / "leads.enriched.csv")
    assert enriched.header[2:4] == ["people", "tags"]
    assert enriched.column("tags")[:2] == ['["a","b"]', '["a","b"]']
    assert enriched.column("enrichment_error")[3] == "HTTP_422: no such company"
    assert vendor.asked[0][1] in ({"name": "Acme"}, {"name": "Bolt"}, {"name": "Bad"})
    assert vendor.asked[0][2]["Authorization"] == f"Bearer {KEY}"

    checkpoint = desk.folder / "job.checkpoint.db"
    said = desk.do("resume", checkpoint, env=env, exits=2)
    assert "--base-url" in said.err
    done = desk.do("resume", checkpoint, "--base-url", f"{vendor.base}/api", env=env, exits=3)
    assert len(vendor.asked) == 3, done.err


def test_a_wrong_key_stops_before_anything_is_sent(desk: Desk, vendor: Vendor) -> None:
    job_file(desk, vendor)
    said = desk.do("run", "job.toml", env={"ACME_DATA_KEY": "sk-some-other"}, exits=1)
    assert said.json["error"]["code"] == "INVALID_API_KEY"
    assert [path for path, _, _ in vendor.asked] == ["/api/v1/me"]


def test_every_mistake_is_listed_with_its_line(desk: Desk, vendor: Vendor) -> None:
    text = """\
input = "leads.csv"
[provider]
name = "http"
base_url = "{base}/api"
submit = "https://elsewhere.test/v1"
poll = "/v1/jobs"
body = {{ name = "{{company" }}
headers = {{ Authorization = "Bearer sk-123" }}
timeout = 9000
row_errors = [401]
subbmit = "/x"
done = "ready"
grid = "a1"
"""
    env = job_file(desk, vendor, text)
    said = desk.do("run", "job.toml", env=env, exits=1).err
    for words in (
        "job.toml:5: provider.submit: 'https://elsewhere.test/v1' is no path",
        "job.toml:6: provider.poll: '/v1/jobs' must have {id} once",
        "job.toml:7: provider.body: '{company' has a lone brace",
        "job.toml:8: provider.headers: Authorization looks like a secret",
        "job.toml:9: provider.timeout: must be from 1 to 600 seconds",
        "job.toml:10: provider.row_errors: 401 is never about one row",
        "job.toml:11: provider.subbmit: unknown key (did you mean `submit`?)",
        'job.toml:12: provider.done: must be a list of words, ["completed"]',
        "job.toml:13: provider.grid: is an option of the provider bitscale, not of http",
        "provider.outputs: is required",
        "provider.id: is required with `poll`",
    ):
        assert words in said, said
    assert "sk-123" not in said
    assert vendor.asked == []


def test_the_command_line_alone_does_not_say_what_to_ask(desk: Desk) -> None:
    desk.write("leads.csv", ROWS)
    said = desk.do("run", "leads.csv", "--provider", "http", exits=1).err
    assert "is told by a job file" in said
    assert "submit: is required" in said
    text = 'input = "leads.csv"\n[provider]\ngrid = "x"\nsubmit = "/v1"\n'
    (desk.folder / "other.toml").write_text(text)
    assert "other.toml:4: provider.submit: unknown key" in desk.do("run", "other.toml", exits=1).err
