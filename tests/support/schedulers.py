"""Stand-ins of what the examples of docs/running use of Airflow, Dagster and Prefect.

Each runs the example's one task once, and says what the scheduler would do next.
"""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

SUMMARY = '{"rows": {"completed": 2, "failed": 1, "in_doubt": 0}}'


def program_that_ends_with(code: int, folder: Path) -> Path:
    """A folder for `PATH` with an `enricher` that writes its summary and ends so."""
    place = folder / "bin"
    place.mkdir()
    program = place / "enricher"
    program.write_text(f"#!/bin/sh\necho '{SUMMARY}' > leads.summary.json\nexit {code}\n")
    program.chmod(0o755)
    return place


class Person(Exception):
    """Fails, and is not tried again."""


class Again(Exception):
    """Fails, and is tried again later."""


def outcome(example: Callable[[], dict[str, Any]], name: str) -> str:
    """`done`, `again` or `a person`: what becomes of the task when the example is run."""
    try:
        start = {"airflow": None, "dagster": "enriched_leads", "prefect": "enrich_leads"}[name]
        names = example()  # Airflow's stand-in runs the task at once
        if start == "enriched_leads":
            names[start](SimpleNamespace(log=SimpleNamespace(warning=str)))
        elif start:
            names[start]()
    except Person:
        return "a person"
    except Again:
        return "again"
    return "done"


def airflow() -> dict[str, ModuleType]:
    """`dag` and `task` run what they decorate when it is called."""
    return {
        "pendulum": _module("pendulum", datetime=lambda *_: None),
        "airflow": _module("airflow"),
        "airflow.sdk": _module("airflow.sdk", dag=_decorator, task=_decorator),
        "airflow.sdk.exceptions": _module(
            "airflow.sdk.exceptions", AirflowException=Again, AirflowFailException=Person
        ),
    }


def dagster() -> dict[str, ModuleType]:
    """A failure without retries, or a request for one."""

    def failure(_text: str, *, allow_retries: bool) -> Exception:
        return Again() if allow_retries else Person()

    def request(*, max_retries: int, seconds_to_wait: float) -> Exception:
        return Again(max_retries, seconds_to_wait)

    return {
        "dagster": _module(
            "dagster",
            asset=lambda function: function,
            AssetExecutionContext=object,
            AssetSelection=SimpleNamespace(assets=lambda *assets: assets),
            Definitions=SimpleNamespace,
            Failure=failure,
            MaterializeResult=SimpleNamespace,
            RetryRequested=request,
            ScheduleDefinition=SimpleNamespace,
        )
    }


def prefect() -> dict[str, ModuleType]:
    """A task asks its condition whether what was raised is a reason to try again."""

    def task(*, retry_condition_fn: Callable[..., bool], **_: Any) -> Any:
        def decorate(function: Callable[[], Any]) -> Callable[[], Any]:
            def once() -> Any:
                try:
                    return function()
                except Exception as error:
                    state = SimpleNamespace(result=lambda *, raise_on_failure, is_=error: is_)
                    raise (Again if retry_condition_fn(None, None, state) else Person) from error

            return once

        return decorate

    logger = SimpleNamespace(warning=lambda text, *values: text % values)
    return {
        "prefect": _module("prefect", flow=_decorator, task=task, get_run_logger=lambda: logger)
    }


STAND_INS: dict[str, Callable[[], dict[str, ModuleType]]] = {
    "airflow": airflow,
    "dagster": dagster,
    "prefect": prefect,
}


def _module(name: str, **content: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(content)
    return module


def _decorator(**_: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return lambda function: function
