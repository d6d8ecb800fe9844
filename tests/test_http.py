"""The provider `http`: its recipe, its two small languages, and what each answer means by them."""

import json
import math
from typing import Any

import pytest

from enricher.errors import CannotGoOn, ProviderRefused
from enricher.model import OutputColumn, RequestCounts
from enricher.pace import Gate
from enricher.preflight import asker
from enricher.providers import http
from enricher.providers.http_recipe import KEYS, Address, Recipe, read_recipe, target_of
from enricher.providers.http_template import MISSING, Place, filled, labels_in
from enricher.providers.keys import ApiKey
from enricher.providers.transport import Transport
from enricher.providers.vendor import Task
from enricher.simulator import Settings, Workspace
from enricher.verdicts import (
    Accepted,
    Alive,
    Done,
    JobStops,
    KeyRejected,
    Malformed,
    MaybeSent,
    RowRejected,
    RunFailed,
    StillRunning,
)
from tests.support import virtual
from tests.support.canary import KEY
from tests.support.network import BASE_URL, Canned, SimulatedNetwork

AT_ONCE: dict[str, Any] = {"submit": "/now", "outputs": "data"}
POLLED: dict[str, Any] = {
    "submit": "/jobs",
    "id": "data.id",
    "poll": "/jobs?run={id}&full=yes",
    "status": "data.state",
    "running": ["busy"],
    "done": ["ready", "true", "3"],
    "failed": ["broken"],
    "outputs": "data.result",
    "error": "problem.text",
    "error_code": "problem.kind",
    "row_errors": [404],
}


class Asked:
    """A provider of a recipe, one request each."""

    def __init__(self, given: dict[str, Any]) -> None:
        recipe, mistakes = read_recipe(given)
        assert recipe, mistakes
        self.recipe = recipe
        self.network = SimulatedNetwork(Workspace(Settings(rate=None, api_key=KEY), BASE_URL))

    def __call__(self, to: str, status: int = 200, body: Any = None, **inputs: str) -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.network.script = lambda _: Canned(status, content)
        return virtual.run(self._ask(to, inputs))

    async def _ask(self, to: str, inputs: dict[str, str]) -> Any:
        async with Transport(BASE_URL, network=self.network) as transport:
            provider = http.Http(transport, ApiKey("K", None, {"K": KEY}), self.recipe)
            match to:
                case "submit":
                    return (await provider.submit(inputs)).verdict
                case "look":
                    return (await provider.look("r-1")).verdict
                case "probe":
                    return (await provider.probe()).verdict
            ask = asker(Gate(math.inf), 900, RequestCounts(), lambda _: None)
            return await provider.brief(ask)

    @property
    def sent(self) -> list[tuple[str, str, dict[str, str]]]:
        requests = [arrived.request for arrived in self.network.arrived]
        return [(r.method, r.path, dict(r.query)) for r in requests]


# --- the languages --------------------------------------------------------------------------------

BODY = {"data": {"items": [{"id": 7}, None], "": 1, "0": "zero"}, "a.b": 2}


@pytest.mark.parametrize(
    ("place", "found"),
    [
        (".", BODY),
        ("data.items.0.id", 7),
        ("data.items.1", None),
        ("data.0", "zero"),
        ("data.items.2", MISSING),
        ("data.items.-1", MISSING),
        ("data.items.00", MISSING),
        ("data.items.id", MISSING),
        ("data.items.0.id.x", MISSING),
        ("a.b", MISSING),
        ("__class__", MISSING),
        ("data.keys", MISSING),
    ],
)
def test_a_place_leads_to_what_is_there(place: str, found: Any) -> None:
    assert Place.parsed(place).of(BODY) == found
    assert str(Place.parsed(place)) == place


@pytest.mark.parametrize("text", ["", "..", "a..b", ".a", "a."])
def test_a_place_without_a_name_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no place"):
        Place.parsed(text)


def test_a_template_keeps_all_but_its_gaps() -> None:
    template = {"q": ["{name}, {Büro Nr. 1}", {"{name}": "{{name}} {name}"}], "n": 1, "t": True}
    assert labels_in(template) == ("name", "Büro Nr. 1")
    inputs = {"name": '"{Büro Nr. 1}"\n{{x', "Büro Nr. 1": "é"}
    assert filled(template, inputs) == {
        "q": ['"{Büro Nr. 1}"\n{{x, é', {"{name}": '{name} "{Büro Nr. 1}"\n{{x'}],
        "n": 1,
        "t": True,
    }


@pytest.mark.parametrize("text", ["{", "}", "{a", "a}", "{}", "{{}", "{a{b}}"])
def test_a_lone_brace_is_a_mistake(text: str) -> None:
    with pytest.raises(ValueError, match="lone brace"):
        labels_in([text])


@pytest.mark.parametrize(
    "text",
    [
        *(
            "https://elsewhere.test/x",
            "//elsewhere.test",
            "x",
            "",
            "/a/../b",
            "/..",
            "/./x",
            "/a b",
        ),
        *("/a\\b", "/a#b", "/%2e%2e/x", "/a\r\nX: y", "/ä", "/a?b=1&b=2", "/{id}", "/a}"),
    ],
)
def test_what_could_lead_elsewhere_is_no_path(text: str) -> None:
    with pytest.raises(ValueError, match=r"path|braces|twice"):
        Address.parsed(text)


@pytest.mark.parametrize("text", ["/jobs", "/jobs/{id}/{id}", "/jobs/{other}", "/jobs/{id", "/{}"])
def test_a_poll_path_has_one_gap(text: str) -> None:
    with pytest.raises(ValueError, match="id"):
        Address.parsed(text, ("id",))


# --- the recipe -----------------------------------------------------------------------------------

MISTAKES = [
    ({}, "submit", "is required"),
    ({}, "outputs", "is required"),
    ({"poll": "/{id}"}, "status", "is required with `poll`"),
    ({"poll": "/{id}", "status": "s"}, "done", "is required with `status`"),
    ({"poll": "/{id}", "status": "s", "done": ["x"]}, "id", "is required with `poll`"),
    ({"id": "x"}, "id", "says nothing without `poll`"),
    ({"failed": ["x"]}, "failed", "says nothing without `status`"),
    ({"status": "x"}, "done", "is required with `status`"),
    ({"submit": 7}, "submit", "must be a text"),
    ({"body": "x"}, "body", "must be a table"),
    ({"body": {"x": math.nan}}, "body", "nothing that JSON cannot"),
    ({"body": {"q": [{"api_key": "sk-1"}]}}, "body", "api_key looks like a secret"),
    ({"submit": "/now?token=sk-1"}, "submit", "token looks like a secret"),
    ({"outputs": {}}, "outputs", "must be a place"),
    ({"outputs": {"a": 7}}, "outputs", "must be a text"),
    ({"outputs": []}, "outputs", "must be a place"),
    ({"key_header": "X Key"}, "key_header", "no header that can be set"),
    ({"key_header": "Host"}, "key_header", "no header that can be set"),
    ({"key_prefix": "Token\n"}, "key_prefix", "plain ASCII"),
    ({"headers": {"X-Api-Key": "sk-1"}}, "headers", "looks like a secret"),
    ({"headers": {"Cookie": "a"}}, "headers", "looks like a secret"),
    ({"headers": {"Content-Length": "1"}}, "headers", "no header that can be set"),
    ({"headers": {"X-V": "a\r\nb"}}, "headers", "plain ASCII"),
    ({"headers": []}, "headers", "must be a table"),
    ({"timeout": True}, "timeout", "must be a number"),
    ({"timeout": 0}, "timeout", "must be from 1"),
    ({"timeout": math.nan}, "timeout", "must be from 1"),
    ({"row_errors": [500]}, "row_errors", "from 400 to 499"),
    ({"row_errors": [429]}, "row_errors", "never about one row"),
    ({"status": "s", "done": []}, "done", "must be a list of words"),
    ({"status": "s", "done": [""]}, "done", "must be a list of words"),
    ({"error": "a..b"}, "error", "is no place"),
]


@pytest.mark.parametrize(("given", "key", "words"), MISTAKES)
def test_each_mistake_is_told_with_its_key(given: Any, key: str, words: str) -> None:
    recipe, mistakes = read_recipe(given)
    assert recipe is None
    assert words in mistakes[key]


def test_a_field_that_only_sounds_like_a_secret_is_none() -> None:
    recipe, _ = read_recipe({**AT_ONCE, "body": {"keyword": "{k}", "max_tokens": 5, "keys": []}})
    assert recipe is not None


def test_every_key_is_read() -> None:
    given = {
        **POLLED,
        "body": {"q": "{name}"},
        "key_header": "X-Key",
        "key_prefix": "Token ",
        "headers": {"X-V": "2"},
        "timeout": 60,
        "check": "/me",
    }
    assert given.keys() == KEYS.keys()
    recipe, mistakes = read_recipe(given)
    assert not mistakes
    assert recipe is not None
    defaults = Recipe(recipe.submit, recipe.outputs)
    same = {n for n in Recipe.__slots__ if getattr(recipe, n) == getattr(defaults, n)}
    assert same == {"submit", "outputs"}


def test_the_target_is_what_is_asked_and_not_how_it_is_read() -> None:
    target = target_of(POLLED)
    assert target == target_of({**POLLED, "outputs": "x", "done": ["y"], "timeout": 9})
    others: list[dict[str, Any]] = [
        {"submit": "/x"},
        {"body": {}},
        {"body": {"a": "{a}"}},
        {"headers": {"X-V": "1"}},
    ]
    assert len({target, *(target_of({**POLLED, **other}) for other in others)}) == 5
    assert target_of({"submit": "/now", "outputs": "."}) == "/now#1a18ad01f7262549"


def test_a_stored_recipe_that_somebody_spoilt_is_refused() -> None:
    task = Task("x", "", (), {}, {**POLLED, "poll": "//elsewhere.test/{id}"})
    with pytest.raises(CannotGoOn, match=r"poll: '//elsewhere.test/\{id\}' is no path"):
        http.VENDOR.open(Transport(BASE_URL), ApiKey("K", None, {"K": KEY}), task)


# --- what is sent ---------------------------------------------------------------------------------


def test_inputs_are_sent_as_they_are_unless_there_is_a_body() -> None:
    asked = Asked(AT_ONCE)
    asked("submit", 200, {"data": {}}, name='a "b"', x="{name}")
    (arrived,) = asked.network.arrived
    assert json.loads(arrived.request.body) == {"name": 'a "b"', "x": "{name}"}
    assert arrived.request.headers["authorization"] == f"Bearer {KEY}"
    asked = Asked({**AT_ONCE, "body": {"q": "{name}!"}, "key_header": "X-Key"})
    asked("submit", 200, {"data": {}}, name="{x}")
    (arrived,) = asked.network.arrived
    assert json.loads(arrived.request.body) == {"q": "{x}!"}
    assert arrived.request.headers["x-key"] == KEY


def test_a_look_and_a_probe_go_below_the_base_url() -> None:
    asked = Asked(POLLED)
    asked("look", 200, {"data": {"state": "busy"}})
    asked("probe", 404, {})
    assert asked.sent == [
        ("GET", "/jobs", {"run": "r-1", "full": "yes"}),
        ("GET", "/jobs", {"run": "enricher-probe", "full": "yes"}),
    ]


# --- what an answer means -------------------------------------------------------------------------

TO_A_SUBMISSION = [
    ({"data": {"id": 12}}, Accepted("12")),
    ({"data": {"id": "r-1", "state": "queued"}}, Accepted("r-1")),
    ({"data": {"id": "r-1", "state": "ready"}}, Accepted("r-1")),
    ({"data": {"id": "r-1", "state": "ready", "result": {"a": 1}}}, Done({"a": 1}, {"a": "a"})),
    ({"data": {"state": "busy"}}, Malformed("the answer has no usable id at data.id")),
    (
        {"data": {"id": "r", "state": "broken"}, "problem": {"text": "no", "kind": 7}},
        RunFailed("7", "no"),
    ),
]


@pytest.mark.parametrize(("body", "verdict"), TO_A_SUBMISSION)
def test_to_a_submission_of_what_is_polled(body: Any, verdict: Any) -> None:
    assert Asked(POLLED)("submit", 202, body) == verdict


TO_A_LOOK = [
    (200, {"data": {"state": "busy"}}, StillRunning()),
    (200, {"data": {"state": "odd"}}, StillRunning("unknown status 'odd'")),
    (200, {"data": {"state": "ready", "result": {"a": None}}}, Done({"a": None}, {"a": "a"})),
    (200, {"data": {"state": True, "result": [1]}}, Done({"result": [1]}, {"result": "result"})),
    (200, {"data": {"state": 3, "result": None}}, Done({}, {})),
    (200, {"data": {"state": "ready"}}, Malformed("the answer has no outputs at data.result")),
    (200, {"data": {"state": None}}, Malformed("the answer has no status at data.state")),
    (200, {"data": {"state": "broken"}, "error": "x"}, RunFailed("RUN_FAILED", "")),
    (404, {"problem": {"text": "gone"}}, RowRejected("REQUEST_NOT_FOUND", "gone")),
    (410, None, RowRejected("REQUEST_NOT_FOUND", "no run under this id")),
    (
        400,
        {"problem": {"kind": "ODD", "text": {"a": 1}}},
        JobStops("ODD", '{"a": 1}', "Check `poll`."),
    ),
    (403, None, JobStops("HTTP_403", "the server refuses this account")),
]


@pytest.mark.parametrize(("status", "body", "verdict"), TO_A_LOOK)
def test_to_a_look(status: int, body: Any, verdict: Any) -> None:
    assert Asked(POLLED)("look", status, body) == verdict


TO_WHAT_IS_ANSWERED_AT_ONCE = [
    ({}, 200, {"data": {"a": 1, "b": [2]}}, Done({"a": 1, "b": [2]}, {"a": "a", "b": "b"})),
    ({"outputs": "."}, 200, [1], Done({"result": [1]}, {"result": "result"})),
    (
        {"outputs": {"A": "x.0", "B": "y"}},
        200,
        {"x": [7]},
        Done({"A": 7, "B": None}, {"A": "A", "B": "B"}),
    ),
    ({"outputs": {"A": "x"}}, 200, {"y": 1}, Malformed("the answer has none of the outputs")),
    ({}, 200, {"data": {str(n): n for n in range(1001)}}, Malformed("the answer has 1001 outputs")),
    ({"row_errors": [404]}, 404, {"error": "none"}, RowRejected("HTTP_404", "none")),
    ({}, 404, {"error": "none"}, RowRejected("HTTP_404", "none", suspicious=True)),
    ({}, 500, {"error": "broke"}, MaybeSent("HTTP 500 broke")),
    (
        {"status": "s", "done": ["ok"]},
        200,
        {"s": "wait", "data": {}},
        Malformed("the answer says that the run goes on"),
    ),
    ({"status": "s", "done": ["ok"]}, 200, {"s": "ok", "data": {}}, Done({}, {})),
    (
        {"status": "s", "done": ["ok"], "failed": ["no"]},
        200,
        {"s": "no", "error": {"code": "X", "message": "y"}},
        RunFailed("X", "y"),
    ),
]


@pytest.mark.parametrize(("more", "status", "body", "verdict"), TO_WHAT_IS_ANSWERED_AT_ONCE)
def test_to_what_is_answered_at_once(more: Any, status: int, body: Any, verdict: Any) -> None:
    assert Asked({**AT_ONCE, **more})("submit", status, body) == verdict


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, {}, Alive),
        (200, b"<html>", Alive),
        (404, {}, Alive),
        (405, {}, Alive),
        (403, {}, Alive),
        (401, {}, Alive),
        (302, b"", Alive),
        (502, b"<html>", MaybeSent),
    ],
)
def test_a_probe_without_a_check_asks_only_whether_anybody_is_there(
    status: int, body: Any, verdict: Any
) -> None:
    assert isinstance(Asked(AT_ONCE)("probe", status, body), verdict)


def test_a_check_is_the_one_free_request() -> None:
    given = {**AT_ONCE, "check": "/me", "body": {"q": "{name}"}, "outputs": {"A": "a", "B": "b"}}
    asked = Asked(given)
    briefing = asked("brief", 200, {"me": 1})
    assert asked.sent == [("GET", "/me", {})]
    assert briefing.labels == ("name",)
    assert briefing.outputs == (OutputColumn("A", "A"), OutputColumn("B", "B"))
    with pytest.raises(ProviderRefused, match="HTTP_404: the server refused"):
        asked("brief", 404)
    assert isinstance(asked("probe", 200, {}), Alive)
    assert isinstance(asked("probe", 401, {}), KeyRejected)
    assert isinstance(asked("probe", 404, {}), JobStops)

    silent = Asked(AT_ONCE)
    silent("brief")
    assert silent.sent == []
