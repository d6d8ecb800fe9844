"""The providers that are installed, for people; without what a job needs, so that it is quick."""

from dataclasses import dataclass

from enricher.providers import registry
from enricher.providers.vendor import Vendor


@dataclass(frozen=True, slots=True)
class Shown:
    """A provider as it is listed.

    Attributes:
        origin: what brings it: `enricher`, or a distribution and its version.
        target: how what to run is named: an option, or the job file.
        trouble: why it cannot be used; empty if it can.
    """

    name: str
    origin: str
    target: str = ""
    base_url: str = ""
    base_url_variable: str = ""
    key_variable: str = ""
    job_file_keys: tuple[str, ...] = ()
    trouble: str = ""


def providers() -> list[Shown]:
    """All there are; every plugin is imported, and one that fails is listed with the reason."""
    return [
        _shown(found.name, found.origin or "enricher", found.vendor, found.trouble)
        for found in registry.installed()
    ]


def _shown(name: str, origin: str, vendor: Vendor | None, trouble: str) -> Shown:
    if vendor is None:
        return Shown(name, origin, trouble=trouble)
    return Shown(
        name,
        origin,
        f"--{vendor.target_option}" if vendor.target_option else "job file",
        vendor.base_url,
        vendor.base_url_variable,
        vendor.key_variable,
        tuple(vendor.own_keys.names) if vendor.own_keys else (),
    )
