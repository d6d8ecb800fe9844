"""The OpenAPI documents, and schemathesis against the three stand-ins, in this process."""

import itertools
import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import negative_data_rejection

from enricher.simulator import Api, Request, Rules, Settings, Workspace, openapi, parse_duration
from enricher.simulator.app import SimulatorApp, Stand
from enricher.simulator.eightbitedge import BatchService, Plan
from enricher.simulator.eightbitedge import Settings as EdgeSettings
from enricher.simulator.grids import COMPANIES
from enricher.simulator.scale import COMPANY_PROFILE, WorkflowService
from enricher.simulator.scale import Settings as ScaleSettings
from tests.simulator.driving import ACME

ALIKE: dict[str, Any] = {"rate": None, "duration": parse_duration("0")}
workspace = Workspace(Settings(**ALIKE))
batches = BatchService(EdgeSettings(**ALIKE, plan=Plan.ENTERPRISE))
workflows = WorkflowService(ScaleSettings(**ALIKE))

SERVICES: dict[Api, Rules] = {
    Api.BITSCALE: workspace,
    Api.EIGHTBITEDGE: batches,
    Api.SCALE: workflows,
}
APP = SimulatorApp(
    [Stand(api.prefix, service, openapi.document(api)) for api, service in SERVICES.items()]
)
_numbers = itertools.count()


def headers_of(api: Api) -> dict[str, str]:
    """What makes a request a good one; keys are rotated, and a key for a batch is its own."""
    return {
        Api.BITSCALE: {"X-API-KEY": workspace.api_key},
        Api.EIGHTBITEDGE: {
            "Authorization": f"Bearer {batches.token}",
            "Idempotency-Key": f"key-{next(_numbers)}",
        },
        Api.SCALE: {
            "x-scale-api-key": workflows.api_key,
            "x-selected-account-id": ScaleSettings().account_id,
        },
    }[api]


@pytest.fixture(scope="module")
def known() -> dict[str, str]:
    """Ids that lead somewhere, by the name of their path parameter."""
    run = {"mode": "async", "inputs": ACME}
    started = ask(workspace, f"/grids/{COMPANIES.id}/run", run, Api.BITSCALE)
    session = ask(workflows, "/v1/workflow/run", {"workflowId": COMPANY_PROFILE.id}, Api.SCALE)
    return {
        "gridId": COMPANIES.id,
        "requestId": started["request_id"],
        "sessionId": session["sessionId"],
    }


def ask(service: Any, path: str, body: object, api: Api) -> Any:
    headers = {name.lower(): value for name, value in headers_of(api).items()}
    answer = service.handle(Request("POST", path, {}, headers, json.dumps(body).encode()), 0.0)
    return json.loads(answer.body)


OPERATIONS = [
    pytest.param(api, operation.ok(), id=operation.ok().label)
    for api in Api
    for operation in schemathesis.openapi.from_asgi(
        f"{api.prefix}/openapi.json", APP
    ).get_all_operations()
]

NOT_REJECTED = {"GET /grids"}
"""Its document lists no 400 (5.2): what is no sensible number counts as the default."""


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("api", "operation"), OPERATIONS)
def test_every_answer_is_as_described(api, operation, mode, known) -> None:
    excluded = [negative_data_rejection] if operation.label in NOT_REJECTED else []

    @settings(
        max_examples=30,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case) -> None:
        if mode is GenerationMode.POSITIVE and next(_numbers) % 2:
            case.path_parameters = {name: known[name] for name in case.path_parameters or ()}
        case.call_and_validate(headers=headers_of(api), excluded_checks=excluded)

    check()


@pytest.mark.parametrize("api", Api)
def test_the_document_is_complete(api) -> None:
    document: Any = openapi.document(api)
    assert document["openapi"] == "3.1.0"
    schema = schemathesis.openapi.from_dict(document)
    schema.validate()
    named = set(document["components"]["schemas"])
    assert {name for name in named if f'"#/components/schemas/{name}"' in json.dumps(document)} == (
        named
    )


def test_what_is_described_is_what_there_is() -> None:
    """Against the table of endpoints of each document."""
    documents: dict[Api, Any] = {api: openapi.document(api) for api in Api}
    paths = {
        api: {
            f"{method.upper()} {path}"
            for path, methods in document["paths"].items()
            for method in methods
        }
        for api, document in documents.items()
    }
    assert paths == {
        Api.BITSCALE: {
            "GET /workspace",
            "GET /grids",
            "GET /grids/{gridId}",
            "GET /grids/{gridId}/curl",
            "POST /grids/{gridId}/run",
            "GET /run/status/{requestId}",
            "POST /api-key/rotate",
        },
        Api.EIGHTBITEDGE: {
            "POST /intelligence/batch",
            "POST /signals/batch",
            "POST /enrichment/batch",
        },
        Api.SCALE: {
            "POST /v1/workflow/run",
            "GET /v1/sessions/{sessionId}",
            "GET /v1/sessions/{sessionId}/result",
        },
    }
