"""`enricher mcp`, as a client of the official SDK meets it: over stdio and over HTTP."""

import asyncio
import json
import os
import re
import signal
import subprocess
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.acceptance.desk import COMPANIES, PROGRAM, SAMPLES, answers, cells
from tests.acceptance.proxy import proxy_before
from tests.support.canary import assert_clean, disguises

GRID = COMPANIES.id
ACME = {"company_name": "Acme", "website": "acme.com"}

PUBLISHED: dict[str, dict[str, Any]] = {
    "get_workspace_details": {},
    "list_grids": {"search": "", "page": 1, "limit": 20},
    "get_grid_details": {"grid_id": ...},
    "get_grid_curl": {"grid_id": ..., "output_columns": ""},
    "run_grid": {
        "grid_id": ...,
        "inputs": ...,
        "mode": "sync",
        "output_columns": None,
        "source_id": None,
    },
    "get_run_status": {"request_id": ...},
    "rotate_api_key": {},
}
"""The tools of `bitscale-mcp` 0.1.3, with their parameters and defaults; `...` is required."""

BATCHES = {
    *("plan_batch", "start_batch", "batch_status", "batch_failures", "cancel_batch"),
    "batch_result",
}


class Agent:
    """A client that keeps what it was told, to be searched for the key."""

    def __init__(self, client):
        self._client = client
        self.told = []
        self.progress = []
        self.told_progress = asyncio.Event()

    async def list(self):
        return {tool.name: tool for tool in (await self._client.list_tools()).tools}

    async def ask(self, tool, **arguments):
        """The object that a tool gives."""
        result = await self._call(tool, arguments)
        assert not result.is_error, result.content[0].text
        assert json.loads(result.content[0].text) == result.structured_content
        return result.structured_content

    async def fail(self, tool, **arguments):
        """The text of the error that a tool gives."""
        result = await self._call(tool, arguments)
        assert result.is_error, result.content[0].text
        return result.content[0].text

    async def _call(self, tool, arguments):
        async def heard(done, of, message):
            self.progress.append((done, of, message))
            self.told_progress.set()

        result = await self._client.call_tool(tool, arguments, progress_callback=heard)
        self.told.append(result.content[0].text)
        return result


@asynccontextmanager
async def over_stdio(desk, *words, env=None):
    """A server of its own, which ends with the block."""
    params = StdioServerParameters(
        command=PROGRAM[0],
        args=[*PROGRAM[1:], "mcp", "--root", str(desk.folder), *map(str, words)],
        env={**desk.env, **(env or {})},
        cwd=desk.folder,
    )
    with (desk.folder / "server.log").open("a") as log:
        async with Client(stdio_client(params, log)) as client:
            agent = Agent(client)
            yield agent
    assert_no_key(desk, agent)


@asynccontextmanager
async def over_http(desk, *words, env=None):
    life = desk.start("mcp", "--http", "--root", desk.folder, *words, env=env)
    address = (await asyncio.to_thread(life.process.stdout.readline)).strip()
    try:
        async with Client(address) as client:
            agent = Agent(client)
            yield agent
    finally:
        life.process.terminate()
        await asyncio.to_thread(life.end)
    assert_no_key(desk, agent)


def assert_no_key(desk, agent):
    forms = [form for secret in desk.secrets for form in disguises(secret)]
    assert_clean("what the agent was told", "\n".join(agent.told).encode(), forms)


EITHER = pytest.mark.parametrize("over", [over_stdio, over_http])


@pytest.fixture
def leads(desk):
    rows = [f"Firm {n},firm{n}.com" for n in range(8)]
    return desk.write("leads.csv", ["company_name,website", *rows])


# --- the tools ------------------------------------------------------------------------------------


def test_every_parameter_and_result_is_described(desk):
    async def look():
        async with over_stdio(desk) as agent:
            return await agent.list()

    tools = asyncio.run(look())
    assert set(tools) == set(PUBLISHED) | BATCHES
    for tool in tools.values():
        assert re.search(r"Free|COSTS CREDITS", tool.description), tool.name
        missing = [*undescribed(tool.input_schema), *undescribed(tool.output_schema)]
        assert missing == [], tool.name
        spends = "COSTS CREDITS" in tool.description
        assert bool((tool.meta or {}).get("spends_credits")) == spends
        assert tool.annotations.read_only_hint is not None
        if spends:
            assert tool.annotations.destructive_hint
            assert "max_credits" in json.dumps(tool.input_schema)
        assert "api_key" not in {
            *tool.input_schema["properties"],
            *tool.output_schema["properties"],
        }


def undescribed(schema):
    """The fields of a schema that have no words."""
    for part in (schema, *schema.get("$defs", {}).values()):
        for name, field in part.get("properties", {}).items():
            if not field.get("description"):
                yield name


def test_the_published_tools_take_what_they_took(desk):
    async def look():
        async with over_stdio(desk) as agent:
            return await agent.list()

    tools = asyncio.run(look())
    for name, parameters in PUBLISHED.items():
        schema = tools[name].input_schema
        required = {one for one, default in parameters.items() if default is ...}
        assert set(schema.get("required", ())) == required, name
        for parameter, default in parameters.items():
            if default is not ...:
                assert schema["properties"][parameter]["default"] == default


def test_the_extra_is_named_where_it_is_missing(desk):
    code = "import sys; sys.modules['mcp'] = None; from enricher.cli import main; main(['mcp'])"
    hidden = desk.write("hidden.py", [code])
    done = subprocess.run(
        [PROGRAM[0], hidden], env=desk.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "pip install 'enricher[mcp]'" in done.stderr


# --- one at a time --------------------------------------------------------------------------------


@EITHER
def test_one_run_and_all_that_is_free(desk, over):
    async def talk():
        async with over(desk) as agent:
            assert (await agent.ask("get_workspace_details"))["credits"]["remaining"]
            grids = await agent.ask("list_grids", search="compan")
            assert GRID in [grid["id"] for grid in grids["grids"]]
            assert (await agent.ask("get_grid_details", grid_id=GRID))["columns"]
            contract = await agent.ask("get_grid_curl", grid_id=GRID)
            assert set(contract["request_body"]["inputs"]) == set(ACME)
            run = await agent.ask("run_grid", grid_id=GRID, inputs=ACME)
            assert (run["mode"], run["status"]) == ("sync", "completed")
            values = [output["value"] for output in run["outputs"].values()]
            assert values == answers(COMPANIES, ACME)
            assert "request_id" in agent.progress[0][2]
            started = await agent.ask("run_grid", grid_id=GRID, inputs=ACME, mode="async")
            assert started["status"] == "running"
            while (status := await agent.ask("get_run_status", request_id=started["request_id"]))[
                "status"
            ] == "running":
                pass
            assert status["status"] == "completed"

    asyncio.run(talk())
    assert desk.bought == [ACME, ACME]


def test_a_run_that_failed_is_told_apart(new_desk):
    desk = new_desk(fail_rate=1.0)

    async def talk():
        async with over_stdio(desk) as agent:
            return await agent.ask("run_grid", grid_id=GRID, inputs=ACME)

    run = asyncio.run(talk())
    assert run["status"] == "failed"
    assert run["error"]["code"] == "RUN_FAILED"
    assert run["error"]["message"]


def test_a_lost_answer_is_in_doubt_and_not_sent_again(desk):
    with proxy_before(desk.world.port) as proxy:
        proxy.lost.add("Acme")

        async def talk():
            async with over_stdio(desk, env=proxy.env) as agent:
                return json.loads(await agent.fail("run_grid", grid_id=GRID, inputs=ACME))

        error = asyncio.run(talk())["error"]
    assert error["code"] == "in_doubt"
    assert "not sent again" in error["mend"]
    assert desk.bought == [ACME]


def test_a_key_that_is_revoked_meanwhile_hides_no_paid_run(new_desk):
    desk = new_desk(duration="constant:4")

    async def talk():
        async with over_stdio(desk) as agent:
            run = asyncio.create_task(agent.ask("run_grid", grid_id=GRID, inputs=ACME))
            await agent.told_progress.wait()
            await asyncio.to_thread(desk.rotate_key)
            return await run

    run = asyncio.run(talk())
    assert run["status"] == "running"
    assert run["request_id"]
    assert desk.bought == [ACME]


def test_mistakes_are_told_and_the_server_lives(desk):
    async def talk():
        async with over_stdio(desk) as agent:
            error = json.loads(await agent.fail("get_grid_details", grid_id="nowhere"))["error"]
            assert error["code"] == "GRID_NOT_FOUND"
            error = json.loads(await agent.fail("get_run_status", request_id="nowhere"))["error"]
            assert error["code"] == "REQUEST_NOT_FOUND"
            for grid in ("nowhere", "../../workspace", ""):
                await agent.fail("run_grid", grid_id=grid, inputs=ACME)
            wrong = await agent.fail("run_grid", grid_id=GRID, inputs={"name": "Acme"})
            assert "'company_name', 'website'" in wrong
            assert "max_credit;" in await agent.fail(
                "run_grid", grid_id=GRID, inputs=ACME, max_credit=1
            )
            for inputs in ({}, 4, ["Acme"], {"company_name": 4}):
                await agent.fail("run_grid", grid_id=GRID, inputs=inputs)
            await agent.fail("list_grids", limit=1000)
            await agent.fail("no_such_tool")
            assert "key_file_missing" in await agent.fail("rotate_api_key")
            for batch in ("", "nowhere", "a.db#b", f"{desk.folder}#a", "/etc/passwd#a", "\0#a"):
                for tool in ("batch_status", "batch_failures", "cancel_batch", "batch_result"):
                    await agent.fail(tool, batch_id=batch)
            assert (await agent.ask("get_workspace_details"))["id"]

    asyncio.run(talk())
    assert desk.bought == []


def test_a_wrong_key_is_told_with_the_apis_code(desk):
    async def talk():
        async with over_stdio(desk, env={"BITSCALE_API_KEY": "sk-of-nobody"}) as agent:
            return await agent.fail("get_workspace_details")

    assert "INVALID_API_KEY" in asyncio.run(talk())


def test_max_credits_stops_runs(desk):
    async def talk():
        async with over_stdio(desk) as agent:
            for _ in range(3):
                await agent.ask("run_grid", grid_id=GRID, inputs=ACME, max_credits=1000)
            return await agent.fail("run_grid", grid_id=GRID, inputs=ACME, max_credits=1)

    assert "Nothing was submitted" in asyncio.run(talk())
    assert len(desk.bought) == 3


def test_the_limit_holds_across_tools(new_desk):
    desk = new_desk(rate=5)

    async def talk():
        async with over_stdio(desk) as agent:
            await asyncio.gather(*(agent.ask("get_workspace_details") for _ in range(12)))

    asyncio.run(talk())
    assert desk.world.workspace.rate_limited == 0


def test_a_rotated_key_goes_to_its_file_and_is_not_told(desk):
    file = desk.key_file(desk.world.api_key)

    async def talk():
        env = {"BITSCALE_API_KEY": ""}
        async with over_stdio(desk, "--api-key-file", file, env=env) as agent:
            told = await agent.ask("rotate_api_key")
            assert told["stored_in"] == str(file)
            desk.secrets.append(file.read_text().strip())
            assert (await agent.ask("get_workspace_details"))["id"]

    asyncio.run(talk())
    assert desk.secrets[-1] != desk.secrets[0]


# --- batches --------------------------------------------------------------------------------------


@EITHER
def test_a_batch_from_its_plan_to_its_result(desk, leads, over):
    async def talk():
        async with over(desk) as agent:
            order = {"input": "leads.csv", "grid_id": GRID}
            plan = await agent.ask("plan_batch", batch=order)
            assert (plan["new_runs"], plan["rows"]["total"]) == (8, 8)
            assert desk.bought == []
            batch = (await agent.ask("start_batch", batch=order))["batch_id"]
            status = await agent.ask("batch_status", batch_id=batch, wait_seconds=50)
            assert status["outcome"] == "finished"
            found = await agent.ask("batch_result", batch_id=batch, limit=2, offset=1)
            assert [row["row"] for row in found["rows"]] == [2, 3]
            assert found["rows"][0]["inputs"]["company_name"] == "Firm 1"
            assert found["matching"] == 8
            copy = await agent.ask("batch_result", batch_id=batch, output="copy.parquet")
            assert copy["path"] == str(desk.folder / "copy.parquet")
            failures = await agent.ask("batch_failures", batch_id=batch)
            assert failures["matching"] == 0
            return found["path"]

    path = asyncio.run(talk())
    assert path == str(desk.folder / "leads.enriched.csv")
    assert (
        cells(desk.folder / "leads.enriched.csv").column("enrichment_status") == ["completed"] * 8
    )
    assert len(desk.bought) == 8


def test_a_batch_outlives_its_server_is_cancelled_and_goes_on(new_desk):
    desk = new_desk(duration="constant:2", rate=5)
    rows = [f"Firm {n},firm{n}.com" for n in range(60)]
    desk.write("leads.csv", ["company_name,website", *rows])
    order = {"input": "leads.csv", "grid_id": GRID}

    async def begun():
        life = desk.start("mcp", "--http", "--root", desk.folder)
        address = (await asyncio.to_thread(life.process.stdout.readline)).strip()
        async with Client(address) as client:
            batch = (await Agent(client).ask("start_batch", batch=order))["batch_id"]
        life.process.kill()
        await asyncio.to_thread(life.end, -signal.SIGKILL)
        return batch

    async def cancelled(batch):
        async with over_stdio(desk) as agent:
            status = await agent.ask("batch_status", batch_id=batch, wait_seconds=2)
            assert status["outcome"] == "running"
            assert agent.progress[-1][1] == 60
            second = json.loads(await agent.fail("start_batch", batch=order))["error"]
            assert second["code"] == "checkpoint_in_use"
            return await agent.ask("cancel_batch", batch_id=batch)

    async def ended(batch):
        async with over_http(desk) as agent:
            again = await agent.ask("start_batch", batch=order)
            assert again["batch_id"] == batch
            while (status := await agent.ask("batch_status", batch_id=batch, wait_seconds=50))[
                "outcome"
            ] == "running":
                pass
            return status

    batch = asyncio.run(begun())
    stopped = asyncio.run(cancelled(batch))
    assert (stopped["outcome"], stopped["reason_code"]) == ("stopped", "signal")
    assert stopped["rows"]["in_doubt"] == 0
    bought = len(desk.bought)
    assert 0 < bought < 60
    assert asyncio.run(ended(batch))["outcome"] == "finished"
    assert len(desk.bought) == 60, "something was paid twice"


def test_failures_are_told_with_their_codes(new_desk):
    desk = new_desk(fail_rate=1.0)
    desk.write("leads.csv", ["company_name,website", "Acme,acme.com"])

    async def talk():
        async with over_stdio(desk) as agent:
            order = {"input": "leads.csv", "grid_id": GRID}
            batch = (await agent.ask("start_batch", batch=order))["batch_id"]
            status = await agent.ask("batch_status", batch_id=batch, wait_seconds=50)
            assert status["outcome"] == "finished_with_failures"
            return await agent.ask("batch_failures", batch_id=batch)

    (row,) = asyncio.run(talk())["rows"]
    assert row["status"] == "failed"
    assert row["error"].startswith("RUN_FAILED: ")


def test_more_than_a_hundred_runs_need_the_token_of_their_plan(desk):
    rows = [f"Firm {n},firm{n}.com" for n in range(101)]
    desk.write("leads.csv", ["company_name,website", *rows])
    order = {"input": "leads.csv", "grid_id": GRID}

    async def talk():
        async with over_stdio(desk) as agent:
            for token in (None, "made-up"):
                assert "token_needed" in await agent.fail("start_batch", batch=order, token=token)
            token = (await agent.ask("plan_batch", batch=order))["token"]
            other = {**order, "output_columns": [COMPANIES.columns[-1].name]}
            assert "token_needed" in await agent.fail("start_batch", batch=other, token=token)
            assert desk.bought == []
            capped = {**order, "max_runs": 2}
            await agent.ask("start_batch", batch=capped)  # too few to need one
            batch = f"{desk.folder / 'leads.enriched.csv.checkpoint.db'}"
            status = await agent.ask(
                "batch_status", batch_id=f"{batch}#{_job_of(desk)}", wait_seconds=50
            )
            assert (status["outcome"], status["reason_code"]) == ("stopped", "max_runs")
            started = await agent.ask("start_batch", batch=order, token=token)
            return await agent.ask("batch_status", batch_id=started["batch_id"], wait_seconds=50)

    assert asyncio.run(talk())["outcome"] == "finished"
    assert len(desk.bought) == 101


def _job_of(desk):
    return desk.do("status", "leads.enriched.csv.checkpoint.db", "--json").json["job"]


def test_files_outside_of_the_roots_are_out_of_reach(desk, leads, tmp_path):
    (tmp_path / "secret.csv").write_text("company_name,website\na,b\n")
    (desk.folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    (desk.folder / "out").symlink_to(tmp_path)
    (desk.folder / "leads.enriched.csv").symlink_to(tmp_path / "target.csv")
    outside = [
        {"input": str(tmp_path / "secret.csv")},
        {"input": "../secret.csv"},
        {"input": "link.csv"},
        {"input": "out/secret.csv"},
        {"input": "leads.csv"},  # whose default output is a link that leads away
        {"input": "leads.csv", "output": "out/b.csv"},
        {"input": "leads.csv", "output": "a.csv", "checkpoint": "../a.db"},
        {"input": "a\0b.csv"},
        {"input": "x" * 5000},
    ]

    async def talk():
        async with over_stdio(desk) as agent:
            for order in outside:
                told = await agent.fail("plan_batch", batch={"grid_id": GRID, **order})
                assert "outside_root" in told, order
                await agent.fail("start_batch", batch={"grid_id": GRID, **order})
            for name in ("-", "*.csv", "leads.toml", "."):
                told = await agent.fail("plan_batch", batch={"grid_id": GRID, "input": name})
                assert "no_such_file" in told, name

            log = desk.folder / "b.csv.checkpoint.db.log"
            log.symlink_to(tmp_path / "target.log")
            order = {"grid_id": GRID, "input": "leads.csv", "output": "b.csv"}
            assert "cannot be written" in await agent.fail("start_batch", batch=order)
            log.unlink()

    asyncio.run(talk())
    assert desk.bought == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.csv"]
    for link in ("link.csv", "out", "leads.enriched.csv"):
        (desk.folder / link).unlink()


def test_a_checkpoint_leads_nowhere_outside(desk, tmp_path):
    (tmp_path / "secret.csv").write_text("company_name,website\na,b\n")
    desk.do("run", tmp_path / "secret.csv", "--grid", GRID, "-o", "out.csv")
    job = desk.do("status", "out.csv.checkpoint.db", "--json").json["job"]

    async def talk():
        async with over_stdio(desk) as agent:
            batch = f"{desk.folder}/out.csv.checkpoint.db#{job}"
            for tool in ("batch_status", "batch_failures", "cancel_batch", "batch_result"):
                assert "outside_root" in await agent.fail(tool, batch_id=batch)

    asyncio.run(talk())


def test_the_address_of_http_is_secret(desk):
    import httpx2

    life = desk.start("mcp", "--http", "--root", desk.folder)
    address = life.process.stdout.readline().strip()
    host = address.split("/")[2]
    assert httpx2.post(f"http://{host}/mcp", json={}).status_code == 404
    foreign = httpx2.post(address, json={}, headers={"Host": "evil.example"})
    assert foreign.status_code in (403, 421)
    life.process.terminate()
    life.end(0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_server_on_stdio(desk, number):
    reading, writing = os.pipe()  # a client that says nothing
    process = subprocess.Popen(
        [*PROGRAM, "mcp"], env=desk.env, stdin=reading, stderr=subprocess.PIPE, text=True
    )
    assert "standard input" in process.stderr.readline()
    process.send_signal(number)
    assert process.wait(30) == 128 + number
    process.stderr.close()
    os.close(reading)
    os.close(writing)


def test_samples_can_be_planned_as_they_are(desk):
    (desk.folder / "companies.csv").write_bytes((SAMPLES / "companies.csv").read_bytes())

    async def talk():
        async with over_stdio(desk) as agent:
            order = {
                "input": "companies.csv",
                "grid_id": GRID,
                "inputs": {
                    "company_name": "Company Name",
                    "website": {"template": "https://{Website}"},
                },
            }
            return await agent.ask("plan_batch", batch=order)

    plan = asyncio.run(talk())
    assert plan["samples"]["website"][0] == "https://lowes.com"
