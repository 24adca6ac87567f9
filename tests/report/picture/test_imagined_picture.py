from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from diffplan.env.render import StateRenderer
from diffplan.env.rollout import Rollout
from diffplan.env.watched_planner import ImaginedMoment
from diffplan.report.picture.imagined_picture import imagined_figure, observations_that_followed
from diffplan.report.picture.media_files import write_figure

STANDING = np.array([1.25, *np.zeros(10)])


def standing_rollout(length=20):
    """A hopper that stands still until the step ``length``."""
    observations = np.tile(STANDING, (1, length + 1, 1))
    observations[0, :, 10] = np.arange(length + 1)
    return Rollout(
        env_id="hopper-medium-v2",
        protocol="single_task",
        seeds=(4,),
        starts=observations[:, 0].copy(),
        targets=None,
        observations=observations,
        actions=np.zeros((1, length, 3)),
        rewards=np.ones((1, length)),
        reached=np.zeros((1, length), dtype=bool),
        lengths=np.array([length]),
        terminated=np.array([True]),
        truncated=np.array([False]),
        plans=None,
        planning_seconds=0.1,
        num_decisions=1,
    )


def moment(step, rows):
    return ImaginedMoment(0, step, np.tile(STANDING, (rows, 1)))


def test_what_followed_begins_with_the_decision_and_ends_with_the_episode():
    followed = observations_that_followed(standing_rollout(20), moment(18, 5))
    assert followed[:, 10].tolist()[:3] == [18, 19, 20]
    assert np.isnan(followed[3:]).all()


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def over(picture):
    """How much of a picture is the light ground that stands for steps after the end."""
    return (np.abs(picture - np.array([240, 240, 236])) <= 2).all(axis=-1).mean()


@pytest.mark.slow
def test_two_rows_a_decision_and_blanks_after_the_end(tmp_path):
    rollout = standing_rollout(20)
    pictures = {}
    with closing(StateRenderer("hopper-medium-v2")) as renderer:
        for name, moments in {"early": [moment(2, 16)], "late": [moment(12, 16)], "both": [moment(2, 16)] * 2}.items():
            write_figure(imagined_figure(renderer, rollout, moments), tmp_path / f"{name}.png")
            pictures[name] = pixels(tmp_path / f"{name}.png")
    assert pictures["both"].shape[0] > 1.8 * pictures["early"].shape[0]
    assert pictures["both"].shape[1] == pictures["early"].shape[1]
    # Shown are the rows 0, 2, 4, ... of 16, of which those after row 8 lie behind the end.
    assert over(pictures["early"]) < 0.01
    assert 0.1 < over(pictures["late"]) < 0.3


@pytest.mark.slow
def test_a_short_plan_has_as_many_columns_as_rows(tmp_path):
    with closing(StateRenderer("hopper-medium-v2")) as renderer:
        for rows in (4, 8):
            write_figure(imagined_figure(renderer, standing_rollout(), [moment(0, rows)]), tmp_path / f"{rows}.png")
    narrow, wide = (pixels(tmp_path / f"{rows}.png") for rows in (4, 8))
    assert 1.5 < wide.shape[1] / narrow.shape[1] < 2
