"""The API key: where it comes from, what is refused, and that nothing ever shows it."""

import os
import traceback
from pathlib import Path

import pytest

from enricher.errors import KeyProblem
from enricher.providers.keys import ApiKey

SECRET = "sk-live-abc123xyz"
VARIABLE = "BITSCALE_API_KEY"


def from_environment(value):
    return ApiKey(VARIABLE, None, {VARIABLE: value})


def key_file(folder, content, mode=0o600):
    path = folder / "key"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def refused(make):
    """The error of a key that is not taken; it must not show the key."""
    with pytest.raises(KeyProblem) as caught:
        make()
    assert caught.value.mend
    shown = "".join(traceback.format_exception(caught.value))
    for part in ("sk-live", "abc123", "geheim"):
        assert part not in shown
    return caught.value


def test_a_key_of_the_environment():
    assert from_environment(SECRET).value == SECRET


def test_a_key_file_goes_before_the_environment(tmp_path):
    path = key_file(tmp_path, "sk-of-the-file")
    assert ApiKey(VARIABLE, path, {VARIABLE: SECRET}).value == "sk-of-the-file"


@pytest.mark.parametrize("around", ["{}\n", "{}\r\n", "  {}  ", "\n\n{}\t"])
def test_white_space_around_a_key_is_no_part_of_it(tmp_path, around):
    """A line end in a header would make the HTTP library print the key in its error."""
    assert from_environment(around.format(SECRET)).value == SECRET
    path = key_file(tmp_path, around.format(SECRET))
    assert ApiKey(VARIABLE, path, {}).value == SECRET


@pytest.mark.parametrize(
    "text",
    [
        "sk-live abc123xyz",
        "sk-live-\nabc123xyz",
        "sk-live-\r\nX-Evil: abc123xyz",
        "sk-live-\x00abc123xyz",
        "sk-live-\tabc123xyz",
        "sk-live-\x7fabc123xyz",
        "sk-live-schlüssel-geheim",
        "sk-live-\u200babc123xyz",
        "\ufeffsk-live-abc123xyz",
    ],
)
def test_a_key_that_could_not_be_a_header_is_refused(tmp_path, text):
    assert refused(lambda: from_environment(text)).code == "key_malformed"
    path = key_file(tmp_path, text)
    assert refused(lambda: ApiKey(VARIABLE, path, {})).code == "key_malformed"


@pytest.mark.parametrize("environ", [{}, {VARIABLE: ""}, {VARIABLE: " \n"}])
def test_without_a_key_the_error_names_the_variable_and_the_option(environ):
    error = refused(lambda: ApiKey(VARIABLE, None, environ))
    assert error.code == "key_missing"
    assert VARIABLE in error.message
    assert "--api-key-file" in error.mend


def test_an_empty_key_file_does_not_fall_back_to_the_environment(tmp_path):
    path = key_file(tmp_path, "\n")
    error = refused(lambda: ApiKey(VARIABLE, path, {VARIABLE: SECRET}))
    assert (error.code, str(path) in error.message) == ("key_missing", True)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_private_key_file_is_read(tmp_path, mode):
    assert ApiKey(VARIABLE, key_file(tmp_path, SECRET, mode), {}).value == SECRET


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o620, 0o602, 0o610, 0o777])
def test_a_key_file_that_others_can_reach_is_refused(tmp_path, mode):
    path = key_file(tmp_path, SECRET, mode)
    error = refused(lambda: ApiKey(VARIABLE, path, {}))
    assert error.code == "key_not_private"
    assert f"{mode:04o}" in error.message
    assert error.mend == f"Run: chmod 600 {path}"


def test_a_link_does_not_hide_that_others_can_read_the_file(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(key_file(tmp_path, SECRET, 0o644))
    assert refused(lambda: ApiKey(VARIABLE, link, {})).code == "key_not_private"


@pytest.mark.parametrize("content", [b"\xff\xfes\x00k\x00", b"sk-live-\xe9"])
def test_a_key_file_that_is_no_text_is_told_so(tmp_path, content):
    path = key_file(tmp_path, content)
    assert "it is not text" in refused(lambda: ApiKey(VARIABLE, path, {})).message


def test_a_key_file_that_is_not_there_is_told_so(tmp_path):
    missing = refused(lambda: ApiKey(VARIABLE, tmp_path / "none", {}))
    assert "No such file" in missing.message
    folder = refused(lambda: ApiKey(VARIABLE, tmp_path, {}))
    assert "Is a directory" in folder.message


def test_a_key_may_come_through_a_pipe(tmp_path):
    """`--api-key-file <(password-store …)`: a shell makes such pipes private."""
    reading, writing = os.pipe()
    os.write(writing, SECRET.encode() + b"\n")
    os.close(writing)
    assert ApiKey(VARIABLE, Path(f"/dev/fd/{reading}"), {}).value == SECRET
    os.close(reading)


def test_a_large_file_is_no_key_file_and_is_not_read_whole(tmp_path):
    path = key_file(tmp_path, b"")
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert refused(lambda: ApiKey(VARIABLE, path, {})).code == "key_malformed"


# --- loaded again ---------------------------------------------------------------------------------


def test_a_key_file_is_read_again_and_tells_whether_the_key_is_another(tmp_path):
    path = key_file(tmp_path, SECRET)
    key = ApiKey(VARIABLE, path, {})
    assert key.reload() is False
    path.write_text("sk-live-new\n")
    assert (key.value, key.reload(), key.value) == (SECRET, True, "sk-live-new")
    assert key.reload() is False


@pytest.mark.parametrize(
    "spoil", [Path.unlink, lambda p: p.write_text(""), lambda p: p.chmod(0o644)]
)
def test_a_key_file_that_is_spoilt_is_no_other_key(tmp_path, spoil):
    path = key_file(tmp_path, SECRET)
    key = ApiKey(VARIABLE, path, {})
    spoil(path)
    assert (key.reload(), key.value) == (False, SECRET)


def test_the_environment_brings_no_other_key():
    environ = {VARIABLE: SECRET}
    key = ApiKey(VARIABLE, None, environ)
    environ[VARIABLE] = "sk-live-new"
    assert (key.reload(), key.value) == (False, SECRET)


# --- never shown ----------------------------------------------------------------------------------


def test_a_key_is_never_shown(tmp_path):
    for key in (from_environment(SECRET), ApiKey(VARIABLE, key_file(tmp_path, SECRET), {})):
        assert SECRET not in f"{key} {key!r} {[key]}"
        assert ("$BITSCALE_API_KEY" in repr(key)) or (str(tmp_path) in repr(key))
