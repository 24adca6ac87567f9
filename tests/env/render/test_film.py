import gymnasium
import numpy as np
import pytest

from diffplan.env.render import Film


class StepPicture(gymnasium.Env):
    """Draws how many steps it has taken."""

    steps = 0

    def render(self):
        return np.full((4, 4, 3), self.steps % 256, dtype=np.uint8)


def filmed(lengths, limit):
    envs = [StepPicture() for _ in lengths]
    film = Film(envs, range(len(envs)), limit)
    for step in range(1, max(lengths) + 1):
        for index, length in enumerate(lengths):
            if step <= length:
                envs[index].steps = step
                film.take(index, step, ended=step == length)
    return film


@pytest.mark.parametrize("limit", [1, 150, 151, 300, 301, 800, 1000])
def test_no_episode_has_more_than_about_150_pictures(limit):
    film = filmed([limit], limit)
    assert min(limit, 75) < len(film.frames()[0]) <= 152


def test_a_short_episode_has_more_pictures_a_step_than_a_long_one():
    assert filmed([80], 1000).interval == 4
    assert filmed([1000], 1000).interval == 8


def test_pictures_are_evenly_spaced_up_to_the_last_state():
    film = filmed([1000, 30], 1000)
    assert film.interval == 8
    assert film.frames()[0][:, 0, 0, 0].tolist() == [step % 256 for step in range(0, 1001, 8)]
    assert film.frames()[1][:, 0, 0, 0].tolist() == [0, 8, 16, 24, 30]


class NeedsALibrary(StepPicture):
    def render(self):
        raise gymnasium.error.DependencyNotInstalled("pygame is not installed")


class DrawsNothing(StepPicture):
    def render(self):
        return super(StepPicture, self).render()


@pytest.mark.parametrize(
    ("kind", "reason"), [(NeedsALibrary, "pygame is not installed"), (DrawsNothing, "the environment draws nothing")]
)
def test_an_environment_that_cannot_be_drawn_is_played_without_pictures(kind, reason, caplog):
    film = Film([kind()], [0], limit=10)
    film.take(0, 1, ended=True)
    assert film.frames() == {}
    assert reason in caplog.text
