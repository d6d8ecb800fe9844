"""The provider `http`: any API that takes a JSON body with POST, told how by the job file.

It is the worked example of docs/write-a-provider.md: all that it imports of enricher is in
`enricher.plugin`, but for its own recipe. Whatever the server says is data: every address is made
from the job file's own paths, below the base URL, and an id goes into one only if it has the form
of an id.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from enricher.errors import CannotGoOn
from enricher.model import Credits, Inputs, Json, OnSent, OutputColumn, unheard
from enricher.providers.base import Ask, Briefing, Hold, parsed_error
from enricher.providers.http_recipe import KEYS, Address, Recipe, read_recipe, target_of
from enricher.providers.http_template import MISSING, Place, filled
from enricher.providers.ids import SAFE_ID
from enricher.providers.keys import ApiKey
from enricher.providers.line import Line, Meaning
from enricher.providers.transport import Transport
from enricher.providers.vendor import Checked, OwnKeys, Task, Vendor
from enricher.verdicts import (
    Accepted,
    Alive,
    Done,
    Facts,
    JobStops,
    KeyRejected,
    Malformed,
    Reply,
    RowRejected,
    RunFailed,
    StillRunning,
    Verdict,
)

NAME = "http"

PROBE_ID = "enricher-probe"
"""No run has this id: to ask for it costs nothing, and shows whether the server is there."""

_MOST_OUTPUTS = 1000
_LONGEST_TEXT = 2000


class Http:
    """The provider `http`."""

    name = NAME
    hold = 0.0

    def __init__(self, transport: Transport, key: ApiKey, recipe: Recipe) -> None:
        self.holds = Hold.NONE if recipe.poll else Hold.ALWAYS
        self._recipe = recipe
        self._line = Line(transport, key, self._carry, self._words)

    async def aclose(self) -> None:
        await self._line.aclose()

    # --- before money ------------------------------------------------------------------------

    async def brief(self, ask: Ask) -> Briefing:
        """One free request, if the recipe names one; the rest is known from the recipe."""
        if check := self._recipe.check:
            await ask(partial(self._get, check, self._of_check))
        outputs = self._recipe.outputs
        named = () if isinstance(outputs, Place) else tuple(outputs)
        return Briefing(
            account="",
            labels=self._recipe.labels,
            outputs=tuple(OutputColumn(name, name) for name in named),
            asked=None,
            title=self._recipe.submit.path,
            credits=None,
        )

    async def balance(self, ask: Ask) -> Credits | None:
        return None

    async def rows(self, ask: Ask) -> int | None:
        return None

    async def probe(self, on_sent: OnSent = unheard) -> Reply:
        """Whatever a path without `check` answers, below 500: the server is there."""
        if self._recipe.check:
            reply = await self._get(self._recipe.check, self._of_check, on_sent)
            return replace(reply, verdict=Alive()) if isinstance(reply.verdict, Facts) else reply
        address = self._recipe.poll.of(PROBE_ID) if self._recipe.poll else self._recipe.submit
        reply = await self._get(address, lambda status, body: Alive(), on_sent)
        answered = isinstance(reply.verdict, JobStops | KeyRejected | Malformed)
        return replace(reply, verdict=Alive()) if answered else reply

    # --- runs --------------------------------------------------------------------------------

    async def submit(
        self, inputs: Inputs, on_sent: OnSent = unheard, *, hold: bool = False
    ) -> Reply:
        """`POST` of the body; its gaps are filled with the inputs."""
        template = self._recipe.body
        body = dict(inputs) if template is None else filled(template, inputs)
        return await self._line.send(
            "POST",
            self._recipe.submit.path,
            self._of_submission,
            on_sent,
            params=dict(self._recipe.submit.query),
            content=json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8"),
            deadline=self._recipe.timeout,
        )

    async def look(self, run_id: str, on_sent: OnSent = unheard, *, stage: str = "") -> Reply:
        """`GET` of the poll path with the id in its gap."""
        if self._recipe.poll is None or not SAFE_ID.fullmatch(run_id):
            return Reply(RowRejected("REQUEST_NOT_FOUND", "no run can be looked at under this id"))
        return await self._get(self._recipe.poll.of(run_id), self._of_look, on_sent)

    async def _get(self, address: Address, meaning: Meaning, on_sent: OnSent) -> Reply:
        return await self._line.send(
            "GET",
            address.path,
            meaning,
            on_sent,
            params=dict(address.query),
            deadline=self._recipe.timeout,
        )

    def _carry(self, key: str) -> Mapping[str, str]:
        recipe = self._recipe
        return {**dict(recipe.headers), recipe.key_header: f"{recipe.key_prefix}{key}"}

    # --- what an answer means ----------------------------------------------------------------

    def _of_check(self, status: int, body: Json) -> Verdict:
        if status < 300:
            return Facts({})
        code, message = self._words(body)
        words = message or "the server refused the request of `check`"
        return JobStops(code or f"HTTP_{status}", words, "Check the base URL, and `check`.")

    def _of_submission(self, status: int, body: Json) -> Verdict:
        recipe = self._recipe
        if status >= 400:
            code, message = self._words(body)
            return RowRejected(
                code or f"HTTP_{status}",
                message or "the server refused these inputs",
                suspicious=status not in recipe.row_errors,
            )
        if recipe.status is None:
            return self._done(body)
        verdict = self._state(body)
        if recipe.poll is None:
            going_on = isinstance(verdict, StillRunning)
            return Malformed("the answer says that the run goes on") if going_on else verdict
        if isinstance(verdict, Done | RunFailed):
            return verdict
        return self._accepted(body)

    def _accepted(self, body: Json) -> Verdict:
        found = self._recipe.id.of(body) if self._recipe.id else MISSING
        run_id = str(found) if type(found) in (str, int) else ""
        if SAFE_ID.fullmatch(run_id):
            return Accepted(run_id)
        return Malformed(f"the answer has no usable id at {self._recipe.id}")

    def _of_look(self, status: int, body: Json) -> Verdict:
        if status < 300:
            return self._state(body)
        code, message = self._words(body)
        if status in (404, 410):
            return RowRejected("REQUEST_NOT_FOUND", message or "no run under this id")
        words = message or "the server refused the request of `poll`"
        return JobStops(code or f"HTTP_{status}", words, "Check `poll`.")

    def _state(self, body: Json) -> Verdict:
        """How a run stands, by the recipe's words."""
        recipe = self._recipe
        word = _word(recipe.status.of(body) if recipe.status else MISSING)
        if word is None:
            return Malformed(f"the answer has no status at {recipe.status}")
        if word in recipe.done:
            return self._done(body)
        if word in recipe.failed:
            code, message = self._words(body)
            return RunFailed(code or "RUN_FAILED", message)
        return StillRunning("" if word in recipe.running else f"unknown status {word[:40]!r}")

    def _done(self, body: Json) -> Verdict:
        outputs = self._recipe.outputs
        if isinstance(outputs, Place):
            return _all_at(outputs, body)
        found = {name: place.of(body) for name, place in outputs.items()}
        if all(value is MISSING for value in found.values()):
            return Malformed("the answer has none of the outputs")
        values = {name: None if value is MISSING else value for name, value in found.items()}
        return Done(values, {name: name for name in values})

    def _words(self, body: Json) -> tuple[str, str]:
        """`(code, message)` of an error, from the recipe's places if it names them."""
        recipe = self._recipe
        code, message = parsed_error(body)
        if recipe.error_code:
            code = _shown(recipe.error_code.of(body))[:100]
        if recipe.error:
            message = _shown(recipe.error.of(body))[:_LONGEST_TEXT]
        return code, message


def _all_at(place: Place, body: Json) -> Verdict:
    """The fields of the object at `place`, or what is there as the one output."""
    found = place.of(body)
    if found is MISSING:
        return Malformed(f"the answer has no outputs at {place}")
    if found is None:
        return Done({}, {})
    values = found if isinstance(found, dict) else {(place.steps or ("result",))[-1]: found}
    if len(values) > _MOST_OUTPUTS:
        return Malformed(f"the answer has {len(values)} outputs")
    return Done(values, {name: name for name in values})


def _word(value: Json) -> str | None:
    """A status as a word; some APIs give a number, or `true` for done."""
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, bool | int) else None


def _shown(value: Json) -> str:
    if value is MISSING or value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# --- how a user names it --------------------------------------------------------------------------


def _check(given: Mapping[str, Json]) -> Checked:
    recipe, mistakes = read_recipe(given)
    return Checked(target_of(given) if recipe else "", mistakes)


def _open(transport: Transport, key: ApiKey, task: Task) -> Http:
    recipe, mistakes = read_recipe(task.own_keys)
    if recipe is None:  # only if somebody else wrote the checkpoint
        listed = "; ".join(f"{name}: {text}" for name, text in mistakes.items())
        raise CannotGoOn(f"The stored recipe of the provider http is not valid: {listed}.")
    return Http(transport, key, recipe)


VENDOR = Vendor(
    name=NAME,
    target_option="",
    options=frozenset(),
    base_url="",
    base_url_variable="ENRICHER_HTTP_BASE_URL",
    key_variable="ENRICHER_HTTP_API_KEY",
    open=_open,
    own_keys=OwnKeys(KEYS, _check),
)
