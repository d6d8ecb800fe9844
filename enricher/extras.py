"""Libraries that only some tables need: extras of the package, imported when they are used."""

from collections.abc import Iterator
from contextlib import contextmanager

from enricher.errors import CannotGoOn


@contextmanager
def extra(name: str, what: str, problem: type[CannotGoOn]) -> Iterator[None]:
    """Turn an import that fails in the block into a `problem` that says what to install.

    Args:
        name: the extra of pyproject.toml.
        what: what cannot be done without it, such as "leads.xlsx".
    """
    try:
        yield
    except ImportError as error:
        raise problem(
            f"{what} needs the extra {name!r}, which is not installed.",
            mend=f"Install it: pip install 'enricher[{name}]'",
            code="extra_missing",
        ) from error
