import logging

import pytest

import diffplan.data.progress as progress
from diffplan.data.progress import TaskProgress


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_without_a_terminal_there_is_a_line_every_thirty_seconds_with_the_time_left(clock, caplog):
    with caplog.at_level(logging.INFO), TaskProgress("Playing", 1000) as shown:
        for clock[0] in (10.0, 20.0, 40.0, 50.0, 70.0):
            shown.advance(100)
    assert caplog.messages == ["Playing: 300 of 1,000 rows, 0:01:33 left", "Playing: 500 of 1,000 rows, 0:01:10 left"]


def test_what_an_earlier_process_did_does_not_count_as_speed(clock, caplog):
    with caplog.at_level(logging.INFO), TaskProgress("file.hdf5", None, "bytes") as shown:
        shown.restart(2000, 1000)
        clock[0] = 50.0
        shown.advance(500)
    assert caplog.messages == ["file.hdf5: 1,500 of 2,000 bytes, 0:00:50 left"]


def test_a_total_that_nobody_knows_is_left_out(clock, caplog):
    with caplog.at_level(logging.INFO), TaskProgress("file.hdf5", None, "bytes") as shown:
        clock[0] = 50.0
        shown.advance(500)
    assert caplog.messages == ["file.hdf5: 500 bytes"]


def test_on_a_terminal_there_is_a_bar_and_no_line(clock, caplog, capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes any stream for a terminal.
    with caplog.at_level(logging.INFO), TaskProgress("Playing", 1000) as shown:
        clock[0] = 50.0
        shown.advance(500)
    captured = capfd.readouterr()
    assert (captured.out, caplog.messages) == ("", [])
    assert "Playing" in captured.err


def test_hidden_progress_shows_nothing(clock, caplog, capfd):
    with caplog.at_level(logging.INFO), TaskProgress("Playing", 1000, visible=False) as shown:
        clock[0] = 50.0
        shown.advance(500)
    assert (capfd.readouterr(), caplog.messages) == (("", ""), [])
