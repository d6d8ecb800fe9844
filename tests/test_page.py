"""The report: harmless whatever a cell or a server says, and readable as it is."""

import base64
import dataclasses
import hashlib
import re
from html.parser import HTMLParser

import pytest

from enricher.report.charts import Charts, drawn
from enricher.report.evidence import Evidence
from enricher.report.figures import Durations, Failures, Fill, Timeline
from enricher.report.page import BEGINS, live_page, live_part, report_page, style_sheet
from enricher.report.picture import Picture, told_mapping, told_options
from enricher.report.summary import CreditTotals, JobOutcome, Live, RowTotals, RunTotals, Summary
from enricher.report.text import Doubt

EVIL = "</style><script>alert(1)</script><img src=x onerror=alert(2)>&\"'"
HIDDEN = "\x1b[2J\u202egnp.exe\u2066\ud83d"

SUMMARY = Summary(
    job="a1b2c3",
    outcome=JobOutcome.FINISHED_WITH_FAILURES,
    exit_code=3,
    provider="bitscale",
    target="grid-1",
    input="/data/leads.csv",
    output="/data/out.csv",
    checkpoint="/data/o ut.db",
    started_at="2026-03-12T14:22:00Z",
    updated_at="2026-03-12T14:24:05Z",
    seconds=125.2,
    rows=RowTotals(total=1100, completed=1090, failed=4, skipped=3, pending=1, in_doubt=2),
    runs=RunTotals(submitted=60),
    credits=CreditTotals(before=39_600, after=39_480.5),
)


def picture(words="", **more):
    """A picture with `words` wherever somebody else's words can stand."""
    timeline, durations, failures = Timeline(0, 60), Durations(), Failures()
    for second in range(50):
        timeline.add(second, second + 5)
        durations.add(5 + second / 10)
    failures.add(f"E{words}", f"m{words}", {f"l{words}": f"v{words}"})
    fill = Fill({"a": f"Revenue{words}"})
    fill.add(None, {"a": 1})
    doubt = Doubt({f"name{words}": f"Acme{words}"}, "2026-03-12T14:22:00Z", f"reset{words}")
    summary = dataclasses.replace(
        SUMMARY,
        input=f"/data/{words.replace('/', '')}.csv",
        reason=words or None,
        target=f"grid-1{words}",
    )
    facts = {
        "made_at": "2026-03-12T15:00:00Z",
        "summary": summary,
        "doubts": [doubt],
        "second_charges": [doubt],
        "evidence": [Evidence(60, 1, 61, 120)],
        "invocations": [summary],
        "timeline": timeline,
        "durations": durations,
        "failures": failures,
        "fill": fill,
        "limit": 5.0,
        "options": told_options({"where": words or "n > 1", "rate": 5.0}),
        "mapping": told_mapping({f"website{words}": {"template": f"https://{words}"}}),
    }
    return Picture(**{**facts, **more})


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and the text between them."""

    def __init__(self, page):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.text += " "

    def handle_data(self, data):
        self.text += data


def charts_of(picture):
    return drawn(picture.timeline, picture.durations, picture.limit)


@pytest.mark.parametrize("words", [EVIL, EVIL * 40])
def test_whatever_is_said_becomes_text_and_no_tag(words):
    told = Tags(report_page(picture(words), Charts()))
    plain = Tags(report_page(picture("x"), Charts()))
    assert [tag for tag, _ in told.found] == [tag for tag, _ in plain.found]
    assert not {"script", "img"} & {tag for tag, _ in told.found}
    assert f"v{words}" in told.text
    assert f"reset{words}" in told.text


def test_what_hides_or_turns_text_is_replaced_everywhere():
    page = report_page(picture(HIDDEN), Charts())
    assert not set(HIDDEN[:1] + "\u202e\u2066\ud83d") & set(page)
    assert page.count("�[2J�gnp.exe") >= 8
    page.encode()


def test_the_policy_lets_nothing_in_but_the_style_that_is_there():
    page = report_page(picture(EVIL), charts_of(picture()))
    assert page.startswith(BEGINS)
    told = Tags(page)
    (policy,) = (
        attrs["content"]
        for tag, attrs in told.found
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    )
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    for tag, attrs in told.found:
        assert tag not in ("script", "iframe", "object", "embed", "base", "form")
        assert not {name for name in attrs if name.startswith("on") or name == "style"}, tag
        for name in ("src", "href", "xlink:href"):
            assert attrs.get(name, "data:,") == "data:,"
    assert "url(" not in style_sheet()
    assert "@import" not in style_sheet()


def test_the_same_is_told_with_charts_and_without():
    one = picture()
    with_charts, without = report_page(one, charts_of(one)), report_page(one, Charts())
    assert with_charts.count('<figure class="chart">') == 2
    assert "limit: 5 requests/s" in with_charts
    assert "<figure" not in without
    assert without.count("<details") == without.count(" open><summary") == 2
    for page in (with_charts, without):
        text = " ".join(Tags(page).text.split())
        for words in (
            *("1,100 rows", "Finished, but not every row has a result.", "half within 7.5 s"),
            *("against a limit of 5 requests a second", "Possibly paid twice: 1", "39,480.5"),
            "enricher resume '/data/o ut.db' --retry-failed",
        ):
            assert words in text


def test_charts_hold_numbers_and_words_of_ours_only():
    one = picture(EVIL)
    charts = charts_of(one)
    assert "alert" not in charts.rates + charts.durations
    assert "style=" not in charts.rates + charts.durations
    assert "http" not in (charts.rates + charts.durations).replace("http://www.w3.org/", "")


def test_the_limit_of_a_job_that_followed_the_server_is_said_to_be_so():
    one = picture()
    follows = dataclasses.replace(one, rate="auto")
    assert "as the server allowed last" in live_part(follows, Charts())
    unknown = dataclasses.replace(one, rate="auto", limit=None)
    assert "what it was is not known" in live_part(unknown, Charts())
    none = dataclasses.replace(one, rate="unlimited", limit=None)
    assert "There was no limit." in live_part(none, Charts())


@pytest.mark.parametrize("outcome", JobOutcome)
def test_every_outcome_has_its_page(outcome):
    summary = dataclasses.replace(
        SUMMARY, outcome=outcome, live=Live(2.5, 5, 0.97, 39_000), eta_seconds=3.0
    )
    text = " ".join(Tags(report_page(picture(summary=summary), Charts())).text.split())
    assert str(outcome).replace("_", " ") in text
    running = outcome is JobOutcome.RUNNING
    assert ("97 %" in text and "5 requests a second" in text) is running or not running
    assert ("enricher export" in text) is running
    assert ("enricher resume" in text) is not running


def test_a_job_of_which_nothing_is_known_yet_has_a_page_too():
    empty = Picture("2026-03-12T15:00:00Z", Summary(outcome=JobOutcome.ERROR, exit_code=1))
    text = " ".join(Tags(report_page(empty, charts_of(empty))).text.split())
    assert "There are no results yet." in text
    assert "No run of this job has completed." in text


def test_a_thousand_doubts_are_listed_and_the_others_counted():
    doubts = [Doubt({"name": f"Acme {n}"}, "2026-03-12T14:22:00Z", "") for n in range(1500)]
    text = Tags(report_page(picture(doubts=doubts), Charts())).text
    assert "Acme 999" in text
    assert "Acme 1000" not in text
    assert "500 more are not shown here" in text


def test_options_are_told_as_people_give_them():
    options = {
        "input": "/data/leads.csv",
        "maps": {"a": "A"},
        "rate": 5.0,
        "run_timeout": 7200.0,
        "limit": None,
        "overwrite": False,
        "no_dedupe": True,
        "require": ["website", "name"],
    }
    assert told_options(options) == [
        ("input", "/data/leads.csv"),
        ("rate", "5"),
        ("run-timeout", "2 h 0 min"),
        ("no-dedupe", "yes"),
        ("require", "website, name"),
    ]


def test_the_live_page_holds_no_script_and_no_style_of_its_own():
    told = Tags(live_page(picture(EVIL), Charts()))
    assert [attrs for tag, attrs in told.found if tag == "script"] == [
        {"src": "/live.js", "defer": None}
    ]
    assert not [tag for tag, attrs in told.found if tag == "style" or "style" in attrs]
