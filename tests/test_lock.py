"""One writer a checkpoint, among real processes."""

import stat
from pathlib import Path

import pytest

from enricher.checkpoint import hold, is_held
from enricher.checkpoint.lock import lock_path
from enricher.errors import CheckpointError, CheckpointInUse
from tests.support.checkpoints import running, said


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return tmp_path / "job.checkpoint.db"


def test_a_second_process_is_told_that_the_checkpoint_is_in_use(checkpoint: Path):
    with running("hold_until_killed", checkpoint) as holder:
        assert said(holder) == "held"
        with pytest.raises(CheckpointInUse) as caught:
            hold(checkpoint)
    assert caught.value.exit_code == 4
    assert str(checkpoint) in caught.value.message
    assert caught.value.mend


def test_a_killed_holder_leaves_the_checkpoint_to_the_next(checkpoint: Path):
    with running("hold_until_killed", checkpoint) as holder:
        assert said(holder) == "held"
        assert is_held(checkpoint)
        holder.kill()
        holder.wait()
        assert not is_held(checkpoint)
        with hold(checkpoint):
            assert is_held(checkpoint)


def test_within_one_process_too_there_is_one_holder_until_it_lets_go(checkpoint: Path):
    with (first := hold(checkpoint)), pytest.raises(CheckpointInUse):
        hold(checkpoint)
    with hold(checkpoint) as second:
        assert second is not first


def test_a_checkpoint_that_nobody_ever_held_is_free_and_looking_makes_no_file(checkpoint: Path):
    assert not is_held(checkpoint)
    assert list(checkpoint.parent.iterdir()) == []


def test_looking_takes_the_lock_from_nobody(checkpoint: Path):
    with running("hold_until_killed", checkpoint) as holder:
        assert said(holder) == "held"
        before = lock_path(checkpoint).stat()
        assert all(is_held(checkpoint) for _ in range(3))
        assert lock_path(checkpoint).stat() == before
        with pytest.raises(CheckpointInUse):
            hold(checkpoint)


def test_looking_changes_nothing_in_the_lock_file(checkpoint: Path):
    lock_path(checkpoint).write_text("left by somebody")
    assert not is_held(checkpoint)
    assert lock_path(checkpoint).read_text() == "left by somebody"


def test_a_job_starts_while_others_look_without_end(checkpoint: Path):
    with hold(checkpoint):
        pass
    with (
        running("look_without_end", checkpoint) as one,
        running("look_without_end", checkpoint) as other,
    ):
        assert said(one) == said(other) == "False"
        for _ in range(300):
            with hold(checkpoint):
                pass


def test_those_who_only_look_do_not_take_each_other_for_a_holder(checkpoint: Path):
    with hold(checkpoint):
        pass
    with running("look_without_end", checkpoint) as other:
        assert said(other) == "False"
        assert not any(is_held(checkpoint) for _ in range(300))


def test_the_lock_file_is_private(checkpoint: Path):
    with hold(checkpoint):
        assert stat.S_IMODE(lock_path(checkpoint).stat().st_mode) == 0o600


def test_a_planted_link_is_not_followed(checkpoint: Path):
    victim = checkpoint.with_name("victim")
    victim.write_text("precious")
    lock_path(checkpoint).symlink_to(victim)
    with pytest.raises(CheckpointError, match="lock file") as caught:
        hold(checkpoint)
    assert caught.value.mend
    assert victim.read_text() == "precious"


def test_a_mistyped_directory_is_not_made(checkpoint: Path):
    with pytest.raises(CheckpointError, match="lock file") as caught:
        hold(checkpoint.parent / "mistyped" / "job.db")
    assert caught.value.mend
    assert list(checkpoint.parent.iterdir()) == []
