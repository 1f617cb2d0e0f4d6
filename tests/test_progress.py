"""Progress in a log: how far, how fast, and how long still."""

from types import SimpleNamespace

import pytest

from mrlbench import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand, and no terminal."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    monkeypatch.setattr(progress, "quiet", False)
    return now


def test_the_time_left_is_that_of_the_mean_so_far(clock, capsys):
    with progress.task("embed", 100, "rows") as work:
        clock.seconds = 40
        work.advance(20, "mine")
    assert capsys.readouterr().err == "embed: 20 of 100 rows mine (2 s each, 40 s, 160 s left)\n"


def test_what_was_done_before_tells_nothing_of_the_time_left(clock, capsys):
    with progress.task("search grid", 100, "searches") as work:
        work.skip(50)
        clock.seconds = 40
        work.advance(10)
    assert "60 of 100 searches" in (line := capsys.readouterr().err)
    assert "(4 s each, 40 s, 160 s left)" in line
