"""`workspace`, `grids`, `grid` and `contract`: everything the API tells, and every error it has."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from enricher.simulator import Access
from enricher.simulator.routes import Endpoint
from tests.acceptance.desk import COMPANIES, NO_SOURCE, PEOPLE, Desk
from tests.acceptance.proxy import proxy_before
from tests.support.canary import KEY

WORKSPACE, GRIDS = ("workspace",), ("grids",)
GRID, CONTRACT = ("grid", COMPANIES.id), ("contract", COMPANIES.id)
NARROWED = (*CONTRACT, "--output-column", "Is Hiring", "--output-column", COMPANIES.outputs[0].id)
ALL = [WORKSPACE, GRIDS, GRID, CONTRACT]

PATHS = {
    WORKSPACE: "/workspace",
    (*GRIDS, "--search", "COMP", "--page", "1", "--limit", "7"): "/grids?search=COMP&limit=7",
    GRID: f"/grids/{COMPANIES.id}",
    CONTRACT: f"/grids/{COMPANIES.id}/curl",
    NARROWED: f"/grids/{COMPANIES.id}/curl?output_columns="
    f"{COMPANIES.outputs[0].id},{COMPANIES.outputs[6].id}",
}
at_each = pytest.mark.parametrize("words", ALL, ids=lambda words: words[0])
at_each_path = pytest.mark.parametrize("words", PATHS, ids=lambda words: " ".join(words)[:20])


def told_by_api(desk: Desk, words) -> Any:
    headers = {"X-API-KEY": desk.world.api_key}
    return httpx2.get(desk.world.base_url + PATHS[words], headers=headers).json()


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from leaves(part)
    else:
        yield value


def names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for part in value.values() if isinstance(value, dict) else value:
        if isinstance(part, dict | list):
            yield from names(part)


def as_shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value or "–")


# --- what is shown --------------------------------------------------------------------------------


@at_each_path
def test_json_is_the_object_of_the_api(shared_desk: Desk, words) -> None:
    assert shared_desk.do(*words, "--json").json == told_by_api(shared_desk, words)


@at_each_path
@pytest.mark.parametrize("columns", ["40", "200"])
def test_every_field_is_shown_in_any_width(shared_desk: Desk, words, columns) -> None:
    said = shared_desk.do(*words, env={"COLUMNS": columns})
    told = told_by_api(shared_desk, words)
    table, _, curl = said.out.partition("\ncurl\n")
    assert curl.rstrip("\n") == told.pop("curl", "")
    dense = re.sub(r"\s", "", table)
    for value in leaves(told):
        assert re.sub(r"\s", "", as_shown(value)) in dense
    titles = {"name", "display_name", "output_columns"}
    for name in set(names(told)) - titles:
        assert name in table or name.replace("_", " ") in table
    assert max(map(len, table.splitlines())) <= int(columns)


def test_the_inputs_of_a_contract_are_shown_to_the_letter(shared_desk: Desk) -> None:
    assert "company_name" in shared_desk.do(*CONTRACT).out


def test_a_contract_for_some_outputs_names_only_their_inputs(desk: Desk) -> None:
    told = desk.do(*CONTRACT, "--output-column", "Is Hiring", "--json").json
    assert list(told["request_body"]["inputs"]) == ["website"]
    assert [column["name"] for column in told["output_columns"]] == ["Is Hiring"]


def test_a_contract_that_holds_the_key_is_shown_without_it(desk: Desk) -> None:
    held = json.dumps(KEY)[1:-1].encode()
    with proxy_before(desk.world.port) as proxy:
        proxy.changed["/curl"] = lambda answer: answer.replace(b"YOUR_WORKSPACE_API_KEY", held)
        said = desk.do(*CONTRACT, env=proxy.env)
        told = desk.do(*CONTRACT, "--json", env=proxy.env).json
    assert "-H 'X-API-KEY: ***'" in said.out  # the desk looks for the key
    assert told["headers"]["X-API-KEY"] == "***"


HARMFUL = "\x1b[2J\x9b31m‮evil\x07"


def test_what_a_server_says_steers_no_terminal(new_desk) -> None:
    column = replace(COMPANIES.columns[2], name=f"Column{HARMFUL}")
    columns = (*COMPANIES.columns[:2], column, *COMPANIES.columns[3:])
    desk = new_desk(grids=(replace(COMPANIES, name=f"[red]Grid{HARMFUL}", columns=columns),))
    for words in (GRIDS, GRID, (*CONTRACT, "--output-column", column.id)):
        said = desk.do(*words)
        assert "Column�[2J�31m�evil�" in said.out
        assert said.out.replace("\n", "").isprintable()
        assert desk.do(*words, "--json").out.rstrip("\n").isprintable()
    assert "[red]Grid�[2J" in desk.do(*GRID).out


# --- grids ----------------------------------------------------------------------------------------


def test_all_pages_are_fetched_each_grid_once(desk: Desk) -> None:
    told = desk.do(*GRIDS, "--all", "--limit", "2", "--json").json
    whole = desk.do(*GRIDS, "--json").json
    assert told == {"grids": whole["grids"], "total": 5}
    assert desk.world.workspace.requests[Endpoint.GRIDS] == 3 + 1


def test_all_pages_of_a_search(desk: Desk) -> None:
    told = desk.do(*GRIDS, "--all", "--search", "e", "--limit", "1", "--json").json
    assert [grid["id"] for grid in told["grids"]][:2] == [COMPANIES.id, PEOPLE.id]
    assert all("e" in grid["name"].lower() for grid in told["grids"])


def test_all_pages_are_fetched_within_the_limit(new_desk) -> None:
    desk = new_desk(rate=5.0)
    assert desk.do(*GRIDS, "--all", "--limit", "1", "--json").json["total"] == 5
    assert desk.world.workspace.rate_limited == 0


def test_a_server_without_pages_is_not_asked_for_ever(desk: Desk) -> None:
    def endless(answer: bytes) -> bytes:
        return json.dumps({**json.loads(answer), "page": 1, "total_pages": 10**6}).encode()

    with proxy_before(desk.world.port) as proxy:
        proxy.changed["/grids"] = lambda answer: endless(answer.replace(b"page", b"p"))
        told = desk.do(*GRIDS, "--all", "--limit", "100", "--json", env=proxy.env).json
    assert told["total"] == 5
    assert desk.requests == 2


def test_a_page_says_how_to_see_more(shared_desk: Desk) -> None:
    assert "--page 3" in shared_desk.do(*GRIDS, "--limit", "2", "--page", "2").out
    assert "--page" not in shared_desk.do(*GRIDS, "--limit", "2", "--page", "3").out
    assert "–" in shared_desk.do(*GRIDS, "--page", "9").out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--all", "--page", "2"], "leave --page out"),
        (["--limit", "101"], "101"),
        (["--limit", "0"], "0"),
        (["--page", "0"], "0"),
        (["--base-url", "http://example.com"], "https://"),
        (["--max-outage", "soon"], "90s"),
    ],
)
def test_wrong_usage_asks_nothing(desk: Desk, options, words) -> None:
    assert words in desk.do(*GRIDS, *options, exits=2).err
    assert desk.requests == 0


# --- errors ---------------------------------------------------------------------------------------


@at_each
def test_a_refused_key(desk: Desk, words) -> None:
    said = desk.do(*words, "--json", exits=1, env={"BITSCALE_API_KEY": "sk-wrong-one"})
    assert "The API key was refused" in said.err
    assert "Copy the key again" in said.err
    assert said.json["error"]["code"] == "INVALID_API_KEY"


@at_each
def test_a_plan_without_the_api(new_desk, words) -> None:
    said = new_desk(access=Access.NONE).do(*words, exits=1)
    assert "FEATURE_DISABLED" in said.err
    assert "Enterprise plan" in said.err


def test_a_workspace_that_is_gone(new_desk) -> None:
    said = new_desk(workspace_exists=False).do(*WORKSPACE, exits=1)
    assert "WORKSPACE_NOT_FOUND" in said.err
    assert "of a workspace that still exists" in said.err


@pytest.mark.parametrize("command", ["grid", "contract"])
@pytest.mark.parametrize("grid_id", ["no-such-grid", "5eed0006-0000-4000-8000-000000000000"])
def test_a_grid_that_is_not_there_or_not_ours(desk: Desk, command, grid_id) -> None:
    """404 and 403: one code for both."""
    said = desk.do(command, grid_id, exits=1)
    assert "GRID_NOT_FOUND" in said.err
    assert "Copy the id from the grid's address" in said.err


@pytest.mark.parametrize("command", ["grid", "contract"])
def test_what_is_no_id_is_not_asked_for(desk: Desk, command) -> None:
    assert "is not the form of an id" in desk.do(command, "../workspace", exits=1).err
    assert desk.requests == 0


def test_a_contract_of_a_grid_without_source(desk: Desk) -> None:
    said = desk.do("contract", NO_SOURCE.id, exits=1)
    assert "MISSING_SOURCE" in said.err
    assert "Add a BitScale API source" in said.err


@pytest.mark.parametrize("column", ["Nonsense", "Company Name", COMPANIES.inputs[0].id])
def test_an_output_column_that_is_none(desk: Desk, column) -> None:
    said = desk.do(*CONTRACT, "--output-column", column, "--json", exits=1)
    assert "Funding Stage" in said.err, "the ones there are"
    assert said.json["error"]["code"] == "INVALID_OUTPUT_COLUMN"


def test_an_output_column_that_the_server_does_not_take(desk: Desk) -> None:
    """The grid has changed between two requests."""
    refusal = b'{"status": "x", "error": {"code": "INVALID_OUTPUT_COLUMN", "message": "gone"}}'
    with proxy_before(desk.world.port) as proxy:
        proxy.changed["/curl"] = lambda _: refusal
        proxy.status["/curl"] = 400
        said = desk.do(*CONTRACT, "--output-column", "Tags", exits=1, env=proxy.env)
    assert "INVALID_OUTPUT_COLUMN: gone" in said.err
    assert "--output-column" in said.err


@at_each
def test_a_server_that_stays_broken_can_be_asked_later(new_desk, words) -> None:
    desk = new_desk(broken=frozenset({Endpoint(("GET", path)) for path in BROKEN}))
    said = desk.do(*words, "--max-outage", "0s", exits=4)
    assert "HTTP 500 INTERNAL_ERROR" in said.err
    assert "ask the provider's support if it stays so" in said.err


BROKEN = ("/workspace", "/grids", "/grids/:gridId", "/grids/:gridId/curl")


def test_a_limit_that_others_use_up(new_desk) -> None:
    desk = new_desk(rate=0.02)
    httpx2.get(f"{desk.world.base_url}/workspace", headers={"X-API-KEY": desk.world.api_key})
    said = desk.do(*WORKSPACE, "--max-outage", "0s", exits=4)
    assert "it asked to wait" in said.err
    assert desk.world.workspace.rate_limited == 1


@at_each
def test_a_server_that_is_gone(desk: Desk, words) -> None:
    nobody = ("--base-url", "http://127.0.0.1:1/api/v1", "--max-outage", "0s")
    assert "Check the base URL and the network" in desk.do(*words, *nobody, exits=4).err


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"grids": null}', b"\xff"])
def test_an_answer_that_is_not_the_documented_one(desk: Desk, body) -> None:
    with proxy_before(desk.world.port) as proxy:
        proxy.changed["/grids"] = lambda _: body
        said = desk.do(*GRIDS, "--max-outage", "0s", exits=4, env=proxy.env)
    assert "no usable answer" in said.err


@pytest.mark.parametrize("body", [b'{"grids": 5}', b'{"grids": [5, [], {"id": 7}]}'])
@pytest.mark.parametrize("options", [[], ["--all"]])
def test_an_answer_of_odd_values_is_shown_as_it_is(desk: Desk, body, options) -> None:
    with proxy_before(desk.world.port) as proxy:
        proxy.changed["/grids"] = lambda _: body
        desk.do(*GRIDS, *options, env=proxy.env)
