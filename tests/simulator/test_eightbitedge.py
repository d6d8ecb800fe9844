"""8bitedge's batch endpoints, section by section of their document."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enricher.simulator import Held, Request
from enricher.simulator.durations import Constant
from enricher.simulator.eightbitedge import (
    BatchService,
    Endpoint,
    ItemFate,
    Plan,
    Settings,
    fate_of,
)
from enricher.simulator.eightbitedge.refusals import Code
from enricher.simulator.messages import JsonObject, json_text
from tests.simulator.driving import Answer, answer

ITEMS = [{"id": 1}, {"id": 2}]
DAY = 24 * 3600.0


class Client:
    """An account and its clock. A batch takes 3 s, and nothing is limited."""

    def __init__(self, **settings: Any) -> None:
        self.settings = Settings(**{"rate": None, "duration": Constant(3), **settings})
        self.service = BatchService(self.settings)
        self.token: str | None = self.settings.token
        self.now = 1000.0

    def send(
        self,
        body: object,
        key: str = "",
        endpoint: str = "signals",
        method: str = "POST",
    ) -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        if key:
            headers["idempotency-key"] = key
        request = Request(method, f"/{endpoint}/batch", {}, headers, content)
        return self.service.handle(request, self.now)

    def ask(self, body: object, key: str = "", **how: Any) -> Answer:
        sent = self.send(body, key, **how)
        if isinstance(sent, Held):
            self.now = sent.until
            sent = self.service.finish_held(sent.request_id, self.now)
        return answer(sent)

    def batch(self, items: object = ITEMS, key: str = "", **how: Any) -> Answer:
        return self.ask({"requests": items}, key, **how)


@pytest.mark.parametrize("endpoint", Endpoint)
def test_all_items_succeed_in_order(endpoint) -> None:
    done = Client().batch(endpoint=endpoint.value)
    assert done.status == 200
    assert done.body == {
        "data": [{"status": 200, "data": {"echo": item, "note": "stub"}} for item in ITEMS],
        "meta": {"batch": {"total": 2, "succeeded": 2, "failed": 0}},
    }


def test_some_items_fail() -> None:
    client = Client(fail_rate=0.5, seed=4)
    items: list[JsonObject] = [{"id": number} for number in range(100)]
    done = client.batch(items)
    assert done.status == 207
    expected = [
        fate_of(client.settings, Endpoint.SIGNALS, json_text(item), 0).value for item in items
    ]
    assert [one["status"] for one in done.body["data"]] == expected
    assert {200, 422, 500} == set(expected)
    sums = done.body["meta"]["batch"]
    assert sums == {
        "total": 100,
        "succeeded": expected.count(200),
        "failed": 100 - sums["succeeded"],
    }
    failed = next(one for one in done.body["data"] if one["status"] == 422)
    assert set(failed) == {"status", "error"}
    assert set(failed["error"]) == {"code", "message", "details"}
    assert failed["error"]["code"] == "validation_failed"


def test_an_item_that_broke_may_succeed_when_it_is_sent_again() -> None:
    settings = Settings(fail_rate=0.5)
    fates = [
        [fate_of(settings, Endpoint.SIGNALS, f'{{"id":{number}}}', times) for times in range(6)]
        for number in range(50)
    ]
    rejected = [row for row in fates if ItemFate.REJECTED in row]
    assert all(set(row) == {ItemFate.REJECTED} for row in rejected), "a rejection is for good"
    assert any(row[0] is ItemFate.BROKEN and ItemFate.SUCCEEDED in row for row in fates)


BAD = {
    "empty": {"requests": []},
    "omitted": {},
    "no list": {"requests": {"id": 1}},
    "no object": {"requests": [{"id": 1}, 2]},
    "no JSON": b"{",
    "NaN": b'{"requests": [{"id": NaN}]}',
    "unwritable": b'{"requests": [{"id": "\\ud800"}]}',
    "a list": [1],
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_a_bad_body_is_refused_whole(body) -> None:
    client = Client()
    refused = client.ask(body, key="k")
    assert (refused.status, refused.code) == (422, "validation_failed")
    assert client.service.metered == 0
    assert client.batch(key="k").status == 200, "a refusal keeps no key"


def test_a_poisonous_item_spoils_its_batch() -> None:
    client = Client(poison=frozenset({"bad"}))
    refused = client.batch([{"name": "good"}, {"name": "bad"}])
    assert (refused.status, refused.code) == (422, "validation_failed")
    assert client.batch([{"name": "good"}]).status == 200
    assert client.service.metered == 1


@pytest.mark.parametrize("plan", Plan)
def test_a_batch_that_is_too_large(plan) -> None:
    client = Client(plan=plan)
    items = [{"id": number} for number in range(plan.value + 1)]
    refused = client.batch(items)
    assert (refused.status, refused.body) == (
        422,
        {
            "error": {
                "code": "batch_too_large",
                "message": "Batch exceeds the maximum allowed size for your plan.",
                "details": {"max_items": plan.value, "received": plan.value + 1},
            }
        },
    )
    assert client.service.metered == 0, "a refused batch is not metered"
    assert client.batch(items[:-1]).status == 200
    assert client.service.metered == plan.value


@pytest.mark.parametrize("token", [None, "wrong", ""])
def test_a_token_that_is_missing_or_wrong(token) -> None:
    client = Client()
    client.token = token
    assert client.batch().status == 401


def test_a_token_without_the_scope() -> None:
    client = Client(scopes=frozenset({"signals.read"}))
    refused = client.batch(endpoint="enrichment")
    assert (refused.status, refused.code) == (403, "insufficient_scope")
    assert client.service.metered == 0
    assert client.batch(endpoint="signals").status == 200


def test_the_same_key_and_body_replay_the_stored_answer() -> None:
    client = Client(fail_rate=0.5)
    items = [{"id": number} for number in range(20)]
    first = client.batch(items, "k")
    again = client.batch(items, "k")
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert (again.status, again.body) == (first.status, first.body)
    assert set(client.service.processed.values()) == {1}
    assert (client.service.metered, client.service.replayed) == (20, 1)
    assert client.service.keys == {"k": 2}


def test_without_a_key_everything_is_processed_again() -> None:
    client = Client()
    client.batch()
    client.batch()
    assert set(client.service.processed.values()) == {2}


@pytest.mark.parametrize(
    "other",
    [{"body": b'{"requests": [{"id": 1}, {"id": 2} ]}'}, {"endpoint": "enrichment"}],
    ids=["other bytes", "another endpoint"],
)
def test_a_key_is_bound_to_its_request(other) -> None:
    client = Client()
    client.batch(key="k")
    refused = client.ask(**{"body": {"requests": ITEMS}, "key": "k", **other})
    assert (refused.status, refused.code) == (422, "idempotency_key_reuse")
    assert client.service.metered == 2


def test_a_key_in_flight_is_a_conflict_until_the_batch_is_ready() -> None:
    client = Client()
    held = client.send({"requests": ITEMS}, "k")
    client.now += 2.9
    conflict = client.batch(key="k")
    assert (conflict.status, conflict.code) == (409, "idempotency_conflict")
    client.now = held.until
    assert client.batch(key="k").headers["idempotency-replayed"] == "true", "its client is gone"
    assert client.service.metered == 2


def test_a_key_is_free_after_a_day() -> None:
    client = Client()
    client.batch(key="k")
    client.now += DAY - 1
    assert client.batch(key="k").headers["idempotency-replayed"] == "true"
    client.now += 1
    assert client.batch([{"id": 9}], "k").status == 200
    assert client.service.metered == 3


def test_answers_without_stubs() -> None:
    done = Client(stub=False).batch(endpoint="enrichment")
    assert {frozenset(one["data"]) for one in done.body["data"]} == {
        frozenset({"industry", "employees"})
    }


def test_too_many_requests() -> None:
    client = Client(rate=2)
    sent = [client.send({"requests": ITEMS}) for _ in range(3)]
    assert [isinstance(one, Held) for one in sent] == [True, True, False]
    assert (sent[2].status, sent[2].headers["retry-after"]) == (429, "1")


def test_paths_and_methods() -> None:
    client = Client()
    assert client.batch(endpoint="nowhere").status == 404
    assert client.ask({}, method="GET").status == 405


@given(st.binary() | st.recursive(st.none() | st.text() | st.floats(), st.lists, max_leaves=3))
def test_any_body_is_answered(body) -> None:
    assert Client().ask(body).status == 422


@pytest.mark.parametrize("wrong", [{"rate": 0}, {"fail_rate": 2}, {"token": ""}])
def test_settings_that_make_no_sense(wrong) -> None:
    with pytest.raises(ValueError, match="must"):
        Settings(**wrong)


def test_every_documented_code_has_its_status() -> None:
    documented = {
        "batch_too_large": 422,
        "validation_failed": 422,
        "idempotency_key_reuse": 422,
        "idempotency_conflict": 409,
        "insufficient_scope": 403,
    }
    found = {code.name.lower(): int(code.status) for code in Code}
    assert documented.items() <= found.items()
