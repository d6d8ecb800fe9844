"""A key file that gets another key: what can fail fails before, and what fails after loses none."""

import os
import stat
from pathlib import Path

import pytest

from enricher.errors import KeyProblem
from enricher.providers.key_file import about_to_change

OLD, NEW = "sk-of-yesterday", "sk-of-today"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "kept").mkdir()
    path = tmp_path / "kept" / "api.key"
    path.touch(mode=0o600)
    path.write_text(OLD + "\n")
    return path


def names(path: Path) -> list[str]:
    return sorted(other.name for other in path.parent.iterdir())


def draft_of(path: Path) -> int:
    """The descriptor of the file that lies prepared beside `path`."""
    for descriptor in Path("/dev/fd").iterdir():
        try:
            if f"{path}.new-" in str(descriptor.resolve()):
                return int(descriptor.name)
        except OSError:
            continue
    raise AssertionError("no draft is open")


def test_the_new_key_stands_there_alone_and_private(path: Path) -> None:
    old_mask = os.umask(0o277)
    try:
        with about_to_change(path) as new_file:
            new_file.put(NEW)
    finally:
        os.umask(old_mask)
    assert path.read_text() == NEW + "\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(path) == ["api.key"]


def test_what_is_prepared_is_private_and_holds_no_key(path: Path) -> None:
    with about_to_change(path):
        (draft,) = path.parent.glob("api.key.new-*")
        assert draft.read_text().strip() == ""
        assert draft.stat().st_size > len(NEW)
        assert stat.S_IMODE(draft.stat().st_mode) == 0o600
        assert path.read_text() == OLD + "\n"


def test_without_a_new_key_nothing_changes(path: Path) -> None:
    before = path.stat().st_mtime_ns
    with about_to_change(path):
        pass
    assert (path.read_text(), path.stat().st_mtime_ns) == (OLD + "\n", before)
    assert names(path) == ["api.key"]


def test_a_chain_of_links_is_followed_once_and_kept(path: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("kept/api.key")
    (tmp_path / "outer").symlink_to(tmp_path / "link")
    with about_to_change(tmp_path / "outer") as new_file:
        new_file.put(NEW)
    assert path.read_text() == NEW + "\n"
    assert (tmp_path / "outer").is_symlink()
    assert (tmp_path / "link").is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mends somebody's file")
def test_a_file_keeps_its_owner(path: Path) -> None:
    os.chown(path, 12345, -1)
    with about_to_change(path) as new_file:
        new_file.put(NEW)
    assert path.stat().st_uid == 12345


def large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 20)


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_dead_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def a_circle(path: Path) -> None:
    path.unlink()
    path.symlink_to("api.key")


@pytest.mark.parametrize("spoil", [Path.unlink, large, a_pipe, a_dead_link, a_circle])
def test_what_cannot_be_replaced_is_told_before_anything(path: Path, spoil) -> None:
    spoil(path)
    before = names(path)
    with pytest.raises(KeyProblem, match="Nothing was asked of the server"), about_to_change(path):
        pytest.fail("it would have been asked")
    assert names(path) == before


def test_a_draft_that_takes_nothing_is_replaced_by_a_refuge(path: Path, tmp_path: Path) -> None:
    refuge = tmp_path / "state" / "enricher"
    with about_to_change(path, [tmp_path / "kept" / "api.key", refuge]) as new_file:
        os.close(draft_of(path))
        with pytest.raises(KeyProblem) as caught:
            new_file.put(NEW)
    (kept,) = refuge.iterdir()
    assert f"The new key stands in {kept}" in caught.value.message
    assert kept.read_text() == NEW + "\n"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert NEW not in str(caught.value)
    assert path.read_text() == OLD + "\n"


def test_a_draft_that_cannot_take_its_place_stays(path: Path) -> None:
    with about_to_change(path) as new_file:
        path.unlink()
        path.mkdir()
        with pytest.raises(KeyProblem) as caught:
            new_file.put(NEW)
    (kept,) = path.parent.glob("api.key.new-*")
    assert str(kept) in caught.value.message
    assert kept.read_text() == NEW + "\n"
