import io

import numpy as np
import pytest
from PIL import Image

from diffplan.env.maze2d.maze_layout import MazeLayout
from diffplan.errors import ConfigError
from diffplan.report.picture.denoising_film import denoising_frames, gif_bytes

MAZE = MazeLayout.named("umaze")
CHAIN = np.random.default_rng(0).uniform(0.8, 1.2, (3, 2, 6, 4))


def test_there_is_a_frame_a_step_and_a_panel_a_chain():
    one = denoising_frames(MAZE, {"sample": CHAIN}, ["1", "2", "3"], dpi=40)
    two = denoising_frames(MAZE, {"sample": CHAIN, "guess": CHAIN}, ["1", "2", "3"], dpi=40)
    assert one.shape == (3, *one.shape[1:3], 3)
    assert two.shape == (3, one.shape[1], 2 * one.shape[2], 3)
    assert (one[0] != one[1]).any()


@pytest.mark.parametrize(("chains", "captions"), [({}, ["a"]), ({"x": CHAIN}, ["a", "b"]), ({"x": CHAIN[:0]}, [])])
def test_chains_and_captions_that_do_not_fit_are_refused(chains, captions):
    with pytest.raises(ConfigError, match="must be of one length"):
        denoising_frames(MAZE, chains, captions)


def test_a_gif_plays_endlessly_at_the_rate_and_holds_its_last_picture():
    frames = np.random.default_rng(0).integers(0, 256, (3, 16, 24, 3), dtype=np.uint8)
    film = Image.open(io.BytesIO(gif_bytes(frames, fps=10, hold_seconds=1.5)))
    durations = []
    for index in range(film.n_frames):
        film.seek(index)
        durations.append(film.info["duration"])
    assert (film.size, durations, film.info["loop"]) == ((24, 16), [100, 100, 1500], 0)


@pytest.mark.parametrize(("count", "fps"), [(0, 10), (2, 0)])
def test_a_gif_without_pictures_or_rate_is_refused(count, fps):
    with pytest.raises(ConfigError, match="needs pictures and a rate above 0"):
        gif_bytes(np.zeros((count, 4, 4, 3), dtype=np.uint8), fps)
