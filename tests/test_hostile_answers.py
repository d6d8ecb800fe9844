"""Answers that are made to do harm, in the midst of a job: they cost one row, and no more."""

import gzip
from collections import Counter
from pathlib import Path

import pytest

from enricher.model import State
from enricher.providers.transport import LARGEST_ANSWER
from enricher.simulator import Request
from tests.support import virtual
from tests.support.lives import World, companies
from tests.support.network import Canned

VALUE = b'{"status": "completed", "outputs": {"c1": {"value": %s}}}'
PACKED = (("Content-Encoding", "gzip"),)
HOSTILE = {
    "deep": Canned(200, VALUE % (b"[" * 100_000 + b"]" * 100_000)),
    "deep keys": Canned(200, VALUE % (b'{"a":' * 5000 + b"1" + b"}" * 5000)),
    "NaN": Canned(200, VALUE % b"NaN"),
    "infinite": Canned(200, VALUE % b"-1e9999"),
    "huge integer": Canned(200, VALUE % (b"9" * 100_000)),
    "lone surrogate": Canned(200, VALUE % b'"\\ud83d"'),
    "lone surrogate as a name": Canned(200, VALUE % b'{"\\udfff": 1}'),
    "too large": Canned(200, VALUE % (b'"' + b"x" * LARGEST_ANSWER + b'"')),
    "small, and large when unpacked": Canned(200, gzip.compress(bytes(30 << 20)), PACKED),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("to", ["submission", "look"])
def test_a_hostile_answer_costs_one_row_and_no_more(tmp_path: Path, kind: str, to: str) -> None:
    """To a submission: in doubt. To every look at one run: failed, its id kept, to look again."""
    world = World(tmp_path)
    rows = companies(8)
    answered: list[str] = []

    def script(request: Request) -> Canned | None:
        if (request.method == "POST") is not (to == "submission"):
            return None
        if to == "submission":
            answered.append(request.body.decode())
            return HOSTILE[kind] if len(answered) == 3 else None
        answered.append(request.path)
        return HOSTILE[kind] if request.path == answered[0] else None

    world.network.script = script
    assert virtual.run(world.live(rows)) is None
    harmed = State.IN_DOUBT if to == "submission" else State.STALLED
    states = Counter(record.state for record in world.records(rows) if record)
    assert states == {State.COMPLETED: 7, harmed: 1}
    bought = Counter(str(run.inputs["company_name"]) for run in world.workspace.runs)
    assert set(bought.values()) == {1}
