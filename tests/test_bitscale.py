"""BitScale: what is asked before money, what is sent, and what each answer means.

Over the real HTTP client and a network in memory: the simulator answers, or a canned answer where
the API document allows more than the simulator does.
"""

import asyncio
import json
import logging
import math
from urllib.parse import quote

import pytest

from enricher.errors import ProviderRefused
from enricher.model import Credits, OutputColumn, RequestCounts
from enricher.pace import Gate
from enricher.preflight import asker
from enricher.providers.bitscale import BitScale, Target
from enricher.providers.bitscale_line import STOPPING_CODES
from enricher.providers.keys import ApiKey
from enricher.providers.transport import LARGEST_ANSWER, Transport
from enricher.simulator import GRIDS, Access, Request, Settings, Workspace, outputs_for
from enricher.simulator import parse_duration as lasting
from enricher.verdicts import (
    Accepted,
    Alive,
    Done,
    JobStops,
    KeyRejected,
    Malformed,
    MaybeSent,
    NotSent,
    RateSignal,
    Refused,
    RowRejected,
    RunFailed,
    StillRunning,
)
from tests.support import virtual
from tests.support.canary import KEY, assert_clean, disguises
from tests.support.network import BASE_URL, Canned, Raw, SimulatedNetwork, Trouble

COMPANIES, PEOPLE, NO_SOURCE, WEBSITES, NO_SOURCE_COLUMN, FOREIGN = GRIDS
ACME = {"company_name": "Acme Corp", "website": "acme.com"}
RUN_ID = "550e8400-e29b-41d4-a716-446655440000"


class World:
    """A workspace, a network to it, and a provider; use `with_provider` for what takes time."""

    def __init__(self, grid=COMPANIES.id, source="", outputs=(), *, key_file=None, **settings):
        self.workspace = Workspace(
            Settings(**{"rate": None, "duration": lasting("3"), **settings}), BASE_URL
        )
        self.network = SimulatedNetwork(self.workspace)
        self.target = Target(grid, source, outputs)
        self.key = self.workspace.api_key
        self.key_file = key_file
        self.warnings: list[str] = []

    def with_provider(self, work):
        """What `work(provider)` gives, in virtual time."""

        async def run():
            key = ApiKey("BITSCALE_API_KEY", self.key_file, {"BITSCALE_API_KEY": self.key})
            async with Transport(BASE_URL, network=self.network) as transport:
                return await work(BitScale(transport, key, self.target))

        return virtual.run(run())

    def ask(self):
        return asker(Gate(math.inf), 900, RequestCounts(), self.warnings.append)

    def briefing(self):
        async def work(provider):
            return await provider.brief(self.ask())

        return self.with_provider(work)

    def refusal(self):
        with pytest.raises(ProviderRefused) as caught:
            self.briefing()
        return caught.value

    def asked(self):
        """The requests that arrived, as a log would show them."""
        return [f"{s.request.method} {s.request.path}" for s in self.network.arrived]


def canned(status, body=b"{}", **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Canned(status, content, tuple(names.items()))


def error(status, code, message="the server's words", **headers):
    return canned(status, {"error": {"code": code, "message": message}}, **headers)


def asked_by(provider, to):
    return provider.submit(ACME) if to == "submit" else provider.look(RUN_ID)


def reply_in(world, to, answer):
    world.network.script = lambda _: answer
    return world.with_provider(lambda provider: asked_by(provider, to))


@pytest.fixture(scope="module")
def reply():
    """What a provider makes of an answer, a canned one or a trouble: `reply("look", answer)`.

    One provider for all of them: to make an HTTP client takes a tenth of a second.
    """
    world = World()
    key = ApiKey("BITSCALE_API_KEY", None, {"BITSCALE_API_KEY": world.key})

    with asyncio.Runner(loop_factory=virtual.VirtualLoop) as runner:
        transport = Transport(BASE_URL, network=world.network)
        provider = BitScale(transport, key, world.target)

        def reply(to, answer):
            world.network.refuse_connections = answer is Trouble.NO_CONNECTION
            world.network.script = lambda _: answer
            return runner.run(asked_by(provider, to))

        yield reply
        runner.run(transport.aclose())


both = pytest.mark.parametrize("to", ["submit", "look"])

# --- before money ----------------------------------------------------------------------------


def test_a_briefing_tells_all_that_is_free():
    world = World()
    briefing = world.briefing()
    assert briefing.account == "ws-5eed0000"
    assert briefing.title == "Company Enrichment"
    assert briefing.labels == ("company_name", "website")
    assert [output.name for output in briefing.outputs][:3] == [
        *("Company Description", "Local Slogan", "Employees")
    ]
    assert len(briefing.outputs) == 11
    assert briefing.asked is None
    assert briefing.credits == Credits(remaining=39_600, used=12_400)
    assert any("auto_dedupe" in remark for remark in briefing.remarks)
    path = f"GET /grids/{COMPANIES.id}"
    assert world.asked() == ["GET /workspace", path, f"{path}/curl"]
    assert world.workspace.runs == ()


def test_a_grid_that_keeps_every_row_needs_no_remark():
    assert World(PEOPLE.id).briefing().remarks == ()


def test_output_columns_are_named_or_given_by_id_and_come_in_the_order_of_the_grid():
    slogan, hiring = COMPANIES.outputs[1], COMPANIES.outputs[6]
    world = World(outputs=(hiring.id, "Local Slogan", hiring.name))
    briefing = world.briefing()
    assert briefing.outputs == (
        OutputColumn(slogan.id, "Local Slogan"),
        OutputColumn(hiring.id, "Is Hiring"),
    )
    assert briefing.asked == (slogan.id, hiring.id)
    assert world.network.arrived[-1].request.query == {"output_columns": f"{slogan.id},{hiring.id}"}


def test_an_input_that_the_asked_outputs_do_not_need_is_optional():
    briefing = World(outputs=("Local Slogan",)).briefing()
    assert briefing.labels == ("company_name", "website")
    assert briefing.optional == {"website"}


def test_a_name_that_two_outputs_share_is_refused_and_both_ids_are_listed():
    problem = World(PEOPLE.id, outputs=("Summary",)).refusal()
    assert problem.code == "INVALID_OUTPUT_COLUMN"
    assert "'Summary' names several outputs" in problem.message
    twins = PEOPLE.outputs[2:4]
    assert all(f"Summary  ({twin.id})" in problem.message for twin in twins)
    briefing = World(PEOPLE.id, outputs=(twins[1].id,)).briefing()
    assert briefing.asked == (twins[1].id,)


@pytest.mark.parametrize("unknown", ["Sloga", "Company Name", "local slogan", ""])
def test_an_output_that_the_grid_does_not_have_is_refused_and_all_are_listed(unknown):
    problem = World(outputs=("Local Slogan", unknown)).refusal()
    assert problem.code == "INVALID_OUTPUT_COLUMN"
    assert f"{unknown!r} is no output of the grid" in problem.message
    assert all(f"{o.name}  ({o.id})" in problem.message for o in COMPANIES.outputs)
    assert problem.mend


def test_a_source_of_the_grid_is_taken_and_another_refused():
    own = COMPANIES.api_sources[0]
    assert World(source=own.id).briefing().title
    problem = World(source="src-none").refusal()
    assert (problem.code, problem.exit_code) == ("INVALID_SOURCE", 1)
    assert f"{own.id}  BitScale API" in problem.message


@pytest.mark.parametrize(
    ("world", "code"),
    [
        (World("no-such-grid"), "GRID_NOT_FOUND"),
        (World(FOREIGN.id), "GRID_NOT_FOUND"),
        (World(NO_SOURCE.id), "MISSING_SOURCE"),
        (World(access=Access.NONE), "FEATURE_DISABLED"),
        (World(workspace_exists=False), "WORKSPACE_NOT_FOUND"),
    ],
)
def test_what_every_run_would_meet_is_refused_before_money_with_its_mend(world, code):
    problem = world.refusal()
    assert (problem.code, problem.exit_code) == (code, 1)
    assert problem.message.startswith(f"{code}: ")
    assert problem.mend == STOPPING_CODES[code]
    assert world.workspace.runs == ()


@pytest.mark.parametrize(
    "grid", ["../workspace", "..", "a/b", "a b", "", "x" * 200, "é", "a?b", "a\n"]
)
def test_a_grid_that_is_no_id_is_never_part_of_an_address(grid):
    world = World(grid)
    assert world.refusal().code == "GRID_NOT_FOUND"
    assert world.asked() == []


def test_a_wrong_key_is_told_without_the_key():
    world = World()
    world.key = "sk-wrong-123456"
    problem = world.refusal()
    assert problem.code == "INVALID_API_KEY"
    assert "sk-wrong" not in str(problem)


ODD: list = [None, [], "text", 7, {}, 1.5, True, [[]], 10**400]


@pytest.mark.parametrize("odd", ODD)
def test_metadata_that_is_not_as_documented_does_no_harm(odd):
    def script(request):
        if request.path == "/workspace":
            return canned(200, {"id": "ws-1", "credits": odd})
        if request.path.endswith("/curl"):
            return canned(200, {"request_body": {"inputs": odd} if odd != [] else odd})
        columns = [odd, {"id": "c1", "type": "formula", "name": odd}, {"type": "merge"}]
        sources = odd if isinstance(odd, list) else None
        return canned(200, {"columns": columns, "settings": odd, "sources": sources})

    world = World()
    world.network.script = script
    briefing = world.briefing()
    assert (briefing.account, briefing.title, briefing.labels) == ("ws-1", "", ())
    assert (briefing.credits, briefing.remarks) == (None, ())
    assert [output.id for output in briefing.outputs] == ["c1"]
    assert all(isinstance(output.name, str) for output in briefing.outputs)


@pytest.mark.parametrize("odd", [*ODD, {"a": []}, [{"type": [], "id": {}}]])
def test_metadata_of_other_types_does_no_harm(odd):
    grid = {
        "/workspace": {"id": "ws-1", "credits": {"remaining": odd, "used": odd}},
        f"/grids/{COMPANIES.id}": {"name": odd, "columns": [odd], "sources": odd},
    }
    world = World(source="src-none")
    contract = {"request_body": {"inputs": odd} if odd != {"a": []} else [odd]}
    world.network.script = lambda request: canned(200, grid.get(request.path, contract))
    assert world.refusal().code == "INVALID_SOURCE"
    world.target = Target(COMPANIES.id)
    briefing = world.briefing()
    assert (briefing.labels, briefing.outputs) == ((), ())
    assert briefing.credits == (Credits(odd, odd) if odd in (7, 1.5) else None)


def test_the_balance_is_asked_for_anew():
    world = World(credits_per_run=7)

    async def work(provider):
        await provider.submit(ACME)
        return await provider.balance(world.ask())

    assert world.with_provider(work) == Credits(remaining=39_593, used=12_407)


# --- runs ------------------------------------------------------------------------------------


def run_to_the_end(world, inputs):
    """What submitting and then looking brings, run by run."""

    async def work(provider):
        await provider.brief(world.ask())
        submitted = (await provider.submit(inputs)).verdict
        assert isinstance(submitted, Accepted)
        early = (await provider.look(submitted.run_id)).verdict
        await asyncio.sleep(10)
        return early, (await provider.look(submitted.run_id)).verdict

    return world.with_provider(work)


@pytest.mark.parametrize("grid", [COMPANIES, PEOPLE, WEBSITES], ids=lambda grid: grid.name)
def test_a_run_goes_from_its_id_to_its_outputs(grid):
    inputs = {label: f"«{label}» \n, 株式会社" for label in grid.labels}
    early, late = run_to_the_end(World(grid.id), inputs)
    expected = outputs_for(grid, inputs)
    assert early == StillRunning()
    assert isinstance(late, Done)
    assert late.outputs == {id_: output["value"] for id_, output in expected.items()}
    assert late.names == {id_: output["name"] for id_, output in expected.items()}


def test_a_run_of_some_outputs_brings_these():
    _, late = run_to_the_end(World(outputs=("Is Hiring", "Tags")), ACME)
    assert list(late.names.values()) == ["Tags", "Is Hiring"]


def test_both_ways_in_which_a_run_can_fail_are_a_failed_run():
    fates = {run_to_the_end(World(fail_rate=1, seed=seed), ACME)[1] for seed in range(8)}
    assert all(isinstance(fate, RunFailed) for fate in fates)
    assert {fate.code for fate in fates} == {"RUN_FAILED"}
    assert len(fates) >= 2  # 200 `failed` without words, and 500 with the column's name


def sent_body(inputs=ACME, **target):
    world = World(**target)

    async def work(provider):
        if target:
            await provider.brief(world.ask())
        return await provider.submit(inputs)

    world.with_provider(work)
    request = world.network.arrived[-1].request
    return request, json.loads(request.body)


def test_a_submission_says_its_mode_and_nothing_that_was_not_given():
    """An omitted mode means sync (6)."""
    request, body = sent_body()
    assert (request.method, request.path) == ("POST", f"/grids/{COMPANIES.id}/run")
    assert body == {"mode": "async", "inputs": ACME}


def test_a_submission_names_the_source_and_the_outputs_that_were_given():
    source, slogan = COMPANIES.api_sources[0].id, COMPANIES.outputs[1].id
    _, body = sent_body(source=source, outputs=("Local Slogan",))
    assert body == {
        "mode": "async",
        "inputs": ACME,
        "output_columns": [slogan],
        "source_id": source,
    }


def test_inputs_are_sent_as_they_are():
    inputs = {"company_name": ' Größe "1"\n\\ 株式会社 🏢\0', "website": "", "名": "00123"}
    request, body = sent_body(inputs)
    assert body["inputs"] == inputs
    assert "株式会社 🏢".encode() in request.body


@both
def test_a_request_carries_the_key_and_says_what_it_holds(to):
    world = World()
    reply_in(world, to, canned(200, {"status": "running", "request_id": RUN_ID}))
    headers = world.network.arrived[0].request.headers
    assert headers["x-api-key"] == world.key
    assert headers["accept"] == "application/json"
    assert headers.get("content-type") == ("application/json" if to == "submit" else None)


def test_every_request_tells_when_it_leaves():
    world = World()
    left = []

    async def work(provider):
        for request in (
            provider.probe,
            lambda note: provider.submit(ACME, note),
            lambda note: provider.look(RUN_ID, note),
        ):
            await request(lambda: left.append(len(world.network.arrived)))

    world.with_provider(work)
    assert left == [0, 1, 2]  # each before it arrives


def test_a_poll_url_is_data():
    world = World()
    body = {"status": "running", "request_id": RUN_ID, "poll_url": "http://elsewhere/x"}
    world.network.script = lambda _: canned(200, body)

    async def work(provider):
        accepted = (await provider.submit(ACME)).verdict
        await provider.look(accepted.run_id)

    world.with_provider(work)
    assert world.asked()[1] == f"GET /run/status/{RUN_ID}"
    assert {sent.request.headers["host"] for sent in world.network.arrived} == {"simulator"}


# --- what each answer means: REACTIONS.md, line by line --------------------------------------

OUTPUTS = {
    "c1": {"value": [1], "name": "Tags"},
    "c2": {"value": None, "name": ""},
    "c3": {"value": 0},
}
DONE = Done({"c1": [1], "c2": None, "c3": 0}, {"c1": "Tags", "c2": "c2", "c3": "c3"})
WORDS = "the server's words"

ALIKE = [
    # What either request may be answered with.
    (canned(200, {"mode": "sync", "status": "completed", "outputs": OUTPUTS}), DONE),
    (canned(200, {"status": "completed", "outputs": {}}), Done({}, {})),
    (canned(200, {"status": "failed"}), RunFailed("RUN_FAILED", "")),
    (canned(200, {"status": "failed", "message": "no data"}), RunFailed("RUN_FAILED", "no data")),
    (
        canned(200, {"status": "failed", "error": {"code": "X", "message": "m"}}),
        RunFailed("X", "m"),
    ),
    (
        # Ended is ended: a run that failed for want of credits would else stop every resume.
        canned(200, {"status": "failed", "error": {"code": "NO_CREDITS", "message": "m"}}),
        RunFailed("NO_CREDITS", "m"),
    ),
    (error(500, "RUN_FAILED"), RunFailed("RUN_FAILED", WORDS)),
    (error(429, "RATE_LIMIT_EXCEEDED", Retry_After="1"), Refused()),
    (canned(429, b"<html>"), Refused()),
    (error(503, "INTERNAL_ERROR", Retry_After="20"), Refused()),
    (canned(503, b"<html>", Retry_After="soon"), Refused()),
    (error(500, "INTERNAL_ERROR"), MaybeSent("HTTP 500 INTERNAL_ERROR")),
    (canned(500, b"<html>oops</html>"), MaybeSent("HTTP 500")),
    (canned(502, b""), MaybeSent("HTTP 502")),
    (canned(503), MaybeSent("HTTP 503")),
    (canned(504), MaybeSent("HTTP 504")),
    (error(402, "PAYMENT_REQUIRED"), JobStops("PAYMENT_REQUIRED", WORDS)),
    (canned(402, b"<html>"), JobStops("HTTP_402", "the server asks for payment")),
    (error(400, "INSUFFICIENT_CREDITS"), JobStops("INSUFFICIENT_CREDITS", WORDS)),
    (error(403, "credit_limit"), JobStops("credit_limit", WORDS)),
    (canned(200, {"status": "completed"}), Malformed("completed, but without outputs")),
    (
        canned(200, {"status": "completed", "outputs": {"c1": "x"}}),
        Malformed("output 'c1' has no value"),
    ),
    (
        canned(200, {"status": "completed", "outputs": {"c1": {"name": "Tags"}}}),
        Malformed("output 'c1' has no value"),
    ),
    (canned(200, b"[1]"), Malformed("the answer has no status")),
    (canned(200, b'"completed"'), Malformed("the answer has no status")),
    (canned(200, b"{}"), Malformed("the answer has no status")),
    (canned(200, {"status": 7, "request_id": RUN_ID}), Malformed("the answer has no status")),
    *(
        (error(status, code), JobStops(code, WORDS, mend))
        for code, mend in STOPPING_CODES.items()
        for status in (400, 403, 404, 422)
    ),
]


@both
@pytest.mark.parametrize(("answer", "meaning"), ALIKE)
def test_what_an_answer_means_to_either_request(reply, to, answer, meaning):
    assert reply(to, answer).verdict == meaning


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (canned(200, {"status": "running", "request_id": RUN_ID}), Accepted(RUN_ID)),
        (canned(200, {"mode": "sync", "status": "queued", "request_id": "a"}), Accepted("a")),
        (canned(200, {"status": "running"}), Malformed("the answer has no usable request_id")),
        (canned(200, {"status": "queued"}), Malformed("the answer has no usable request_id")),
        (error(400, "INVALID_INPUTS"), RowRejected("INVALID_INPUTS", WORDS)),
        (error(400, "MISSING_REQUIRED_FIELD"), RowRejected("MISSING_REQUIRED_FIELD", WORDS, True)),
        (error(400, "INVALID_REQUEST"), RowRejected("INVALID_REQUEST", WORDS, True)),
        (
            canned(413, b"<html>"),
            RowRejected("HTTP_413", "the server refused these inputs", suspicious=True),
        ),
        (canned(422, {"error": "bad"}), RowRejected("HTTP_422", "bad", suspicious=True)),
        (canned(400, {"message": "bad"}), RowRejected("HTTP_400", "bad", suspicious=True)),
        (
            canned(404, b"[]"),
            RowRejected("HTTP_404", "the server refused these inputs", suspicious=True),
        ),
    ],
)
def test_what_an_answer_to_a_submission_means(reply, answer, meaning):
    assert reply("submit", answer).verdict == meaning


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (canned(200, {"mode": "async", "status": "running", "grid_id": "g"}), StillRunning()),
        (canned(200, {"status": "queued"}), StillRunning("unknown status 'queued'")),
        (canned(200, {"status": ""}), StillRunning("unknown status ''")),
        (canned(200, {"status": "x" * 99}), StillRunning(f"unknown status '{'x' * 40}'")),
        (error(404, "REQUEST_NOT_FOUND"), RowRejected("REQUEST_NOT_FOUND", WORDS)),
        (canned(404, b"<html>"), RowRejected("REQUEST_NOT_FOUND", "no run under this id")),
        (error(404, "NOT_FOUND"), JobStops("NOT_FOUND", WORDS)),
        (error(400, "INVALID_REQUEST"), JobStops("INVALID_REQUEST", WORDS)),
        (canned(410), JobStops("HTTP_410", "the server refused the request")),
    ],
)
def test_what_an_answer_to_a_look_means(reply, answer, meaning):
    assert reply("look", answer).verdict == meaning


@both
@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
def test_a_redirect_stops_the_job_and_is_not_followed(to, status):
    world = World()
    meaning = reply_in(world, to, canned(status, b"", Location="http://elsewhere/")).verdict
    assert isinstance(meaning, JobStops)
    assert meaning.code == f"HTTP_{status}"
    assert len(world.network.arrived) == 1


@pytest.mark.parametrize(
    "id_", ["../../api-key/rotate", "a b", "x" * 129, "", "é", "a\n", 7, None, {}, ".", "..", "..."]
)
def test_an_id_that_is_no_id_is_not_taken(reply, id_):
    meaning = reply("submit", canned(200, {"status": "running", "request_id": id_})).verdict
    assert meaning == Malformed("the answer has no usable request_id")


@pytest.mark.parametrize("id_", ["a", "x" * 128, "A-Z_0.9", RUN_ID, "..a", "a."])
def test_any_id_of_the_usual_form_is_taken(reply, id_):
    answer = canned(200, {"status": "running", "request_id": id_})
    assert reply("submit", answer).verdict == Accepted(id_)


@both
@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (Trouble.LOST_BEFORE, MaybeSent),
        (Trouble.LOST_AFTER, MaybeSent),
        (Trouble.CUT, MaybeSent),
        (Trouble.HANG, MaybeSent),
        (Trouble.NO_CONNECTION, NotSent),
    ],
)
def test_what_trouble_with_the_network_means(to, trouble, kind):
    world = World()
    world.network.refuse_connections = trouble is Trouble.NO_CONNECTION
    told = reply_in(world, to, trouble)
    assert isinstance(told.verdict, kind)
    assert told.signal == RateSignal()


@both
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        b'{"status": "completed", "outputs": {"c1": {"value": NaN}}}',
        b'{"status": "completed", "outputs": {"c1": {"value": 1e999}}}',
        b'{"status": "completed", "outputs": {"c1": {"value": "\\ud800"}}}',
        b'{"status": "completed", "outputs": {"c1": {"value": %s}}}' % (b"9" * 5000),
        b'{"status": "completed", "outputs": {"c1": {"value": %s1}}}' % (b"[" * 100_000),
        b'{"status": "completed", "outputs": {"c1": {"value": "%s"}}}' % (b"x" * LARGEST_ANSWER),
        b'{"status": "completed", "outputs": {"c1"',
    ],
    ids=lambda body: f"{len(body)} {body[41:60]!r}",
)
def test_an_answer_that_could_do_harm_is_malformed(reply, to, body):
    assert isinstance(reply(to, canned(200, body)).verdict, Malformed)


def test_an_integer_of_any_usual_size_is_exact(reply):
    body = b'{"status": "completed", "outputs": {"c1": {"value": 123456789012345678901234567890}}}'
    assert reply("look", canned(200, body)).verdict.outputs == {
        "c1": 123456789012345678901234567890
    }


# --- probes ----------------------------------------------------------------------------------


def probed(answer):
    world = World()
    world.network.script = lambda _: answer

    async def work(provider):
        return await provider.probe()

    told = world.with_provider(work)
    assert world.asked() == ["GET /workspace"]
    return told


def test_a_probe_that_is_answered_says_that_the_server_is_there():
    assert isinstance(probed(None).verdict, Alive)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Trouble.HANG, MaybeSent),
        (canned(500), MaybeSent),
        (canned(200, b"<html>"), Malformed),
        (canned(200, b"[]"), Malformed),
        (canned(429), Refused),
        (error(403, "FEATURE_DISABLED"), JobStops),
        (error(401, "INVALID_API_KEY"), KeyRejected),
    ],
)
def test_a_probe_that_is_not_answered_says_so(answer, kind):
    assert isinstance(probed(answer).verdict, kind)


# --- the key ---------------------------------------------------------------------------------

NO_KEY = error(401, "INVALID_API_KEY", "Missing or invalid X-API-KEY header")


def private(path, text):
    path.touch(mode=0o600)
    path.write_text(text)
    return path


@both
@pytest.mark.parametrize(
    "answer", [NO_KEY, canned(401, b"<html>"), error(403, "INVALID_API_KEY"), error(401, "X")]
)
def test_a_refused_key_of_the_environment_stays_refused(reply, to, answer):
    meaning = reply(to, answer).verdict
    assert isinstance(meaning, KeyRejected)
    assert not meaning.renewed
    assert meaning.message


@both
def test_a_refused_key_is_read_again_from_its_file(to, tmp_path):
    path = private(tmp_path / "key", "sk-old-old\n")
    world = World(key_file=path)
    world.network.script = lambda _: NO_KEY

    async def work(provider):
        def ask():
            return provider.submit(ACME) if to == "submit" else provider.look(RUN_ID)

        same = await ask()
        path.write_text("sk-new-new")
        renewed = await ask()
        return same.verdict.renewed, renewed.verdict.renewed, (await ask()).verdict.renewed

    assert world.with_provider(work) == (False, True, False)
    keys = [sent.request.headers["x-api-key"] for sent in world.network.arrived]
    assert keys == ["sk-old-old", "sk-old-old", "sk-new-new"]


def test_a_refusal_counts_against_the_key_that_the_request_carried(tmp_path):
    """Two requests with the old key are refused; the second must not stop the job for the new."""
    path = private(tmp_path / "key", "sk-old-old")
    world = World(key_file=path)
    world.network.script = lambda _: NO_KEY

    async def work(provider):
        first, second = (asyncio.create_task(provider.look(RUN_ID)) for _ in range(2))
        await asyncio.sleep(0.01)
        path.write_text("sk-new-new")
        return (await first).verdict.renewed, (await second).verdict.renewed

    assert world.with_provider(work) == (True, True)


def test_a_rotated_key_goes_on_with_the_real_answers(tmp_path):
    world = World()
    world.key_file = private(tmp_path / "key", world.key)

    async def work(provider):
        rotate = Request("POST", "/api-key/rotate", {}, {"x-api-key": world.key}, b"")
        world.workspace.handle(rotate, 0.0)
        world.key_file.write_text(world.workspace.api_key)
        return (await provider.submit(ACME)).verdict, (await provider.submit(ACME)).verdict

    refused, accepted = world.with_provider(work)
    assert refused == KeyRejected("Missing or invalid X-API-KEY header", renewed=True)
    assert isinstance(accepted, Accepted)


@both
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 422, 500, 503])
def test_a_server_that_repeats_the_key_does_not_get_it_into_our_words(to, status):
    world = World()
    told = reply_in(world, to, error(status, f"BAD_{world.key}", f"wrong key {world.key}!"))
    assert world.key not in repr(told)


@pytest.mark.parametrize("status", [200, 429])
def test_a_server_that_repeats_the_key_in_a_header_does_not_either(status):
    world = World()
    repeated = canned(status, X_RateLimit_Limit=f"not for {world.key}")
    told = reply_in(world, "look", repeated).signal.nonsense
    assert told == "X-RateLimit-Limit 'not for ***' is ignored"


@both
@pytest.mark.parametrize(
    "form", [KEY, quote(KEY), quote(KEY, safe=""), json.dumps(KEY)[1:-1], repr(KEY)[1:-1]]
)
def test_no_form_in_which_a_server_repeats_the_key_gets_through(to, form):
    """In an error, in the message of a failed run and in the outputs of a paid one."""
    world = World(api_key=KEY)
    failed = canned(200, {"status": "failed", "error": {"code": form, "message": f"a {form} b"}})
    outputs = {"c1": {"value": {form: [form]}, "name": form}}
    done = canned(200, {"status": "completed", "outputs": outputs})
    told = [reply_in(world, to, answer) for answer in (failed, done, error(400, form, form))]
    assert_clean("what is told", repr(told).encode(), list(disguises(KEY)))
    assert told[0].verdict.message == "a *** b"
    assert told[1].verdict.outputs == {"c1": {"***": ["***"]}}


def test_a_server_that_sends_the_request_back_as_it_came_does_not_tell_the_key():
    """What is wrong with an answer is told with words of the HTTP library, which quotes it."""
    world = World(api_key=KEY)
    echo = Raw(b"HTTP/1.1 200 OK\r\nX-API-KEY \x00" + KEY.encode() + b"\r\n\r\n")
    told = reply_in(world, "submit", echo)
    assert isinstance(told.verdict, MaybeSent)
    assert "***" in told.verdict.reason
    assert KEY not in repr(told)


def test_no_log_shows_the_key(caplog):
    """At the finest level, of every library."""
    world = World(api_key=KEY)
    with caplog.at_level(logging.DEBUG):
        for answer in (None, NO_KEY, canned(307, Location="http://e/"), Trouble.CUT):
            reply_in(world, "submit", answer)
    assert caplog.records
    assert_clean("the log", caplog.text.encode(), list(disguises(KEY)))


def test_words_of_a_server_are_kept_as_far_as_anyone_reads():
    told = reply_in(World(), "look", error(500, "RUN_FAILED", "x" * 1_000_000)).verdict
    assert told == RunFailed("RUN_FAILED", "x" * 1999 + "…")


def test_more_outputs_than_a_grid_can_have_are_no_outputs(reply):
    many = {f"c{n}": {"value": n} for n in range(1001)}
    answer = canned(200, {"status": "completed", "outputs": many})
    assert reply("look", answer).verdict == Malformed("completed, with 1001 outputs")


@pytest.mark.parametrize("id_", ["../workspace", "..", "", "a/b"])
def test_a_stored_id_that_is_no_id_is_never_part_of_an_address(id_):
    """A checkpoint may come from somebody else."""
    world = World()
    told = world.with_provider(lambda provider: provider.look(id_))
    assert isinstance(told.verdict, RowRejected)
    assert world.asked() == []


def test_nothing_shows_the_key():
    world = World()

    async def work(provider):
        return [f"{thing!r} {thing}" for thing in (provider, *vars(provider).values())]

    assert world.key not in " ".join(world.with_provider(work))


# --- the rate limit --------------------------------------------------------------------------


@pytest.fixture
def signal(reply):
    """What the headers of an answer tell: `signal(429, Retry_After="1")`."""

    def signal(status=200, **headers):
        return reply("look", canned(status, {"status": "running"}, **headers)).signal

    return signal


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("5", 5.0),
        ("7.5", 7.5),
        ("0", None),
        ("-5", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("1e400", None),
        ("five", None),
        ("5, 5;w=1", None),
    ],
)
def test_the_limit_that_an_answer_names(signal, text, limit):
    assert signal(X_RateLimit_Limit=text) == RateSignal(limit=limit)
    assert signal() == RateSignal()


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("1", 1.0),
        ("0", 0.0),
        ("2.5", 2.5),
        ("120", 120.0),
        ("86400", 3600.0),
        ("1e308", 3600.0),
        ("-1", 1.0),
        ("nan", 1.0),
        ("inf", 1.0),
        ("", 1.0),
        ("soon", 1.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 1.0),
        ("Wed, 21 Oct 99999999999 07:28:00 GMT", 1.0),
    ],
)
def test_how_long_a_refusal_asks_to_wait(signal, status, text, wait):
    """Unreadable, a second: a wait was asked for, and to hammer on would be no answer to that."""
    assert signal(status, Retry_After=text) == RateSignal(retry_after=wait, limited=status == 429)


@pytest.mark.parametrize(
    ("until", "wait"),
    [
        ("Wed, 21 Oct 2015 07:29:30 GMT", 90.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 09:28:00 +0200", 0.0),
        ("Thu, 22 Oct 2015 07:28:00 GMT", 3600.0),
        ("Wed, 21 Oct 99999 07:28:00 GMT", 1.0),
    ],
)
def test_a_date_to_wait_for_is_by_the_servers_own_clock(signal, until, wait):
    told = signal(429, Retry_After=until, Date="Wed, 21 Oct 2015 07:28:00 GMT")
    assert told.retry_after == wait


def test_a_429_that_says_nothing_is_a_429(signal):
    assert signal(429) == RateSignal(limited=True)


def test_a_success_asks_nobody_to_wait(signal):
    assert signal(200, Retry_After="30") == RateSignal()


def test_the_simulators_limit_is_heard():
    world = World(rate=7.5)

    async def work(provider):
        return [await provider.probe() for _ in range(9)]

    replies = world.with_provider(work)
    assert {told.signal.limit for told in replies} == {7.5}
    assert RateSignal(7.5, 1.0, limited=True) in [told.signal for told in replies]


def test_a_source_that_is_no_api_source_is_refused_before_anything_is_submitted():
    imported = next(source for source in COMPANIES.sources if source not in COMPANIES.api_sources)
    with pytest.raises(ProviderRefused, match="no source") as refused:
        World(source=imported.id).briefing()
    assert COMPANIES.api_sources[0].id in refused.value.message
    assert World(source=COMPANIES.api_sources[0].id).briefing().account
