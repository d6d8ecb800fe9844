"""The key: which one is used and whose it is, kept in the system keyring, and changed."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_state_path

from enricher.api.sessions import Session
from enricher.api.workspaces import Access, asking
from enricher.errors import CannotGoOn, ProviderRefused, UsageError
from enricher.model import Credits
from enricher.providers import bitscale, registry, system_keyring
from enricher.providers.base import text_in
from enricher.providers.bitscale_facts import credits_of
from enricher.providers.bitscale_line import WHERE_KEYS_STAND
from enricher.providers.bitscale_workspace import ANSWER_LOST
from enricher.providers.key_file import about_to_change
from enricher.providers.keys import checked_key

VARIABLE = bitscale.KEY_VARIABLE


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose key it is, and where it was found."""

    origin: str
    workspace: str
    workspace_id: str
    credits: Credits | None


def owner_of_key(access: Access) -> Owner:
    """Ask the server whose key it is that a run would use.

    Raises:
        KeyProblem, ProviderRefused, ServerGone: see `workspaces`.
    """
    key = access.key()
    told = asking(access, lambda there: there.details(), key)
    return Owner(key.origin, text_in(told, "name"), text_in(told, "id"), credits_of(told))


def keep_key(text: str, origin: str, provider: str) -> str:
    """Keep the key in `text` in the system keyring; returns what that calls itself.

    Raises:
        CannotGoOn: there is no such provider.
        KeyProblem: it is not the form of a key, or there is no keyring.
    """
    return system_keyring.store_key(registry.find(provider).key_variable, checked_key(text, origin))


def forget_key(provider: str) -> bool:
    """Take the key out of the system keyring; whether there was one.

    Raises:
        CannotGoOn: there is no such provider.
        KeyProblem: there is no keyring, or it does not answer.
    """
    return system_keyring.forget_key(registry.find(provider).key_variable)


def rotate_key(access: Access, agreed: Callable[[Path], bool]) -> Path | None:
    """Have the server make a new key, void the old one, and put the new one in the key file.

    Args:
        agreed: asked once the file is known to be replaceable, before the server is; with no,
            nothing happens.

    Returns:
        The key file, or `None` if not agreed.

    Raises:
        UsageError: no key file is named.
        KeyProblem: the file cannot be read or replaced; nothing happened. Or the new key could
            not be put there: the message says where it is.
        ProviderRefused: the server refused; or its answer was lost, and the old key may be void.
        ServerGone: the server could not be reached; the old key is still good.
    """
    path = access.key_file
    if path is None:
        raise _no_file()
    key = access.key()
    with about_to_change(path, [user_state_path("enricher")]) as new_file:
        if not agreed(path):
            return None
        try:
            fresh = asking(access, lambda there: there.rotated_key(), key)
        except ProviderRefused as error:
            raise _understood(path, error) from None
        new_file.put(fresh)
    return path


async def rotate_key_there(session: Session) -> Path:
    """`rotate_key` in an open session, agreed already; the same errors."""
    path = session.access.key_file
    if path is None:
        raise _no_file()
    there = session.workspace()
    with about_to_change(path, [user_state_path("enricher")]) as new_file:
        try:
            fresh = await there.rotated_key()
        except ProviderRefused as error:
            raise _understood(path, error) from None
        new_file.put(fresh)
    return path


def is_in_environment(access: Access) -> bool:
    """Whether the environment holds a key, which a run without a key file would use."""
    return bool(access.environ.get(VARIABLE, "").strip())


def _no_file() -> UsageError:
    return UsageError(
        "rotate-key needs the file that takes the new key.",
        mend="Name the private file that holds the key now: --api-key-file PATH.",
        code="key_file_missing",
    )


def _understood(path: Path, error: ProviderRefused) -> CannotGoOn:
    """A refusal, or what to do where the answer was lost."""
    if error.code != ANSWER_LOST:
        return error
    return CannotGoOn(
        f"The answer to the rotation was lost ({error.message.removeprefix(f'{ANSWER_LOST}: ')}):"
        f" the key in {path} may be void, and nobody here knows the new one.",
        mend=f"It is not sent again. Try the key: enricher key test --api-key-file"
        f" {shlex.quote(str(path))}. If it is refused, copy the new one from the"
        f" workspace ({WHERE_KEYS_STAND}) into that file.",
        code=ANSWER_LOST,
    )
