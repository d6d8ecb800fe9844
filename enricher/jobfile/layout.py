"""Where each option stands in a job file. The models are the only list of options there is."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from enricher.job import Job
from enricher.jobfile.telling import Telling

TOP, PROVIDER, INPUTS, OPTIONS = "", "provider", "inputs", "options"
STEPS, WANTED = "steps", "wanted"

_AT_THE_TOP = ("input", "output")
TARGETS = ("grid", "endpoint", "workflow")
"""What is run, by the names that the providers give it."""

PAIRED = ("api_key_file", *TARGETS)
"""Keys that may be lists, for a job in shards of several workspaces."""

_OF_THE_PROVIDER = (
    *("provider", *TARGETS, "base_url", "source_id", "output_columns"),
    *("api_key_env", "api_key_file"),
)
_NO_KEYS = ("read_from", "own_keys", "wanted", "step", "steps", "shard", "job_file")
"""Of the command line, what a provider makes of keys that are its own, and what steps have."""

_OF_THE_INPUTS = ("maps", "templates")
_RENAMED = {"provider": "name"}

RIVALS = (
    ("api_key_env", "api_key_file"),
    TARGETS,
    ("quiet", "verbose"),
)
"""Fields of which one takes the place of the others."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a job file: `field` is its name in `model`, or one of `TARGETS`."""

    section: str
    name: str
    field: str
    model: type[BaseModel]
    info: FieldInfo

    @property
    def path(self) -> tuple[str, ...]:
        return (self.section, self.name) if self.section else (self.name,)

    @property
    def adapter(self) -> TypeAdapter[Any]:
        """Checks one value as the model does."""
        kind: Any = self.info.annotation
        more = self.info.metadata
        return TypeAdapter(Annotated[kind, *more] if more else kind)


@cache
def keys() -> Mapping[tuple[str, ...], Key]:
    """Every key by its path; a new field of a model stands under `[options]` by itself."""
    found = [
        Key(_section(name), _RENAMED.get(name, info.alias or name), name, model, info)
        for model in (Job, Telling)
        for field, info in model.model_fields.items()
        for name in (TARGETS if field == "target" else (field,))
        if field not in (*_OF_THE_INPUTS, *_NO_KEYS)
    ]
    return {key.path: key for key in found}


def _section(field: str) -> str:
    if field in _AT_THE_TOP:
        return TOP
    return PROVIDER if field in _OF_THE_PROVIDER else OPTIONS


def nearest(path: tuple[str, ...], others_known: Collection[str] = ()) -> str:
    """` (did you mean …?)`, where an unknown key has a likely place or name; else nothing.

    `others_known` are more names of its section.
    """
    section = path[0] if len(path) > 1 else TOP
    name = path[-1].replace("-", "_")
    if others := [key for key in keys().values() if key.name == name and key.section != section]:
        where = f"stands under [{others[0].section}]" if others[0].section else "stands at the top"
        return f": `{name}` {where}"
    known = [*others_known, *(key.name for key in keys().values() if key.section == section)]
    known += [] if section else [PROVIDER, INPUTS, OPTIONS, STEPS]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f" (did you mean `{near[0]}`?)" if near else ""
