"""Where a key is found, in which order, and `enricher key`."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.desk import COMPANIES, PATIENCE, PROGRAM, Desk, until
from tests.acceptance.questions import at_terminal
from tests.support.canary import KEY

WRONG = "sk-wrong-everywhere"
NO_ENV_KEY = {"BITSCALE_API_KEY": ""}


@pytest.fixture
def keyring(desk: Desk) -> dict[str, str]:
    """What names a keyring to the program, which holds nothing."""
    path = desk.folder / "ring.json"
    desk.key_files.append(path)
    return {
        "PYTHON_KEYRING_BACKEND": "tests.support.keyrings.FileKeyring",
        "TEST_KEYRING": str(path),
    }


def held(desk: Desk) -> dict[str, str]:
    path = desk.folder / "ring.json"
    return json.loads(path.read_text()) if path.exists() else {}


def set_key(desk: Desk, text: str, keyring: dict[str, str], *words: str, exits: int = 0) -> str:
    """`key set` from standard input; what it said."""
    done = subprocess.run(
        [*PROGRAM, "key", "set", *words],
        cwd=desk.folder,
        env={**desk.env, **keyring},
        input=text,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == exits, done.stderr
    assert KEY not in done.stdout + done.stderr
    return done.stdout + done.stderr


def credential(desk: Desk, key: str, mode: int = 0o440) -> dict[str, str]:
    """A credentials directory as systemd makes it: with an access list, the group seems to read."""
    folder = desk.folder / "credentials"
    folder.mkdir()
    path = folder / "BITSCALE_API_KEY"
    path.write_text(key)
    path.chmod(mode)
    desk.key_files.append(path)
    return {"CREDENTIALS_DIRECTORY": str(folder)}


# --- the order ------------------------------------------------------------------------------------


def test_each_place_goes_before_the_next(desk: Desk, keyring) -> None:
    set_key(desk, KEY + "\n", keyring)
    last = {**keyring, **NO_ENV_KEY}
    assert "The key in the system keyring is of" in desk.do("key", "test", env=last).out
    systemd = credential(desk, WRONG)
    desk.do("key", "test", env={**last, **systemd}, exits=1)
    assert "The key in $BITSCALE_API_KEY is" in desk.do("key", "test", env=systemd).out
    desk.key_file(KEY)
    wrong = {"BITSCALE_API_KEY": WRONG}
    desk.do("key", "test", env=wrong, exits=1)
    said = desk.do("key", "test", "--api-key-file", "api.key", env=wrong)
    assert f"The key in {desk.folder}/api.key is of" in said.out


def test_a_credential_of_systemd_is_used(desk: Desk) -> None:
    systemd = {**credential(desk, KEY + "\n"), **NO_ENV_KEY}
    said = desk.do("key", "test", env=systemd)
    assert "credentials/BITSCALE_API_KEY is of the workspace 'Simulated Workspace'" in said.out
    assert "39,600 credits left" in said.out


def test_a_credential_that_everyone_can_read_is_refused(desk: Desk) -> None:
    systemd = {**credential(desk, KEY, 0o444), **NO_ENV_KEY}
    assert "can be read by other users" in desk.do("key", "test", env=systemd, exits=1).err


def test_a_list_is_enriched_with_the_key_of_the_keyring(desk: Desk, keyring) -> None:
    set_key(desk, KEY, keyring)
    desk.write("leads.csv", ["Company Name,Website", "Acme,acme.com"])
    desk.do("run", "leads.csv", "--grid", COMPANIES.id, env={**keyring, **NO_ENV_KEY})
    assert len(desk.bought) == 1


def test_without_any_key_every_place_is_named(desk: Desk, keyring) -> None:
    said = desk.do("workspace", "--json", env={**keyring, **NO_ENV_KEY}, exits=1)
    assert said.json["error"]["code"] == "key_missing"
    message = said.json["error"]["message"]
    assert message == (
        "No API key: $BITSCALE_API_KEY is not set; $CREDENTIALS_DIRECTORY is not set;"
        " the system keyring holds no BITSCALE_API_KEY."
    )
    assert "enricher key set" in said.err


@pytest.mark.parametrize(
    ("backend", "cause"),
    [
        ("keyring.backends.fail.Keyring", "This machine has no keyring"),
        ("tests.support.keyrings.LockedKeyring", "the collection�[2J is locked"),
        ("no.such.Backend", "No module named"),
    ],
)
def test_a_machine_without_a_keyring_just_holds_no_key(desk: Desk, backend, cause) -> None:
    headless = {"PYTHON_KEYRING_BACKEND": backend, **NO_ENV_KEY}
    said = desk.do("workspace", env=headless, exits=1)
    assert "No API key: $BITSCALE_API_KEY is not set" in said.err
    assert cause in said.err
    assert "--api-key-file" in desk.do("key", "forget", env=headless, exits=1).err


# --- set, test, forget ----------------------------------------------------------------------------


def test_a_key_is_kept_and_forgotten(desk: Desk, keyring) -> None:
    assert "enricher key test" in set_key(desk, f"  {KEY}\r\n", keyring)
    assert held(desk) == {"enricher BITSCALE_API_KEY": KEY}
    assert "out of the keyring" in desk.do("key", "forget", env=keyring).err
    assert held(desk) == {}
    assert "held no key" in desk.do("key", "forget", env=keyring).err


def test_each_provider_has_a_key_of_its_own(desk: Desk, keyring) -> None:
    assert "for scale" in set_key(desk, KEY, keyring, "--provider", "scale")
    assert held(desk) == {"enricher SCALE_API_KEY": KEY}
    assert "held no key" in desk.do("key", "forget", env=keyring).err
    said = desk.do("key", "forget", "--provider", "scale", env=keyring)
    assert "out of the keyring" in said.err
    assert held(desk) == {}
    assert "There is no provider" in set_key(desk, KEY, keyring, "--provider", "x", exits=1)


@pytest.mark.parametrize(
    ("text", "cause"), [("", "is empty"), ("\n", "is empty"), (f"{KEY} {KEY}", "no key has")]
)
def test_what_is_no_key_is_not_kept(desk: Desk, keyring, text, cause) -> None:
    assert cause in set_key(desk, text, keyring, exits=1)
    assert held(desk) == {}


def test_a_prompt_does_not_show_what_is_typed(desk: Desk, keyring) -> None:
    code, shown = at_terminal(desk, b"API key: ", f"{KEY}\n", "key", "set", env=keyring)
    assert code == 0
    assert KEY not in shown
    assert held(desk) == {"enricher BITSCALE_API_KEY": KEY}


def test_a_key_on_the_command_line_is_refused_and_not_repeated(desk: Desk, keyring) -> None:
    said = desk.do("key", "set", KEY, env=keyring, exits=2)  # the desk looks for the key in it
    assert "never taken from the command line" in said.err
    assert held(desk) == {}


def test_a_key_that_the_server_refuses(desk: Desk) -> None:
    said = desk.do("key", "test", env={"BITSCALE_API_KEY": WRONG}, exits=1)
    assert "The API key was refused" in said.err


def test_a_new_credential_is_taken_after_a_refusal(desk: Desk) -> None:
    """As a key file: the unit was reloaded while a job went on."""
    systemd = {**credential(desk, KEY), **NO_ENV_KEY}
    desk.write("leads.csv", ["Company Name,Website", *(f"C{n},c{n}.com" for n in range(20))])
    life = desk.start("run", "leads.csv", "--grid", COMPANIES.id, "--rate", "5", env=systemd)
    until(lambda: desk.bought, "a submission")
    fresh = desk.rotate_key()
    path = Path(systemd["CREDENTIALS_DIRECTORY"], "BITSCALE_API_KEY")
    path.unlink()
    path.write_text(fresh)
    path.chmod(0o400)
    life.end()
    assert len(desk.bought) == 20
