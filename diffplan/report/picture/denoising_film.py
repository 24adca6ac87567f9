"""A denoising chain as a moving picture."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from diffplan.env.maze2d.maze_layout import MazeLayout
from diffplan.errors import ConfigError
from diffplan.report.picture.plan_gallery import plan_gallery

Chain = Float[np.ndarray, "frame plan row position"]

_COLOURS = 128


def denoising_frames(
    layout: MazeLayout, chains: Mapping[str, Chain], captions: Sequence[str], dpi: int = 80
) -> UInt8[np.ndarray, "frame height width 3"]:
    """Draws chains side by side, one frame a step.

    Args:
        layout: The maze.
        chains: Plans after each step, by title; positions first in a row, in metres. All are of one length.
        captions: What is written above each frame.
        dpi: Pixels an inch; a panel is 2.5 inches wide.

    Raises:
        ConfigError: there is nothing to draw, or chains and captions differ in length.
    """
    if not chains or any(len(chain) != len(captions) for chain in chains.values()) or not captions:
        lengths = [len(chain) for chain in chains.values()]
        raise ConfigError(f"Chains and captions must be of one length, at least 1; got {lengths} and {len(captions)}.")
    frames = []
    for index, caption in enumerate(captions):
        panels = {title: chain[index] for title, chain in chains.items()}
        figure = plan_gallery(layout, panels, columns=len(panels), legend=False)
        figure.set_dpi(dpi)
        # Room above the caption, in inches.
        figure.set_layout_engine("constrained", h_pad=0.08)
        figure.suptitle(caption, fontsize=10, family="monospace")
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        frames.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    return np.stack(frames)


def gif_bytes(
    frames: UInt8[np.ndarray, "frame height width 3"], fps: float | int, hold_seconds: float | int = 2.0
) -> bytes:
    """Writes an endless GIF.

    Args:
        frames: RGB pictures.
        fps: Pictures a second.
        hold_seconds: How long the last picture stays.

    Raises:
        ConfigError: there is no picture, or the rate is not positive.
    """
    if len(frames) == 0 or not fps > 0:
        raise ConfigError(f"A GIF needs pictures and a rate above 0; got {len(frames)} and {fps}.")
    # One palette for all pictures, so that what stands still costs nothing.
    palette = Image.fromarray(np.concatenate([frames[0], frames[-1]])).quantize(_COLOURS)
    pictures = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = [round(1000 / fps)] * (len(frames) - 1) + [round(1000 * hold_seconds)]
    written = io.BytesIO()
    first, *others = pictures
    first.save(written, "GIF", save_all=True, append_images=others, duration=durations, loop=0, optimize=True)
    return written.getvalue()
