"""`enricher rotate-key`."""

from pathlib import Path
from typing import Any

import click

from enricher.cli.asking import ASKING, access
from enricher.cli.groups import MONEY, GroupedCommand, option
from enricher.cli.questions import answered_yes, can_ask
from enricher.cli.signals import watch
from enricher.cli.telling import say, tell, warn
from enricher.errors import UsageError


@click.command(
    "rotate-key",
    cls=GroupedCommand,
    short_help="Have a new API key made, and put it into the key file.",
)
@ASKING
@option("--yes", is_flag=True, group=MONEY, help="Do not ask; needed where there is no terminal.")
def command(yes: bool, **given: Any) -> int:
    """Have a new API key made for the workspace, and put it into the key file.

    The old key is void at once, wherever it is used, and nothing brings it back. The file keeps its
    place and gets mode 0600; the new key is shown nowhere else. A request whose answer is lost is
    not sent again: the message says what to do then. --api-key-file is required here.

    \b
    enricher rotate-key --api-key-file ~/bitscale.key
    enricher rotate-key --api-key-file ~/bitscale.key --yes
    """
    from enricher.api import keys

    there = access(given)
    _check_that_we_may_ask(yes or there.key_file is None)
    path = keys.rotate_key(there, lambda path: yes_to(path, there.base_url, yes))
    if path is None:
        say("Nothing was changed.")
        return 1
    tell(f"The new key stands in {path}, mode 0600. The old one is void.")
    if keys.is_in_environment(there):
        warn(f"{keys.VARIABLE} in the environment holds a key too; is it the old one?")
    return 0


def _check_that_we_may_ask(need_not: bool) -> None:
    if not need_not and not can_ask():
        raise UsageError(
            "rotate-key asks first, and there is no terminal to ask at.",
            mend="Add --yes if the old key may be void from now on.",
            code="cannot_ask",
        )


def yes_to(path: Path, base_url: str, yes: bool) -> bool:
    """Whether to go on; from then on a signal waits until the new key is in its file."""
    if not yes:
        say(f"The key in {path} is of {base_url}. It will be void at once, wherever it is used.")
        if not answered_yes("Have a new one made?"):
            return False
    watch.deliver_to(lambda _: say("The rotation is under way: it is ended first."))
    return True
