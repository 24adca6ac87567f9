"""A training that is killed at any moment and typed again leaves what one leaves that never was."""

import random
import time

import pytest
from kill_points import kill, kill_words, left_behind, resume, type_words

# Moments at which something was lost once: around a checkpoint, at the end of the loggers, before the result.
_IN_THE_GATE = [
    ("maze_run", ("os.rename last.ckpt", 2)),
    ("maze_run", ("os.rename results.json", 1)),
    ("hopper_run", ("os.rename critic.ckpt", 2)),
]
_MAKERS = {
    "generate": ("maze2d-umaze-v1", "--rows", "2000"),
    "collect": (
        *("hopper-medium-v2", "--rows", "300", "--train-steps", "150", "--medium-score", "-100", "--hidden-width", "8"),
        *("--batch-size", "4", "--learning-starts", "20", "--evaluate-every", "50", "--evaluation-episodes", "1"),
    ),
}


def _differences(server, inputs, name, place, chosen):
    """Kills, resumes and compares; returns what differs."""
    run = getattr(inputs, name)
    kill(server, inputs, run, place, chosen)
    mine, expected = left_behind(resume(server, inputs, run, place)), left_behind(run)
    differences = [key for key in expected if mine[key] != expected[key]]
    # Nothing large lies in the folder for temporary files, and nothing half-written beside its target.
    sizes = [path.stat().st_size for path in (place / "temporary").rglob("*") if path.is_file()]
    return differences + ["temporary files"] * (sum(sizes) > 100_000)


@pytest.mark.parametrize(("name", "chosen"), _IN_THE_GATE)
def test_a_kill_at_a_file_event_changes_nothing(server, inputs, tmp_path, name, chosen):
    assert _differences(server, inputs, name, tmp_path, chosen) == []


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", ["maze_run", "hopper_run"])
def test_a_kill_at_every_file_event_changes_nothing(server, inputs, tmp_path, name):
    _, events = kill(server, inputs, getattr(inputs, name), tmp_path / "all", ("any", 0))
    wrong = {}
    for number, event in enumerate(events, start=1):
        if found := _differences(server, inputs, name, tmp_path / str(number), ("any", number)):
            wrong[f"{number} {event}"] = found
    assert len(events) > 30
    assert wrong == {}


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_hundred_kills_at_random_times_change_nothing(server, inputs, tmp_path):
    seed = time.time_ns()
    generator, started = random.Random(seed), time.monotonic()
    kill(server, inputs, inputs.hopper_run, tmp_path / "whole", ("any", 0))
    longest, wrong = time.monotonic() - started, {}
    for number in range(100):
        seconds = generator.uniform(0.0, longest)
        if found := _differences(server, inputs, "hopper_run", tmp_path / str(number), ("seconds", seconds)):
            wrong[seconds] = found
    assert wrong == {}, seed


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("verb", sorted(_MAKERS))
def test_data_whose_making_is_killed_at_any_file_event_ends_as_the_same_file(server, tmp_path, verb):
    def words(place):
        return ["data", verb, *_MAKERS[verb], "--data-dir", str(place / "runs")]

    def made(place):
        files = {path.relative_to(place) for path in (place / "runs").rglob("*") if path.is_file()}
        return files, [(place / file).read_bytes() for file in sorted(files) if file.suffix == ".hdf5"]

    whole = tmp_path / "whole"
    events, wrong = kill_words(server, words(whole), whole, ("any", 0)), {}
    for number, event in enumerate(events, start=1):
        place = tmp_path / str(number)
        kill_words(server, words(place), place, ("any", number))
        if type_words(server, words(place), place) != 0 or made(place) != made(whole):
            wrong[f"{number} {event}"] = (place / "log" / "stderr").read_text()[-300:]
    assert len(events) > 3
    assert wrong == {}
