"""What has to be known of a provider before it is opened."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from enricher.model import Json
from enricher.providers.base import BatchProvider, Provider
from enricher.providers.keys import ApiKey
from enricher.providers.transport import Transport


@dataclass(frozen=True, slots=True)
class Task:
    """What a provider is asked to run: the target, and options that only some of them know.

    `own_keys` are those of the job file that only this provider takes, as they stand there.
    """

    target: str
    source_id: str
    output_columns: tuple[str, ...]
    environ: Mapping[str, str]
    own_keys: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a look at a provider's own keys gives.

    Attributes:
        target: what they name to run; empty where an option names it. It is part of the key under
            which results are found: another one, and everything is bought anew.
        mistakes: a text for each key that is wrong or missing.
    """

    target: str = ""
    mistakes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """Keys under `[provider]` of a job file that one provider alone takes.

    Attributes:
        names: each with a few words for people.
        check: says what is wrong with those that are given; raises nothing.
    """

    names: Mapping[str, str]
    check: Callable[[Mapping[str, Json]], Checked]


@dataclass(frozen=True, slots=True)
class Vendor:
    """A provider as a user names it.

    Attributes:
        target_option: the option that names what to run; empty if its own keys do.
        options: other options that only some providers take, and this one does.
        base_url: its own, or empty if every user has another one.
        base_url_variable: the environment variable that names the base URL.
        key_variable: the environment variable that holds the key.
        open: makes it; raises `KeyProblem` if the environment lacks something.
        targets: all that can be run, where the provider has a fixed choice.
        own_keys: its own keys of a job file, if it has any.
    """

    name: str
    target_option: str
    options: frozenset[str]
    base_url: str
    base_url_variable: str
    key_variable: str
    open: Callable[[Transport, ApiKey, Task], Provider | BatchProvider]
    targets: tuple[str, ...] = ()
    own_keys: OwnKeys | None = None

    @property
    def word(self) -> str:
        """What its users call what is run."""
        return self.target_option or "API"
