import sys
import threading

import numpy as np
import pytest
from filelock import FileLock
from rich.console import Console
from rich.progress import Progress

from diffplan.data.collect.sac_settings import SacSettings
from diffplan.data.collect.sac_training import SacTraining
from diffplan.errors import DataError

SETTINGS = SacSettings(
    "hopper-medium-v2",
    hidden_width=8,
    batch_size=4,
    learning_starts=20,
    evaluate_every=60,
    evaluation_episodes=2,
)


class Interrupted(Progress):
    """Stops the training, as Ctrl-C does, after so many steps."""

    def __init__(self, num_steps: int) -> None:
        super().__init__(disable=True)
        self.num_steps = num_steps

    def advance(self, task_id, advance=1):
        self.num_steps -= 1
        if self.num_steps == 0:
            raise KeyboardInterrupt


def quiet() -> Progress:
    return Progress(console=Console(quiet=True), disable=True)


def training(folder, settings=SETTINGS) -> SacTraining:
    return SacTraining(settings, folder)


def never(milestone) -> bool:
    return False


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A training of 180 steps without a break."""
    done = training(tmp_path_factory.mktemp("straight"))
    done.run(never, 180, quiet())
    return done


def assert_same(first: SacTraining, second: SacTraining):
    assert first.archive.milestones == second.archive.milestones
    last = first.archive.milestones[-1]
    rows, others = first.archive.rows(last), second.archive.rows(last)
    for key in rows:
        np.testing.assert_array_equal(rows[key], others[key])
    for name, weights in first.archive.policy(last).weights.items():
        np.testing.assert_array_equal(weights, second.archive.policy(last).weights[name])


def test_milestones_fall_on_ends_of_episodes(straight):
    milestones = straight.archive.milestones
    assert [milestone.step // 60 for milestone in milestones] == [1, 2, 3]
    for milestone in milestones:
        rows = straight.archive.rows(milestone)
        ends = rows["terminals"] | rows["timeouts"]
        assert len(ends) == milestone.step
        assert ends[-1]
        assert ends.sum() == milestone.episode


def test_a_training_stopped_between_milestones_ends_as_if_it_had_not_been(straight, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        training(tmp_path).run(never, 180, Interrupted(110))
    resumed = training(tmp_path)
    assert len(resumed.archive.milestones) == 1
    resumed.run(never, 180, quiet())
    assert_same(resumed, straight)


def test_a_longer_training_continues_a_shorter_one(straight, tmp_path):
    first = training(tmp_path).run(never, 60, quiet())
    assert first == straight.archive.milestones[0]
    longer = training(tmp_path)
    longer.run(never, 180, quiet())
    assert_same(longer, straight)


def test_the_first_milestone_that_is_enough_ends_it(straight, tmp_path):
    found = training(tmp_path).run(lambda milestone: milestone.step >= 100, 10_000, quiet())
    assert found == straight.archive.milestones[1]


def test_what_is_in_the_archive_needs_no_library(straight, monkeypatch):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    again = training(straight.archive.folder)
    assert again.run(never, 100, quiet()) == straight.archive.milestones[1]


def test_another_seed_gives_another_training(straight, tmp_path):
    other = training(tmp_path, SacSettings(**{**SETTINGS.values(), "seed": 1}))
    other.run(never, 60, quiet())
    assert other.archive.milestones[0] != straight.archive.milestones[0]


def test_a_second_process_waits_and_takes_over_what_the_first_did(straight, tmp_path):
    waiting = training(tmp_path)
    console = Console(record=True, quiet=True, width=300)
    with FileLock(tmp_path / ".lock"):
        thread = threading.Thread(target=waiting.run, args=(never, 60, Progress(console=console, disable=True)))
        thread.start()
        thread.join(timeout=0.3)
        assert thread.is_alive()
        for path in straight.archive.folder.iterdir():
            if not path.name.startswith("."):
                (tmp_path / path.name).write_bytes(path.read_bytes())
    thread.join(timeout=60)
    assert waiting.archive.milestones == straight.archive.milestones


def test_a_folder_that_cannot_be_made_gives_one_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="cannot be written: Not a directory"):
        training(tmp_path / "file" / "below").run(never, 60, quiet())
