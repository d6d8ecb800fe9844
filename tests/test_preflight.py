"""Free questions before money: asked until they are answered, and told as what a person can do."""

import asyncio

import pytest

from enricher.errors import ProviderRefused, ServerGone
from enricher.model import RequestCounts
from enricher.pace import Gate
from enricher.preflight import asker
from enricher.verdicts import (
    Facts,
    JobStops,
    KeyRejected,
    Malformed,
    MaybeSent,
    NotSent,
    RateSignal,
    Refused,
    Reply,
)
from tests.support import virtual

FACTS = Reply(Facts({"id": "ws-1"}))
GONE = Reply(NotSent("connection refused"))
LIMITED = Reply(Refused(), RateSignal(limited=True, retry_after=2.0))
BUSY = Reply(Refused(), RateSignal(retry_after=2.0))


class Asked:
    """What came of one free question to a server that gives `replies`, the last one for ever."""

    def __init__(self, *replies, patience=900.0):
        self.counts = RequestCounts()
        self.warnings: list[str] = []
        self.facts = None
        self.error: Exception | None = None
        left = list(replies)

        async def request(on_sent):
            on_sent()
            return left.pop(0) if len(left) > 1 else left[0]

        async def work():
            ask = asker(Gate(5), patience, self.counts, self.warnings.append)
            try:
                self.facts = await ask(request)
            finally:
                self.took = asyncio.get_running_loop().time()

        try:
            virtual.run(work())
        except (ProviderRefused, ServerGone) as error:
            self.error = error


def test_the_facts_of_an_answer_are_given():
    asked = Asked(FACTS)
    assert asked.facts == {"id": "ws-1"}
    assert asked.counts == RequestCounts(other=1)
    assert asked.warnings == []


@pytest.mark.parametrize(
    ("fault", "counts", "warning"),
    [
        (GONE, RequestCounts(other=1, retried=3), "connection refused"),
        (Reply(MaybeSent("HTTP 502")), RequestCounts(other=4, retried=3), "HTTP 502"),
        (Reply(Malformed("the answer is no object")), RequestCounts(other=4, retried=3), "object"),
        (BUSY, RequestCounts(other=4, retried=3), "it asked to wait"),
    ],
)
def test_a_fault_is_told_once_and_the_question_asked_again(fault, counts, warning):
    asked = Asked(fault, fault, fault, FACTS)
    assert asked.facts == {"id": "ws-1"}
    assert asked.counts == counts
    [told] = asked.warnings
    assert warning in told
    assert told.endswith("; trying for 15 minutes")


def test_a_rate_limit_is_waited_for_and_nothing_to_warn_of():
    """The limit is the workspace's: other people's requests count too."""
    asked = Asked(LIMITED, LIMITED, FACTS)
    assert asked.facts == {"id": "ws-1"}
    assert asked.counts == RequestCounts(other=3, rate_limited=2, retried=2)
    assert asked.warnings == []
    assert asked.took >= 5


def test_each_kind_of_fault_is_told():
    asked = Asked(GONE, Reply(MaybeSent("HTTP 502")), GONE, FACTS)
    assert len(asked.warnings) == 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (GONE, "connection refused"),
        (Reply(Malformed("no JSON")), "no JSON"),
        (LIMITED, "it asked to wait"),
        (BUSY, "it asked to wait"),
    ],
)
def test_a_server_that_stays_away_is_gone_after_the_patience_and_later_is_enough(fault, reason):
    asked = Asked(fault, patience=120)
    assert isinstance(asked.error, ServerGone)
    assert asked.error.exit_code == 4
    assert asked.error.message == f"The server gave no usable answer: {reason}."
    assert asked.error.mend
    assert 120 <= asked.took <= 160


def test_a_refusal_is_told_in_the_servers_words_with_its_mend():
    asked = Asked(Reply(JobStops("MISSING_SOURCE", "no source", "Add one.")))
    assert isinstance(asked.error, ProviderRefused)
    assert asked.error.code == "MISSING_SOURCE"
    assert str(asked.error) == "MISSING_SOURCE: no source\nAdd one."
    assert asked.counts.retried == 0


def test_a_refused_key_is_told_at_once():
    asked = Asked(Reply(KeyRejected("Missing or invalid X-API-KEY header", renewed=False)))
    assert isinstance(asked.error, ProviderRefused)
    assert (asked.error.code, asked.error.exit_code) == ("INVALID_API_KEY", 1)
    assert "Missing or invalid X-API-KEY header" in asked.error.message
    assert asked.error.mend


def test_another_key_in_the_key_file_is_tried():
    asked = Asked(Reply(KeyRejected("void", renewed=True)), FACTS)
    assert asked.facts == {"id": "ws-1"}
    assert asked.counts.other == 2
