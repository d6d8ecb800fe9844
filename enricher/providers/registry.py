"""The providers there are: those of this package, and those that others install.

A plugin is a `Vendor` under an entry point of the group `enricher.providers`, by the provider's
name. It is imported when somebody names it, or wants to see all there are; one that cannot be
imported is no reason for the others not to work.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from enricher.errors import CannotGoOn
from enricher.harmless import printable
from enricher.providers import bitscale, eightbitedge, http, scale
from enricher.providers.keys import ApiKey
from enricher.providers.transport import Transport
from enricher.providers.vendor import OwnKeys, Task, Vendor

__all__ = ["DEFAULT", "GROUP", "Installed", "OwnKeys", "Task", "Vendor", "find", "foreign_options"]

DEFAULT = bitscale.NAME
GROUP = "enricher.providers"

_LONGEST_TROUBLE = 300


@dataclass(frozen=True, slots=True)
class Installed:
    """A provider as it was found.

    Attributes:
        origin: the distribution that brings it, with its version; empty for one of this package.
        vendor: `None` for a plugin that cannot be used; then `trouble` says why.
    """

    name: str
    origin: str
    vendor: Vendor | None
    trouble: str = ""


def _open_bitscale(transport: Transport, key: ApiKey, task: Task) -> bitscale.BitScale:
    target = bitscale.Target(task.target, task.source_id, task.output_columns)
    return bitscale.BitScale(transport, key, target)


def _open_scale(transport: Transport, key: ApiKey, task: Task) -> scale.Scale:
    target = scale.Target(task.target, scale.account_id(task.environ))
    return scale.Scale(transport, key, target)


def _open_eightbitedge(
    transport: Transport, token: ApiKey, task: Task
) -> eightbitedge.EightBitEdge:
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
    http.VENDOR,
)

TARGET_OPTIONS = frozenset({"grid", "workflow", "endpoint"})
"""Options that name what to run; each provider takes one of them, or none."""


def own() -> Mapping[str, Vendor]:
    """The providers of this package by their names."""
    return {vendor.name: vendor for vendor in _VENDORS}


def installed() -> tuple[Installed, ...]:
    """All there are, this package's first; every plugin is imported."""
    mine = [Installed(vendor.name, "", vendor) for vendor in _VENDORS]
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return (*mine, *_loaded(points))


def find(name: str) -> Vendor:
    """The provider of that name; of the plugins no other is imported.

    Raises:
        CannotGoOn: none is installed under it, or it cannot be used.
    """
    if name in (mine := own()):
        return mine[name]
    for found in _loaded(entry_points(group=GROUP, name=name)):
        if found.vendor:
            return found.vendor
        raise CannotGoOn(
            f"The provider {name!r} of {found.origin} cannot be used: {found.trouble}.",
            mend="Mend or update what brings it, or take it out; `enricher providers` lists all.",
            code="provider_broken",
        )
    raise _unknown(name)


def _unknown(name: str) -> CannotGoOn:
    everything = installed()
    usable = ", ".join(printable(found.name) for found in everything if found.vendor)
    broken = [
        f"{found.name!r} of {found.origin} cannot be used: {found.trouble}."
        for found in everything
        if found.trouble
    ]
    return CannotGoOn(
        " ".join([f"There is no provider {name!r}. Installed: {usable}.", *broken]),
        mend="Name one of these with --provider, or install the one you mean.",
        code="unknown_provider",
    )


def foreign_options(vendor: Vendor) -> Mapping[str, str]:
    """Options that providers of this package take and this one does not, with the name of one."""
    mine = {vendor.target_option, *vendor.options}
    return {
        option: other.name
        for other in _VENDORS
        for option in sorted({other.target_option, *other.options})
        if option and option not in mine
    }


# --- plugins --------------------------------------------------------------------------------------


def _loaded(points: Iterable[EntryPoint]) -> Iterator[Installed]:
    """One for each name; two plugins of one name are none, since nobody can tell which is meant."""
    found = list(points)
    bearers = Counter(point.name for point in found)
    for point in found:
        origin = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
        origin = printable(origin)
        if point.name in own():
            yield Installed(point.name, origin, None, "the name is one of enricher's own providers")
        elif bearers[point.name] > 1:
            yield Installed(point.name, origin, None, "another plugin has the same name")
        else:
            yield _load(point, origin)


def _load(point: EntryPoint, origin: str) -> Installed:
    try:
        vendor = point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001  # foreign code may fail in any way
        trouble = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return Installed(point.name, origin, None, printable(trouble)[:_LONGEST_TROUBLE])
    unfit = _unfit(vendor, point.name)
    return Installed(point.name, origin, None if unfit else vendor, unfit)


def _unfit(vendor: object, name: str) -> str:
    """Why what an entry point names is no provider; empty if it is one."""
    if not isinstance(vendor, Vendor):
        return f"its entry point names a {type(vendor).__name__}, and no enricher.plugin.Vendor"
    if vendor.name != name:
        return f"it calls itself {printable(vendor.name)!r}"
    if vendor.target_option not in TARGET_OPTIONS | {""}:
        return f"its target_option {vendor.target_option!r} is no option of enricher"
    if not vendor.target_option and vendor.own_keys is None:
        return "neither a target_option nor keys of its own name what to run"
    return ""
