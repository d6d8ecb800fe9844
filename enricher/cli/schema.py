"""`enricher schema`."""

import json

import click

from enricher.cli.groups import GroupedCommand
from enricher.cli.options import JOB_OPTIONS
from enricher.cli.telling import tell


@click.command(
    "schema", cls=GroupedCommand, short_help="Print the JSON Schema of job files, for editors."
)
def command() -> int:
    """Print the JSON Schema of job files, so that an editor can complete and check them.

    \b
    enricher schema > job.schema.json
    """
    from enricher import api

    tell(json.dumps(api.job_schema(descriptions()), indent=2))
    return 0


def descriptions() -> dict[str, str]:
    """What `--help` says of each option, by its name."""

    @JOB_OPTIONS
    @click.command()
    def every_option() -> None:
        """Holds the options."""

    options = (param for param in every_option.params if isinstance(param, click.Option))
    return {str(option.name): option.help or "" for option in options}
