"""The tree of commands, and what every one of them shares: errors, signals, exit codes."""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from enricher.cli.ending import bug_of, tell_error, tell_stop
from enricher.cli.signals import Interrupted
from enricher.cli.telling import say, tell
from enricher.cli.voice import voice
from enricher.errors import EnricherError, UsageError

COMMANDS = {
    "run": "enricher.cli.run",
    "plan": "enricher.cli.plan",
    "init": "enricher.cli.init",
    "resume": "enricher.cli.resume",
    "status": "enricher.cli.status",
    "export": "enricher.cli.export",
    "merge": "enricher.cli.merge",
    "report": "enricher.cli.report",
    "serve": "enricher.cli.serve",
    "workspace": "enricher.cli.workspace",
    "grids": "enricher.cli.grids",
    "grid": "enricher.cli.grid",
    "contract": "enricher.cli.contract",
    "providers": "enricher.cli.providers",
    "key": "enricher.cli.key",
    "rotate-key": "enricher.cli.rotate_key",
    "schema": "enricher.cli.schema",
    "mcp": "enricher.cli.mcp",
    "simulate": "enricher.cli.simulate",
    "demo": "enricher.cli.demo",
}
"""Name to module; each module has a `command`. The order is that of `--help`."""


class LazyGroup(click.Group):
    """Imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command


def _version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import PackageNotFoundError, version

        try:
            tell(f"enricher {version('enricher')}")
        except PackageNotFoundError:
            tell("enricher, run from a checkout that is not installed")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Push a list through a paid, rate-limited enrichment API.

    Never loses a paid result, never pays twice in silence, never breaks the rate limit; may be
    interrupted at any point and goes on with the same command.

    \b
    Try it without a key:   enricher demo
    Your own list:          export BITSCALE_API_KEY=…
                            enricher plan leads.csv --grid ID
                            enricher run leads.csv --grid ID -o out.csv
    As a file to keep:      enricher init leads.csv --grid ID
                            enricher run leads.job.toml
    """


def main(args: Sequence[str] | None = None) -> NoReturn:
    """The console script. Ends the process with a code of the public contract."""
    arguments = list(sys.argv[1:] if args is None else args)
    voice.heed_arguments(arguments)
    try:
        code = cli.main(args=arguments, prog_name="enricher", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        say(error.format_message())
        code = UsageError.exit_code
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        mend = f"Try: {context.command_path} --help" if context else ""
        code = tell_error(UsageError(error.format_message(), mend=mend), arguments)
    except EnricherError as error:
        code = tell_error(error, arguments)
    except click.Abort:
        code = 1
    except Interrupted as interrupted:
        code = tell_stop(interrupted.signum, arguments)
    except BrokenPipeError:
        # whoever read our output has left; nothing more can be said to them
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001  # a panic of polars is no Exception
        code = tell_error(bug_of(error), arguments)
    sys.exit(_exit_code(code))


def _exit_code(returned: Any) -> int:
    return returned if isinstance(returned, int) else 0
