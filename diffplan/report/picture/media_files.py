"""Pictures and films as PNG, GIF and mp4 files that every browser shows."""

import io
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from jaxtyping import UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from diffplan.errors import ConfigError
from diffplan.files import new_file, write_atomically

_GAP, _WHITE, _COLOURS = 4, 255, 128


def write_figure(figure: Figure, path: Path) -> None:
    """Writes a figure as a PNG file, in one piece and without a display."""
    png = io.BytesIO()
    FigureCanvasAgg(figure).print_png(png)
    write_atomically(path, png.getvalue())


def write_video(frames: UInt8[np.ndarray, "frame height width 3"], path: Path, fps: float | int) -> None:
    """Writes an mp4 file (H.264, yuv420p), in one piece.

    Args:
        frames: RGB pictures; odd sides are padded by one row or column, which the format asks for.
        path: File to write.
        fps: Pictures per second.

    Raises:
        ConfigError: there is no picture, or the rate is not positive.
    """
    if len(frames) == 0:
        raise ConfigError("A video must have at least one frame, got none.")
    if not fps > 0:
        raise ConfigError(f"A video's frame rate must be above 0, got {fps}.")
    height, width = frames.shape[1:3]
    frames = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    with new_file(path) as file:
        _encode(frames, file.name, fps)


def video_bytes(frames: UInt8[np.ndarray, "frame height width 3"], fps: float | int) -> bytes:
    """Returns the content of the file that ``write_video`` writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        write_video(frames, path, fps)
        return path.read_bytes()


def tile_videos(
    videos: Sequence[UInt8[np.ndarray, "_ height width 3"]], columns: int | None = None
) -> UInt8[np.ndarray, "frame tiled_height tiled_width 3"]:
    """Puts several episodes beside each other; one that ends early keeps showing its last picture.

    Args:
        videos: One video per episode, all of one picture size.
        columns: Episodes side by side; None makes the grid about square.

    Returns:
        One video as long as the longest, with a thin white gap between the tiles.

    Raises:
        ConfigError: there is no video, an empty one, or they differ in picture size.
    """
    if not videos or min(len(video) for video in videos) == 0:
        raise ConfigError("There must be at least one video and none may be empty.")
    sizes = {video.shape[1:3] for video in videos}
    if len(sizes) > 1:
        raise ConfigError(f"Videos to tile must have one picture size, got {sorted(sizes)}.")
    ((height, width),) = sizes
    columns = min(columns or math.ceil(math.sqrt(len(videos))), len(videos))
    rows = -(-len(videos) // columns)
    length = max(len(video) for video in videos)
    shape = (length, rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3)
    tiled = np.full(shape, _WHITE, dtype=np.uint8)
    for index, video in enumerate(videos):
        top, left = (index // columns) * (height + _GAP), (index % columns) * (width + _GAP)
        held = np.minimum(np.arange(length), len(video) - 1)
        tiled[:, top : top + height, left : left + width] = video[held]
    return tiled


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


def _encode(frames: UInt8[np.ndarray, "frame height width 3"], path: str, fps: float | int) -> None:
    height, width = frames.shape[1:3]
    writer = imageio_ffmpeg.write_frames(
        path,
        (width, height),
        fps=fps,
        codec="libx264",
        pix_fmt_in="rgb24",
        pix_fmt_out="yuv420p",
        quality=None,
        macro_block_size=2,
        # Pictures of a maze are flat; 23 is libx264's own default and shows no artefacts here. The index goes to the
        # front, so a browser can start before the whole file is there.
        output_params=["-crf", "23", "-preset", "veryfast", "-movflags", "+faststart", "-threads", "1", "-f", "mp4"],
        ffmpeg_log_level="error",
    )
    writer.send(None)
    try:
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
    finally:
        writer.close()
