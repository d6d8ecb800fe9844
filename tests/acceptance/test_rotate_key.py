"""`rotate-key`: the old key is void at once, so the new one must not get lost on the way."""

import json
import shlex
import signal
import stat
from pathlib import Path

import pytest

from enricher.simulator import Access
from enricher.simulator.routes import Endpoint
from tests.acceptance.desk import Desk
from tests.acceptance.proxy import proxy_before
from tests.acceptance.questions import CTRL_C, QUESTION, at_terminal
from tests.support.canary import KEY

ROTATE = ("rotate-key", "--api-key-file", "api.key")
NO_ENV_KEY = {"BITSCALE_API_KEY": ""}


@pytest.fixture
def desk(desk: Desk) -> Desk:
    """A desk with a key file, that knows every key the workspace may come to have."""
    desk.key_file(KEY)
    return desk


def rotations(desk: Desk) -> int:
    return desk.world.workspace.requests[Endpoint.ROTATE]


def assert_has_new_key(desk: Desk, path: Path) -> None:
    desk.secrets.append(desk.world.api_key)
    desk.key_files.append(path)
    assert desk.world.api_key != KEY
    assert path.read_text() == desk.world.api_key + "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def assert_untouched(desk: Desk) -> None:
    assert rotations(desk) == 0
    assert (desk.folder / "api.key").read_text() == KEY + "\n"
    assert desk.files() == ["api.key"]


def test_the_new_key_takes_the_place_of_the_old_one(desk: Desk) -> None:
    said = desk.do(*ROTATE, "--yes", env=NO_ENV_KEY)
    assert_has_new_key(desk, desk.folder / "api.key")
    assert (
        said.out
        == f"The new key stands in {desk.folder}/api.key, mode 0600. The old one is void.\n"
    )
    assert said.err == ""
    assert desk.files() == ["api.key"]
    assert rotations(desk) == 1
    desk.do("workspace", "--api-key-file", "api.key")
    desk.do("workspace", env={"BITSCALE_API_KEY": KEY}, exits=1)


def test_a_key_in_the_environment_is_told_of(desk: Desk) -> None:
    assert "BITSCALE_API_KEY in the environment" in desk.do(*ROTATE, "--yes").err
    assert_has_new_key(desk, desk.folder / "api.key")


def test_a_link_stays_a_link(desk: Desk) -> None:
    (desk.folder / "kept").mkdir()
    real = (desk.folder / "api.key").rename(desk.folder / "kept" / "real.key")
    (desk.folder / "api.key").symlink_to("kept/real.key")
    desk.do(*ROTATE, "--yes")
    assert (desk.folder / "api.key").is_symlink()
    assert_has_new_key(desk, real)
    assert desk.files() == ["api.key", "kept", "kept/real.key"]


# --- before anything happens ----------------------------------------------------------------------


def test_without_a_file_it_is_wrong_usage(desk: Desk) -> None:
    said = desk.do("rotate-key", "--yes", exits=2)
    assert "--api-key-file PATH" in said.err
    assert_untouched(desk)


def test_without_a_terminal_it_does_not_ask(desk: Desk) -> None:
    said = desk.do(*ROTATE, exits=2)
    assert "Add --yes" in said.err
    assert_untouched(desk)


@pytest.mark.parametrize(
    ("name", "cause"),
    [("missing.key", "No such file"), ("k" * 250, "name too long"), (".", "names no file")],
)
def test_a_file_that_cannot_be_replaced_costs_no_key(desk: Desk, name, cause) -> None:
    if len(name) == 250:
        path = desk.folder / name
        path.touch(mode=0o600)
        path.write_text(KEY)
        desk.key_files.append(path)
    said = desk.do("rotate-key", "--api-key-file", name, "--yes", exits=2 if name == "." else 1)
    assert cause in said.err
    assert rotations(desk) == 0


def test_a_file_that_others_can_read_is_refused(desk: Desk) -> None:
    (desk.folder / "api.key").chmod(0o644)
    assert "chmod 600" in desk.do(*ROTATE, "--yes", exits=1).err
    assert_untouched(desk)


# --- at a terminal --------------------------------------------------------------------------------


def test_it_asks_at_a_terminal_and_yes_goes_on(desk: Desk) -> None:
    code, shown = at_terminal(desk, QUESTION, "y\n", *ROTATE)
    assert code == 0
    assert "It will be void at once, wherever it is used." in shown
    assert desk.world.base_url in shown
    assert desk.world.api_key not in shown
    assert_has_new_key(desk, desk.folder / "api.key")


@pytest.mark.parametrize("typed", ["n\n", "\n"])
def test_no_leaves_everything_as_it_is(desk: Desk, typed) -> None:
    before = (desk.folder / "api.key").stat().st_mtime_ns
    code, shown = at_terminal(desk, QUESTION, typed, *ROTATE)
    assert code == 1
    assert "Nothing was changed." in shown
    assert_untouched(desk)
    assert (desk.folder / "api.key").stat().st_mtime_ns == before


def test_ctrl_c_at_the_question_leaves_everything_as_it_is(desk: Desk) -> None:
    code, _ = at_terminal(desk, QUESTION, CTRL_C, *ROTATE)
    assert code == 130
    assert_untouched(desk)


# --- what the server says -------------------------------------------------------------------------


def test_a_refused_key(desk: Desk) -> None:
    (desk.folder / "api.key").write_text("sk-of-yesterday\n")
    assert "The API key was refused" in desk.do(*ROTATE, "--yes", exits=1).err
    assert (desk.folder / "api.key").read_text() == "sk-of-yesterday\n"
    assert desk.files() == ["api.key"]


def test_a_rotation_that_failed(new_desk) -> None:
    desk = new_desk(broken=frozenset({Endpoint.ROTATE}))
    desk.key_file(KEY)
    said = desk.do(*ROTATE, "--yes", exits=1)
    assert "ROTATE_FAILED: The API key could not be rotated." in said.err
    assert "enricher key test" in said.err
    assert rotations(desk) == 1, "not repeated"
    assert (desk.folder / "api.key").read_text() == KEY + "\n"


def test_a_plan_without_the_api(new_desk) -> None:
    desk = new_desk(access=Access.NONE)
    desk.key_file(KEY)
    assert "Enterprise plan" in desk.do(*ROTATE, "--yes", exits=1).err


def test_a_server_that_is_gone_voids_nothing(desk: Desk) -> None:
    nobody = ("--base-url", "http://127.0.0.1:1/api/v1", "--max-outage", "0s")
    desk.do(*ROTATE, "--yes", *nobody, exits=4)
    assert_untouched(desk)


LOST = {
    "the connection breaks": None,
    "no JSON": b"<html>",
    "no key": b"{}",
    "a key that is none": b'{"api_key": "sk-\\nX"}',
    "an empty key": b'{"api_key": ""}',
}


@pytest.mark.parametrize("answer", LOST.values(), ids=LOST)
def test_a_lost_answer_is_not_sent_again(desk: Desk, answer) -> None:
    with proxy_before(desk.world.port) as proxy:
        proxy.changed["/rotate"] = lambda _: answer
        said = desk.do(*ROTATE, "--yes", exits=1, env=proxy.env)
    assert "The answer to the rotation was lost" in said.err
    path = shlex.quote(f"{desk.folder}/api.key")
    assert f"enricher key test --api-key-file {path}" in said.err
    assert "Settings → Accounts → API Keys" in said.err
    assert rotations(desk) == 1
    assert desk.files() == ["api.key"]
    assert (desk.folder / "api.key").read_text() == KEY + "\n"


def test_an_error_after_which_nobody_knows_is_a_lost_answer(desk: Desk) -> None:
    error = b'{"error": {"code": "INTERNAL_ERROR", "message": "oops"}}'
    with proxy_before(desk.world.port) as proxy:
        proxy.changed["/rotate"], proxy.status["/rotate"] = lambda _: error, 500
        said = desk.do(*ROTATE, "--yes", exits=1, env=proxy.env)
    assert "lost (HTTP 500 INTERNAL_ERROR)" in said.err
    assert rotations(desk) == 1


def test_told_to_wait_it_waits_and_rotates_once(desk: Desk) -> None:
    """A server that says 429 has done nothing."""
    refusals = [429, 429]
    with proxy_before(desk.world.port) as proxy:
        proxy.refused["/rotate"] = refusals
        desk.do(*ROTATE, "--yes", env=proxy.env)
    assert not refusals
    assert rotations(desk) == 1
    assert_has_new_key(desk, desk.folder / "api.key")


def test_a_new_key_that_holds_the_old_one_is_written_whole(desk: Desk) -> None:
    longer = KEY + "-2"
    with proxy_before(desk.world.port) as proxy:
        proxy.changed["/rotate"] = lambda _: json.dumps({"api_key": longer}).encode()
        desk.do(*ROTATE, "--yes", env=proxy.env)
    assert (desk.folder / "api.key").read_text() == longer + "\n"


# --- when the file goes wrong after the answer ----------------------------------------------------


def test_a_key_that_cannot_take_its_place_is_kept_beside_it(desk: Desk) -> None:
    path = desk.folder / "api.key"

    def spoilt(answer: bytes) -> bytes:
        path.unlink()
        path.mkdir()
        return answer

    with proxy_before(desk.world.port) as proxy:
        proxy.changed["/rotate"] = spoilt
        said = desk.do(*ROTATE, "--yes", exits=1, env=proxy.env)
    (kept,) = desk.folder.glob("api.key.new-*")
    assert_has_new_key(desk, kept)
    assert f"The new key stands in {kept}" in said.err
    assert f"mv {shlex.quote(str(kept))} {shlex.quote(str(path))}" in said.err


def test_a_signal_waits_until_the_new_key_is_in_its_file(desk: Desk) -> None:
    with proxy_before(desk.world.port) as proxy:

        def interrupted(answer: bytes) -> bytes:
            life.process.send_signal(signal.SIGTERM)
            return answer

        proxy.changed["/rotate"] = interrupted
        life = desk.start(*ROTATE, "--yes", env={**proxy.env, **NO_ENV_KEY})
        said = life.end(0)
    assert "ended first" in said.err
    assert_has_new_key(desk, desk.folder / "api.key")
