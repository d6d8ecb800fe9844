"""`report`, `serve` and `--metrics-file`: a job as a page and as metrics, in a real browser too."""

import json
import signal
import socket
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from enricher.report.charts import can_draw
from tests.acceptance.browser import browsing, needs_browser
from tests.acceptance.desk import COMPANIES, Desk, until
from tests.support.canary import KEY

HOSTILE = "</td><script>document.title='evil'</script>"
LEADS = [
    "Company Name,Website",
    *(f"Firm {number},firm{number}.example" for number in range(40)),
    f'"{HOSTILE}",<img src=//evil.example onerror=alert(1)>',
    "\u202eesreveR,\u2066x",
]
RUN = ("run", "leads.csv", "--grid", COMPANIES.id, "--rate", "unlimited", "-o", "out.csv")
CHECKPOINT = "out.csv.checkpoint.db"


@pytest.fixture(scope="module")
def finished(module_desk) -> Desk:
    """A job with failures of hostile rows, and its report."""
    desk = module_desk(fail_rate=0.3)
    desk.write("leads.csv", LEADS)
    desk.do(*RUN, "--max-failures", "100%", "--metrics-file", "job.prom", exits=3)
    desk.do("report", CHECKPOINT)
    return desk


@pytest.fixture(scope="module")
def page(finished: Desk) -> str:
    return (finished.folder / "out.csv.checkpoint.report.html").read_text("utf-8")


def metrics_in(text: str) -> dict[tuple, float]:
    return {
        (sample.name, *sorted(v for k, v in sample.labels.items() if k != "job")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


# --- report ---------------------------------------------------------------------------------------


def test_the_report_stands_beside_the_checkpoint_and_tells_of_the_job(finished, page) -> None:
    status = finished.do("status", CHECKPOINT, "--json").json
    assert f"<b>{status['rows']['completed']}</b> completed" in page
    assert f"<b>{status['rows']['failed']}</b> failed" in page
    assert "enricher resume" in page
    assert all(f"<bdi>{column.name}</bdi>" in page for column in COMPANIES.outputs)
    assert page.count("<figure") == 2 * can_draw()


def test_no_cell_and_no_key_gets_into_it_as_what_it_is(page) -> None:
    assert "<script" not in page
    assert "<img" not in page
    assert "\u202e" not in page
    assert KEY not in page


def test_a_report_replaces_reports_and_nothing_else(desk: Desk) -> None:
    desk.write("leads.csv", LEADS[:3])
    desk.do(*RUN)
    desk.write("mine.html", ["<!doctype html>", "my own page"])
    said = desk.do("report", CHECKPOINT, "-o", "mine.html", exits=1)
    assert "is no report" in said.err
    assert "Name another file" in said.err
    assert "my own page" in (desk.folder / "mine.html").read_text()
    for _ in range(2):
        assert "Written: " in desk.do("report", CHECKPOINT, "-o", "r.html").err
    assert desk.do("report", CHECKPOINT, "-o", "-").out.startswith("<!doctype html>")


def test_without_the_extra_the_page_has_tables_and_that_is_said(desk: Desk) -> None:
    desk.write("leads.csv", LEADS[:9])
    desk.do(*RUN)
    hidden = desk.folder / "hidden"  # stands before the installed packages
    hidden.mkdir()
    (hidden / "altair.py").write_text("raise ImportError('not installed')\n")
    path = f"{hidden}:{desk.env['PYTHONPATH']}"
    said = desk.do("report", CHECKPOINT, "-o", "r.html", env={"PYTHONPATH": path})
    assert "enricher[report]" in said.err
    page = (desk.folder / "r.html").read_text("utf-8")
    assert "<figure" not in page
    assert page.count('<details id="rates-table" open>') == 1


def test_what_is_no_checkpoint_and_what_cannot_be_written_is_told(desk: Desk) -> None:
    said = desk.do("report", "no.db", exits=1)
    assert "There is no checkpoint" in said.err
    desk.write("leads.csv", LEADS[:3])
    desk.do(*RUN)
    said = desk.do("report", CHECKPOINT, "-o", "no/r.html", exits=1)
    assert "its directory does not exist" in said.err
    assert "holds no job x" in desk.do("report", CHECKPOINT, "--job", "x", exits=1).err


def test_an_invocation_that_was_killed_does_not_run_for_ever(desk: Desk) -> None:
    desk.write("leads.csv", LEADS)
    life = desk.start(*RUN[:-4], "--rate", 20, "-o", "out.csv", "--max-failures", "100%")
    until(lambda: len(desk.bought) >= 3, "three submissions")
    life.process.kill()
    life.end()
    desk.do("resume", CHECKPOINT, "--rate", "unlimited", "--in-doubt", "retry")
    desk.do("report", CHECKPOINT, "-o", "killed.html")
    shown = (desk.folder / "killed.html").read_text("utf-8")
    assert "interrupted" in shown
    assert ">running<" not in shown


def test_a_report_of_a_job_that_runs_is_safe(desk: Desk) -> None:
    desk.write("leads.csv", LEADS)
    with running(desk):
        desk.do("report", CHECKPOINT, "-o", "r.html")
        assert 'class="pill running"' in (desk.folder / "r.html").read_text("utf-8")


@contextmanager
def running(desk: Desk, *words: str):
    """A job whose runs take long, with some submitted; stopped at the end."""
    life = desk.start(*RUN, *words)
    try:
        until(lambda: len(desk.bought) > 10 or life.is_over(), "submissions")
        yield life
    finally:
        life.process.send_signal(signal.SIGINT)
        life.process.send_signal(signal.SIGINT)
        life.end()


# --- the browser ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with browsing(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
def test_the_report_looks_as_it_should(finished, browser, tmp_path, width, scheme) -> None:
    browser.resize(width, 1000)
    browser.prefer(scheme)
    browser.show((finished.folder / "out.csv.checkpoint.report.html").as_uri())
    assert browser.complaints() == []
    assert browser.overflow() <= 0
    text = browser.text()
    for words in ("leads.csv", "What to do next", "Failures by code", "Fill rate", "The job"):
        assert words in text
    assert browser.run("return document.title") == "leads.csv · report of enricher"
    shade = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, shade[4:-1].split(","))) < 90) == (scheme == "dark")
    assert browser.run("return document.querySelectorAll('script, img').length") == 0
    assert browser.picture(tmp_path / "report.png").stat().st_size > 10_000


@needs_browser
def test_the_report_can_be_printed(finished, browser) -> None:
    browser.resize(800, 1000)
    browser.prefer("dark", "print")
    browser.show((finished.folder / "out.csv.checkpoint.report.html").as_uri())
    assert browser.overflow() <= 0
    assert browser.run("return getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    browser.prefer("light")


@needs_browser
def test_the_live_page_follows_the_job(new_desk, browser) -> None:
    desk = new_desk(duration="constant:600")
    desk.write("leads.csv", LEADS)
    with running(desk) as life, served(desk) as address:
        browser.resize(1200, 1000)
        browser.show(address)
        until(lambda: "running" in browser.text(), "the page")
        browser.run("document.querySelector('details').open = true")
        life.process.send_signal(signal.SIGINT)
        life.process.send_signal(signal.SIGINT)
        until(lambda: "Stopped; everything acknowledged is kept." in browser.text(), "the stop")
        assert browser.run("return document.querySelector('details').open")
        assert browser.overflow() <= 0
        assert browser.complaints() == []
    until(lambda: "has lost its server" in browser.text(), "word of the lost server")


# --- serve ----------------------------------------------------------------------------------------


@contextmanager
def served(desk: Desk, number: int = signal.SIGTERM):
    """The address of a page that is served; ends quietly at the end."""
    life = desk.start("serve", CHECKPOINT)
    assert life.process.stdout is not None
    address = life.process.stdout.readline().strip()
    try:
        yield address
    finally:
        life.process.send_signal(number)
        said = life.end(exits=0)
        assert (said.out, said.err) == ("", "")


def test_the_page_metrics_and_events_are_there(finished: Desk) -> None:
    with served(finished, signal.SIGINT) as address, httpx2.Client(base_url=address) as http:
        page = http.get("")
        assert "Firm " in page.text
        assert page.text.count("<script") == 1
        assert "<img" not in page.text
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert http.get("else").status_code == 404
        assert http.post("").status_code == 405
        with http.stream("GET", "events") as events:
            lines = events.iter_lines()
            assert next(lines) == "event: picture"
            told = json.loads(next(lines).removeprefix("data: "))
            assert "leads.csv" in told
            assert "<script" not in told


def test_what_stands_outside_of_the_secret_shows_no_cell(served_once) -> None:
    with httpx2.Client(base_url=root_of(served_once)) as http:
        metrics = http.get("/metrics")
        assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
        found = metrics_in(metrics.text)
        assert found["enricher_rows", "pending"] == 0
        assert found["enricher_exit_code",] == 3
        assert http.get("/live.js").headers["content-type"].startswith("text/javascript")
        assert http.get("/page.css").status_code == 200
        for path in ("/", "/events", "/else/", "/else/events"):
            assert http.get(path).status_code == 404
        for path in ("/", "/metrics", "/live.js", "/page.css"):
            assert "Firm" not in http.get(path).text


def root_of(address: str) -> str:
    """Scheme, host and port."""
    return "/".join(address.split("/")[:3])


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_a_name_that_leads_here_from_elsewhere_is_refused(served_once, host) -> None:
    root = root_of(served_once)
    for address in (served_once, f"{served_once}events", f"{root}/metrics", root):
        answer = httpx2.get(address, headers={"host": host})
        assert answer.status_code == 400
        assert "leads.csv" not in answer.text
        assert "access-control-allow-origin" not in answer.headers


@pytest.fixture(scope="module")
def served_once(finished: Desk):
    with served(finished) as address:
        yield address


def test_no_other_origin_is_let_in(served_once) -> None:
    origin = {"origin": "https://evil.example"}
    answer = httpx2.get(served_once, headers=origin)
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    asked = {**origin, "access-control-request-method": "GET"}
    for told in (answer, httpx2.options(served_once, headers=asked)):
        assert not [name for name in told.headers if name.startswith("access-control")]


@pytest.mark.skipif(sys.platform != "linux", reason="all of 127/8 is this machine on Linux only")
def test_it_listens_on_loopback_only(served_once) -> None:
    port = int(root_of(served_once).rpartition(":")[2])
    with socket.socket() as elsewhere:
        assert elsewhere.connect_ex(("127.0.0.2", port)) != 0


def test_so_many_pages_may_be_open_and_no_more(served_once) -> None:
    with ExitStack() as open_pages, httpx2.Client(base_url=served_once) as http:
        answers = [open_pages.enter_context(http.stream("GET", "events")) for _ in range(20)]
        lines = [answer.iter_lines() for answer in answers]
        assert [next(line) for line in lines] == ["event: picture"] * 20
        assert http.get("events").status_code == 503
        assert http.get("").status_code == 200


def test_a_taken_port_is_told(served_once, finished: Desk) -> None:
    port = root_of(served_once).rpartition(":")[2]
    said = finished.do("serve", CHECKPOINT, "--port", port, exits=1)
    assert f"cannot be served on 127.0.0.1:{port}" in said.err
    assert "--port" in said.err


def test_a_checkpoint_that_goes_away_ends_the_page_with_a_word(desk: Desk) -> None:
    desk.write("leads.csv", LEADS[:3])
    desk.do(*RUN)
    life = desk.start("serve", CHECKPOINT)
    assert life.process.stdout is not None
    assert life.process.stdout.readline().startswith("http://127.0.0.1:")
    (desk.folder / CHECKPOINT).rename(desk.folder / "elsewhere.db")
    assert "There is no checkpoint" in life.end(exits=1).err


# --- --metrics-file -------------------------------------------------------------------------------


def test_the_last_metrics_say_how_it_ended(finished: Desk) -> None:
    found = metrics_in((finished.folder / "job.prom").read_text("utf-8"))
    status = finished.do("status", CHECKPOINT, "--json").json
    assert found["enricher_exit_code",] == 3
    assert found["enricher_outcome", "finished_with_failures"] == 1
    assert found["enricher_rows", "completed"] == status["rows"]["completed"]
    assert found["enricher_requests_total", "poll"] == status["requests"]["poll"]


def test_metrics_are_written_while_it_runs_whole_each_time(new_desk) -> None:
    desk = new_desk(duration="constant:600")
    desk.write("leads.csv", LEADS)
    metrics = desk.folder / "job.prom"
    with running(desk, "--metrics-file", "job.prom"):
        for _ in range(50):
            if metrics.exists():
                assert metrics_in(metrics.read_text("utf-8"))["enricher_outcome", "running"] == 1
        until(lambda: _in_flight(metrics), "metrics of runs in flight")
    found = metrics_in(metrics.read_text("utf-8"))
    assert found["enricher_outcome", "stopped"] == 1
    assert [name for name in desk.files() if name.endswith(".tmp")] == []


def _in_flight(metrics: Path) -> bool:
    found = metrics_in(metrics.read_text("utf-8")) if metrics.exists() else {}
    return found.get(("enricher_runs_in_flight",), 0) > 0


def test_an_error_is_in_the_metrics_too(desk: Desk) -> None:
    desk.write("leads.csv", LEADS[:3])
    words = [*RUN, "--metrics-file", "job.prom"]
    wrong = {"BITSCALE_API_KEY": "sk-wrong"}
    desk.do(*words, exits=1, env=wrong)
    found = metrics_in((desk.folder / "job.prom").read_text("utf-8"))
    assert (found["enricher_outcome", "error"], found["enricher_exit_code",]) == (1, 1)
    desk.do(*words)
    found = metrics_in((desk.folder / "job.prom").read_text("utf-8"))
    assert (found["enricher_outcome", "finished"], found["enricher_exit_code",]) == (1, 0)


def test_metrics_replace_metrics_and_nothing_else(desk: Desk) -> None:
    desk.write("leads.csv", LEADS[:3])
    desk.write("notes.txt", ["mine"])
    for place, cause in {"notes.txt": "holds no metrics", "no/job.prom": "does not exist"}.items():
        said = desk.do(*RUN, "--metrics-file", place, exits=1)
        assert cause in said.err
    assert desk.bought == []
    assert (desk.folder / "notes.txt").read_text() == "mine\n"


def test_the_second_process_leaves_the_metrics_of_the_first_alone(new_desk) -> None:
    desk = new_desk(duration="constant:600")
    desk.write("leads.csv", LEADS)
    words = ("--metrics-file", "job.prom")
    with running(desk, *words):
        until(lambda: (desk.folder / "job.prom").exists(), "metrics")
        desk.do(*RUN, *words, exits=4)
        found = metrics_in((desk.folder / "job.prom").read_text("utf-8"))
        assert found["enricher_outcome", "running"] == 1
