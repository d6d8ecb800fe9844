"""One rate limit for all of a user's jobs on a machine, or on many."""

import signal

import pytest

from tests.acceptance.desk import COMPANIES, Desk, cells, until
from tests.support.redis_server import needs_redis, redis_server


def run(name: str) -> tuple[str, ...]:
    return ("run", f"{name}.csv", "--grid", COMPANIES.id, "--rate", "5")


def leads(desk: Desk, name: str, rows: int) -> None:
    lines = [f"{name} {n},{name}{n}.example" for n in range(rows)]
    desk.write(f"{name}.csv", ["Company Name,Website", *lines])


def test_jobs_one_after_another_never_exceed_the_limit_and_wait_for_no_blind_second(
    new_desk,
) -> None:
    desk = new_desk(rate=5.0)
    for name in ("a", "b", "c", "d"):
        leads(desk, name, 2)
    told = [desk.do(*run(name), "--json").json for name in ("a", "b", "c", "d")]
    assert [one["requests"]["rate_limited"] for one in told] == [0] * 4
    first, *later = (one["seconds"] for one in told)
    assert min(later) < first, "the first one waits, since nobody knows what was sent before"


def test_jobs_at_the_same_time_and_one_that_is_killed(new_desk) -> None:
    desk = new_desk(rate=5.0)
    leads(desk, "a", 6)
    leads(desk, "b", 6)
    killed, other = desk.start(*run("a")), desk.start(*run("b"), "--json")
    until(lambda: len(desk.bought) >= 4, "four submissions")
    killed.process.send_signal(signal.SIGKILL)
    again = desk.start(*run("a"), "--json", "--in-doubt", "retry")
    ends = [other.end(0), again.end(0)]
    assert sum(one.json["requests"]["rate_limited"] for one in ends) <= 1, "a late timer may be one"
    assert "keep one rate limit together" in "".join(one.err for one in ends)


def test_a_broken_limiter_file_stops_nobody(desk: Desk) -> None:
    leads(desk, "a", 2)
    desk.do(*run("a"))
    (file,) = (desk.state / "enricher/limits").glob("*.db")
    assert file.stat().st_mode & 0o077 == 0
    file.write_bytes(b"no database at all, and longer than a header of one is" * 100)
    leads(desk, "b", 2)
    said = desk.do(*run("b"))
    assert "cannot be used" in said.err
    assert "keeps a limit of its own" in said.err
    assert len(cells(desk.folder / "b.enriched.csv").rows) == 2


def test_local_leaves_no_file(desk: Desk) -> None:
    leads(desk, "a", 2)
    desk.do(*run("a"), "--limiter", "local")
    assert list(desk.state.rglob("*.db")) == []


@pytest.mark.parametrize(
    ("limiter", "word"),
    [
        ("everyone", "is not `local`, `host`, or an address"),
        ("redis://:secret@127.0.0.1/0", "REDIS_PASSWORD"),
        ("http://127.0.0.1", "is not `local`, `host`, or an address"),
    ],
)
def test_no_such_limiter(desk: Desk, limiter, word) -> None:
    leads(desk, "a", 2)
    said = desk.do(*run("a"), "--limiter", limiter, exits=2)
    assert word in said.err
    assert "secret" not in said.err


def test_without_its_server_nothing_is_sent(desk: Desk) -> None:
    pytest.importorskip("redis")
    leads(desk, "a", 2)
    gone = ("--limiter", "redis://127.0.0.1:1/0", "--max-outage", "1s")
    said = desk.do(*run("a"), *gone, exits=4)
    assert "nothing is sent without it" in said.err
    assert desk.requests == 0


@needs_redis
def test_hosts_keep_one_limit_through_a_server(new_desk) -> None:
    pytest.importorskip("redis")
    desk = new_desk(rate=5.0)
    leads(desk, "a", 4)
    leads(desk, "b", 4)
    with redis_server() as server:
        lives = [desk.start(*run(n), "--limiter", server.url, "--json") for n in ("a", "b")]
        ends = [life.end(0) for life in lives]
    assert sum(one.json["requests"]["rate_limited"] for one in ends) <= 1
    assert all("keep one rate limit together" in one.err for one in ends)


@needs_redis
def test_a_server_that_goes_in_mid_job_leaves_the_job_resumable(new_desk) -> None:
    pytest.importorskip("redis")
    desk = new_desk(rate=5.0)
    leads(desk, "a", 12)
    with redis_server() as server:
        options = ("--limiter", server.url, "--max-outage", "2s")
        life = desk.start(*run("a"), *options)
        until(lambda: len(desk.bought) >= 3, "three submissions")
        server.stop()
        said = life.end(4)
        assert "it was away for too long" in said.err
        server.start()
        desk.do(*run("a"), *options)
    assert len(desk.bought) == 12, "nothing was paid twice"
