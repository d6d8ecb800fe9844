"""The world of one 8bitedge account: requests and the time in, answers out.

The order of the checks (token, rate limit, path, scope, key, body) is not documented; that
refusals are kept under no key is this stand-in's reading of "the original result".
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from enricher.simulator import draws
from enricher.simulator.eightbitedge.items import Item, outcome, read_items
from enricher.simulator.eightbitedge.refusals import Code, Refused
from enricher.simulator.eightbitedge.settings import Endpoint, Settings
from enricher.simulator.limits import rate_limit
from enricher.simulator.messages import Held, JsonObject, Request, Response, json_response

KEPT_SECONDS = 24 * 3600.0
"""How long a result is replayed ("Idempotent batch requests")."""


@dataclass(frozen=True)
class Batch:
    """A batch that was processed, and its answer, which is there from `ready_at`."""

    id: str
    endpoint: Endpoint
    key: str
    """The Idempotency-Key, or ""."""

    items: tuple[str, ...]
    """The canonical texts of the items."""

    fingerprint: bytes
    ready_at: float
    answer: Response


class BatchService:
    """One account. All times are seconds of one clock that never runs backwards."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limit = rate_limit(settings.rate, settings.window)
        self._by_id: dict[str, Batch] = {}
        self._by_key: dict[str, Batch] = {}
        self.token = settings.token
        self.processed: Counter[tuple[Endpoint, str]] = Counter()
        """How often each item was processed, by endpoint and canonical text."""

        self.keys: Counter[str] = Counter()
        """How often each Idempotency-Key was seen, by requests past token, limit and scope."""

        self.replayed = 0
        """Requests that a kept result was replayed to."""

        self.metered = 0
        """Usage units: one for each processed item ("Metering")."""

        self.requests: Counter[Endpoint] = Counter()
        """Requests with a good token and within the limit."""

        self.refused: Counter[Code] = Counter()
        """Requests that were answered with an error, by its code."""

    @property
    def batches(self) -> tuple[Batch, ...]:
        """Everything that was processed, in order."""
        return tuple(self._by_id.values())

    def handle(self, request: Request, now: float) -> Response | Held:
        """See `Rules.handle`."""
        try:
            return self._serve(request, now)
        except Refused as refusal:
            return self._refusal(refusal)

    def finish_held(self, request_id: str, now: float) -> Response:
        """See `Rules.finish_held`."""
        return self._by_id[request_id].answer

    def trouble(self, status: HTTPStatus, now: float) -> Response:
        """See `Rules.trouble`."""
        limited = status is HTTPStatus.TOO_MANY_REQUESTS
        code = Code.RATE_LIMITED if limited else Code.INTERNAL_ERROR
        return json_response(status, {}, {"error": code.body({})})

    def _refusal(self, refusal: Refused) -> Response:
        self.refused[refusal.code] += 1
        headers = {}
        if refusal.code is Code.RATE_LIMITED:
            headers["retry-after"] = "1"
        if refusal.code is Code.METHOD_NOT_ALLOWED:
            headers["allow"] = "POST"
        body = {"error": refusal.code.body(refusal.details)}
        return json_response(refusal.code.status, headers, body)

    def _serve(self, request: Request, now: float) -> Response | Held:
        self._authenticate(request.headers)
        if not self._limit.admit(now):
            raise Refused(Code.RATE_LIMITED)
        endpoint = _endpoint(request)
        self.requests[endpoint] += 1
        if endpoint.scope not in self._settings.scopes:
            raise Refused(Code.INSUFFICIENT_SCOPE, {"required": endpoint.scope})
        key = request.headers.get("idempotency-key", "").strip()
        fingerprint = draws.digest(endpoint, request.body)
        kept = self._kept(key, now)
        if kept is not None:
            return self._replay(kept, fingerprint, now)
        items = read_items(request.body, self._settings.plan.value, self._settings.poison)
        batch = self._process(endpoint, key, items, fingerprint, now)
        return Held(batch.id, batch.ready_at)

    def _authenticate(self, headers: Mapping[str, str]) -> None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token.strip() != self.token:
            raise Refused(Code.UNAUTHORIZED)

    def _kept(self, key: str, now: float) -> Batch | None:
        """The batch that this key stands for; after a day none, and the key is free again."""
        if not key:
            return None
        self.keys[key] += 1
        batch = self._by_key.get(key)
        if batch is None or now >= batch.ready_at + KEPT_SECONDS:
            return None
        return batch

    def _replay(self, kept: Batch, fingerprint: bytes, now: float) -> Response:
        if kept.fingerprint != fingerprint:
            raise Refused(Code.IDEMPOTENCY_KEY_REUSE)
        if now < kept.ready_at:
            raise Refused(Code.IDEMPOTENCY_CONFLICT)
        self.replayed += 1
        headers = {**kept.answer.headers, "idempotency-replayed": "true"}
        return Response(kept.answer.status, headers, kept.answer.body)

    def _process(
        self,
        endpoint: Endpoint,
        key: str,
        items: tuple[Item, ...],
        fingerprint: bytes,
        now: float,
    ) -> Batch:
        number = len(self._by_id) + 1
        chance = draws.fraction("duration", self._settings.seed, number)
        outcomes = [self._process_item(endpoint, item) for item in items]
        batch = Batch(
            id=f"batch-{number}",
            endpoint=endpoint,
            key=key,
            items=tuple(item.text for item in items),
            fingerprint=fingerprint,
            ready_at=now + self._settings.duration.seconds(chance),
            answer=_answer(outcomes),
        )
        self._by_id[batch.id] = batch
        if key:
            self._by_key[key] = batch
        return batch

    def _process_item(self, endpoint: Endpoint, item: Item) -> JsonObject:
        times = self.processed[endpoint, item.text]
        self.processed[endpoint, item.text] += 1
        self.metered += 1
        return outcome(self._settings, endpoint, item, times)


def _answer(outcomes: list[JsonObject]) -> Response:
    """207 as soon as one item failed ("Response shape")."""
    succeeded = sum(result["status"] == HTTPStatus.OK for result in outcomes)
    total = len(outcomes)
    sums = {"total": total, "succeeded": succeeded, "failed": total - succeeded}
    status = HTTPStatus.OK if succeeded == total else HTTPStatus.MULTI_STATUS
    return json_response(status, {}, {"data": outcomes, "meta": {"batch": sums}})


def _endpoint(request: Request) -> Endpoint:
    found = next((one for one in Endpoint if one.path == request.path), None)
    if found is None:
        raise Refused(Code.NOT_FOUND)
    if request.method != "POST":
        raise Refused(Code.METHOD_NOT_ALLOWED)
    return found
