"""The providers there are, and what has to be known of each before it is opened."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from enricher.errors import CannotGoOn
from enricher.providers import bitscale, eightbitedge, scale
from enricher.providers.base import BatchProvider, Provider
from enricher.providers.keys import ApiKey
from enricher.providers.transport import Transport

DEFAULT = bitscale.NAME


@dataclass(frozen=True, slots=True)
class Task:
    """What a provider is asked to run: the target, and options that only some of them know."""

    target: str
    source_id: str
    output_columns: tuple[str, ...]
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Vendor:
    """A provider as a user names it.

    Attributes:
        target_option: the option that names what to run.
        options: other options that only some providers take, and this one does.
        base_url: its own, or empty if every user has another one.
        base_url_variable: the environment variable that names the base URL.
        key_variable: the environment variable that holds the key.
        open: makes it; raises `KeyProblem` if the environment lacks something.
        targets: all that can be run, where the provider has a fixed choice.
    """

    name: str
    target_option: str
    options: frozenset[str]
    base_url: str
    base_url_variable: str
    key_variable: str
    open: Callable[[Transport, ApiKey, Task], Provider | BatchProvider]
    targets: tuple[str, ...] = ()


def _open_bitscale(transport: Transport, key: ApiKey, task: Task) -> Provider:
    target = bitscale.Target(task.target, task.source_id, task.output_columns)
    return bitscale.BitScale(transport, key, target)


def _open_scale(transport: Transport, key: ApiKey, task: Task) -> Provider:
    target = scale.Target(task.target, scale.account_id(task.environ))
    return scale.Scale(transport, key, target)


def _open_eightbitedge(transport: Transport, token: ApiKey, task: Task) -> BatchProvider:
    return eightbitedge.EightBitEdge(transport, token, task.target)


_VENDORS = (
    Vendor(
        name=bitscale.NAME,
        target_option="grid",
        options=frozenset({"source_id", "output_columns"}),
        base_url=bitscale.BASE_URL,
        base_url_variable=bitscale.BASE_URL_VARIABLE,
        key_variable=bitscale.KEY_VARIABLE,
        open=_open_bitscale,
    ),
    Vendor(
        name=eightbitedge.NAME,
        target_option="endpoint",
        options=frozenset(),
        base_url=eightbitedge.BASE_URL,
        base_url_variable=eightbitedge.BASE_URL_VARIABLE,
        key_variable=eightbitedge.KEY_VARIABLE,
        open=_open_eightbitedge,
        targets=eightbitedge.ENDPOINTS,
    ),
    Vendor(
        name=scale.NAME,
        target_option="workflow",
        options=frozenset(),
        base_url="",
        base_url_variable=scale.BASE_URL_VARIABLE,
        key_variable=scale.KEY_VARIABLE,
        open=_open_scale,
    ),
)


def vendors() -> Mapping[str, Vendor]:
    """All installed providers by their names."""
    return {vendor.name: vendor for vendor in _VENDORS}


def find(name: str) -> Vendor:
    """The provider of that name.

    Raises:
        CannotGoOn: none is installed under it.
    """
    installed = vendors()
    if name not in installed:
        raise CannotGoOn(
            f"There is no provider {name!r}. Installed: {', '.join(installed)}.",
            mend="Name one of these with --provider, or install the one you mean.",
            code="unknown_provider",
        )
    return installed[name]


def foreign_options(vendor: Vendor) -> Mapping[str, str]:
    """Options that other providers take and this one does not, each with the name of one."""
    mine = {vendor.target_option, *vendor.options}
    return {
        option: other.name
        for other in vendors().values()
        for option in sorted({other.target_option, *other.options})
        if option not in mine
    }
