"""The documented bodies: every field that is documented, and no other (BitScale API v1, 5)."""

import json
import shlex

import pytest

from enricher.simulator.grids import COMPANIES, FOREIGN, GRIDS, NO_SOURCE, PEOPLE, WEBSITES, Grid
from tests.simulator.driving import ACME, Driver

OWN = [grid for grid in GRIDS if not grid.foreign]


def column_id(grid: Grid, name: str) -> str:
    return next(column.id for column in grid.outputs if column.name == name)


def test_workspace_has_the_documented_fields() -> None:
    body = Driver().get("/workspace").body
    fields = {name: set(value) for name, value in body.items() if isinstance(value, dict)}
    assert fields == {
        "created_by": {"id", "name", "email"},
        "plan": {
            *("name", "credits_included", "billing_interval"),
            *("next_billing_date", "price", "currency"),
        },
        "credits": {"total", "used", "remaining", "plan_credits", "rollover", "topup"},
        "people_company_searches": {"limit", "used", "remaining", "next_renewal_date"},
        "members": {"total", "owners", "admins", "editors"},
    }
    assert set(body) - set(fields) == {"id", "name", "created_at"}


def test_workspace_credits_add_up() -> None:
    credits = Driver().get("/workspace").body["credits"]
    assert credits["total"] == credits["plan_credits"] + credits["rollover"] + credits["topup"]
    assert credits["remaining"] == credits["total"] - credits["used"]


def test_grids_lists_the_own_grids_with_runnable_columns() -> None:
    body = Driver().get("/grids").body
    assert set(body) == {"grids", "total", "page", "limit", "total_pages"}
    assert [grid["id"] for grid in body["grids"]] == [grid.id for grid in OWN]
    for grid in body["grids"]:
        assert set(grid) == {
            *("id", "name", "description", "row_count", "column_count"),
            *("created_at", "updated_at", "columns"),
        }
        assert {key for column in grid["columns"] for key in column} == {
            *("id", "name", "type", "dependencies"),
        }
        assert {column["type"] for column in grid["columns"]} <= {"enrichment", "formula", "merge"}


def test_grids_counts_the_text_columns_too() -> None:
    listed = Driver().get("/grids", search=COMPANIES.name).body["grids"][0]
    assert listed["column_count"] == len(COMPANIES.columns) > len(listed["columns"])


@pytest.mark.parametrize(
    ("query", "shown", "total", "pages"),
    [
        ({"limit": "2"}, 2, 5, 3),
        ({"limit": "2", "page": "3"}, 1, 5, 3),
        ({"limit": "2", "page": "4"}, 0, 5, 3),
        ({"search": "WEBSITE"}, 1, 1, 1),
        ({"search": "no such grid"}, 0, 0, 0),
        ({"page": "0", "limit": "many"}, 5, 5, 1),
        ({"limit": "²"}, 5, 5, 1),
        ({"limit": "9" * 30}, 5, 5, 1),
    ],
)
def test_grids_pages_and_searches(query, shown, total, pages) -> None:
    body = Driver().get("/grids", **query).body
    assert (len(body["grids"]), body["total"], body["total_pages"]) == (shown, total, pages)


def test_grids_shows_at_most_a_hundred() -> None:
    assert Driver().get("/grids", limit="500").body["limit"] == 100


@pytest.mark.parametrize("grid", OWN, ids=lambda grid: grid.name)
def test_grid_has_the_documented_fields(grid: Grid) -> None:
    body = Driver().get(f"/grids/{grid.id}").body
    assert set(body) == {
        *("id", "name", "description", "row_count", "created_at", "updated_at"),
        *("settings", "columns", "sources"),
    }
    assert [set(column) for column in body["columns"]] == [{"id", "name", "type"}] * len(
        grid.columns
    )
    for source in body["sources"]:
        assert set(source) == {
            *("id", "display_name", "type", "is_scheduled", "status"),
            *("last_run_at", "next_run_at", "schedule"),
        }


def test_grid_shows_inputs_as_text_columns() -> None:
    columns = Driver().get(f"/grids/{COMPANIES.id}").body["columns"]
    texts = [column["name"] for column in columns if column["type"] == "text"]
    assert texts == ["Company Name", "Website"]


def test_dedupe_column_is_present_only_with_auto_dedupe() -> None:
    driver = Driver()
    with_it = driver.get(f"/grids/{COMPANIES.id}").body["settings"]
    assert with_it["auto_dedupe"] is True
    assert with_it["dedupe_column_id"] == COMPANIES.inputs[0].id
    assert set(driver.get(f"/grids/{PEOPLE.id}").body["settings"]) == {
        *("auto_run", "auto_dedupe", "visibility"),
    }


def test_schedule_is_there_for_scheduled_sources() -> None:
    api, csv = Driver().get(f"/grids/{COMPANIES.id}").body["sources"]
    assert (api["type"], api["is_scheduled"], api["schedule"]) == ("api", False, None)
    assert (csv["type"], csv["is_scheduled"]) == ("csv", True)
    assert set(csv["schedule"]) == {"cron_schedule", "next_run_at"}


def test_contract_of_the_whole_grid() -> None:
    body = Driver().get(f"/grids/{COMPANIES.id}/curl").body
    assert set(body) == {
        *("grid_id", "grid_name", "run_url", "method", "headers", "request_body", "curl"),
    }
    assert body["request_body"] == {
        "mode": "sync",
        "inputs": {"company_name": "value", "website": "value"},
    }
    assert body["run_url"] == f"http://127.0.0.1:1/api/v1/grids/{COMPANIES.id}/run"
    assert body["headers"]["X-API-KEY"] == "YOUR_WORKSPACE_API_KEY"


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["Local Slogan"], ["company_name"]),
        (["Is Hiring"], ["website"]),
        (["Is Hiring", "Local Slogan"], ["company_name", "website"]),
        (["Funding Summary"], ["company_name", "website"]),  # through other outputs
    ],
)
def test_contract_of_some_columns_needs_their_labels_only(names, labels) -> None:
    ids = [column_id(COMPANIES, name) for name in names]
    body = Driver().get(f"/grids/{COMPANIES.id}/curl", output_columns=",".join(ids)).body
    assert list(body["request_body"]["inputs"]) == labels
    assert body["request_body"]["output_columns"] == ids
    assert [column["id"] for column in body["output_columns"]] == ids
    assert set(body["output_columns"][0]) == {"id", "name", "type"}


def test_contract_carries_a_curl_command_that_a_shell_understands() -> None:
    wanted = column_id(COMPANIES, "Tags")
    body = Driver().get(f"/grids/{COMPANIES.id}/curl", output_columns=wanted).body
    words = shlex.split(body["curl"].replace("\\\n", " "))
    assert words[:4] == ["curl", "-X", "POST", body["run_url"]]
    assert "X-API-KEY: YOUR_WORKSPACE_API_KEY" in words
    assert json.loads(words[-1]) == body["request_body"]


def test_contract_body_is_a_valid_run() -> None:
    driver = Driver()
    contract = driver.get(f"/grids/{WEBSITES.id}/curl").body
    assert driver.post(f"/grids/{WEBSITES.id}/run", contract["request_body"]).status == 200


def test_async_run_and_its_status() -> None:
    driver = Driver()
    started = driver.run(mode="async").body
    request_id = started["request_id"]
    assert started == {
        "mode": "async",
        "status": "running",
        "request_id": request_id,
        "poll_url": f"http://127.0.0.1:1/api/v1/run/status/{request_id}",
        "message": "Row is still running. Poll the poll_url for results.",
    }
    assert driver.status(request_id).body == {
        "mode": "async",
        "status": "running",
        "grid_id": COMPANIES.id,
    }
    driver.now += 3
    done = driver.status(request_id).body
    assert set(done) == {"mode", "status", "grid_id", "outputs"}
    assert (done["mode"], done["status"]) == ("async", "completed")


def test_sync_run_answers_with_the_outputs() -> None:
    body = Driver().run(ACME).body
    assert set(body) == {"mode", "status", "outputs"}
    assert (body["mode"], body["status"]) == ("sync", "completed")
    assert list(body["outputs"]) == [column.id for column in COMPANIES.outputs]
    assert all(set(output) == {"value", "name"} for output in body["outputs"].values())


def test_run_returns_the_asked_columns_only() -> None:
    wanted = [column_id(COMPANIES, "Tags"), column_id(COMPANIES, "Employees")]
    assert set(Driver().run(ACME, output_columns=wanted).body["outputs"]) == set(wanted)


def test_unknown_output_columns_of_a_run_are_passed_over() -> None:
    assert Driver().run(ACME, output_columns=["nonsense"]).body["outputs"] == {}


def test_source_can_be_named() -> None:
    assert Driver().run(ACME, source_id=COMPANIES.sources[0].id).status == 200


def test_missing_unknown_and_empty_inputs_are_accepted() -> None:
    driver = Driver()
    for inputs in ({"company_name": "Acme Corp"}, {"colour": "red"}, {}):
        assert driver.run(inputs, mode="async").body["status"] == "running"


def test_two_columns_share_a_name_and_some_are_named_like_inputs() -> None:
    names = [column.name for column in PEOPLE.outputs]
    assert names.count("Summary") == 2
    assert {"Website", "Country", "Employees"} == {column.name for column in WEBSITES.outputs}


def test_grid_ids_are_stable() -> None:
    assert [grid.id[:8] for grid in GRIDS] == [f"5eed000{n}" for n in range(1, 7)]
    ids = [grid.id for grid in GRIDS]
    ids += [column.id for grid in GRIDS for column in grid.columns]
    ids += [source.id for grid in GRIDS for source in grid.sources]
    assert len(ids) == len(set(ids))
    assert (NO_SOURCE.api_sources, FOREIGN.foreign) == ((), True)
