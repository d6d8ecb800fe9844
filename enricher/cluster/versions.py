"""All of a cluster must run the same enricher: what one writes, others read."""

from enricher.errors import CannotGoOn


def another_version(who: str, theirs: str, ours: str) -> CannotGoOn:
    """What to say of one that differs; `theirs` is empty where there is none."""
    has = f"enricher {theirs}" if theirs else "no enricher"
    return CannotGoOn(
        f"The {who} has {has}, and this command is of enricher {ours}.",
        mend=f"Install the same everywhere: pip install 'enricher[dask]=={ours}'",
        code="cluster_versions",
    )
