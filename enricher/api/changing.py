"""Options as a program gives them: inputs as one mapping, and a job with other options."""

from collections.abc import Mapping
from typing import Any

from enricher.api.chaining import resumed
from enricher.api.orders import job_of
from enricher.errors import UsageError
from enricher.job import Job
from enricher.providers import registry

FORMS = ("column", "template", "value")


def fed_by(inputs: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """`maps` and `templates` of `{label: column}`, where a column may be a table with one form.

    The forms are those of `[inputs]` in a job file: `{"column": …}`, `{"template": …}`,
    `{"value": …}`.

    Raises:
        UsageError: lists every input that is of no form.
    """
    maps: dict[str, str] = {}
    templates: dict[str, str] = {}
    mistakes = []
    for label, fed in inputs.items():
        match {"column": fed} if isinstance(fed, str) else fed:
            case {"column": str(text), **rest} if not rest:
                maps[label] = text
            case {"template": str(text), **rest} if not rest:
                templates[label] = text
            case {"value": str(text), **rest} if not rest:
                templates[label] = text.replace("{", "{{").replace("}", "}}")
            case _:
                mistakes.append(f"inputs[{label!r}]: must be a column, or a mapping with one text")
    if mistakes:
        raise UsageError(
            "\n".join(mistakes),
            mend='Write {"name": "Company Name"}, {"site": {"template": "https://{Domain}"}} or'
            ' {"country": {"value": "US"}}.',
        )
    return {"maps": maps, "templates": templates}


def changed(job: Job, options: Mapping[str, Any], environ: Mapping[str, str]) -> Job:
    """The job with `options` in place of its own; `None` leaves what it has.

    Raises:
        UsageError: lists every mistake.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if job.steps:
        return resumed(job.model_dump(mode="json"), given)
    own = dict(job)
    target = own.pop("target")
    return job_of({**own, registry.find(job.provider).target_option: target, **given}, environ)
