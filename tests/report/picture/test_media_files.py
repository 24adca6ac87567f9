import re
import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from diffplan.errors import ConfigError
from diffplan.report.picture import media_files
from diffplan.report.picture.media_files import tile_videos, video_bytes, write_figure, write_video


def decoded(path):
    """Size, pictures per second and every picture, by ffmpeg itself."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(path)]
    output = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True)
    found = re.search(r"yuv420p.*?, (\d+)x(\d+).*?, ([\d.]+) fps", output.stderr.decode())
    width, height = int(found.group(1)), int(found.group(2))
    frames = np.frombuffer(output.stdout, np.uint8).reshape(-1, height, width, 3)
    return (width, height), float(found.group(3)), frames


def brightening(frames, height=32, width=48):
    levels = np.linspace(0, 255, frames).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (frames, height, width, 3)).copy()


def test_every_frame_decodes_back_in_order_at_the_given_rate(tmp_path):
    video = brightening(17)
    write_video(video, tmp_path / "media" / "v.mp4", fps=12.5)
    _, fps, frames = decoded(tmp_path / "media" / "v.mp4")
    assert len(frames) == 17
    assert fps == 12.5
    assert [frame.mean() for frame in frames] == pytest.approx(video.mean(axis=(1, 2, 3)), abs=4)  # lossy codec
    assert [entry.name for entry in (tmp_path / "media").iterdir()] == ["v.mp4"]


def test_the_format_is_one_that_browsers_play(tmp_path):
    write_video(brightening(3), tmp_path / "v.mp4", fps=10)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(tmp_path / "v.mp4")]
    report = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert "h264" in report
    assert "yuv420p" in report
    content = (tmp_path / "v.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_odd_sides_are_padded_not_scaled(tmp_path):
    write_video(brightening(2, height=33, width=47), tmp_path / "v.mp4", fps=10)
    assert decoded(tmp_path / "v.mp4")[0] == (48, 34)


def test_a_video_of_one_frame_is_a_video(tmp_path):
    write_video(brightening(1), tmp_path / "v.mp4", fps=10)
    assert len(decoded(tmp_path / "v.mp4")[2]) == 1


@pytest.mark.parametrize(("frames", "fps", "message"), [(0, 10, "at least one frame"), (2, 0, "above 0, got 0")])
def test_what_cannot_be_a_video_is_refused(tmp_path, frames, fps, message):
    with pytest.raises(ConfigError, match=message):
        write_video(brightening(frames), tmp_path / "v.mp4", fps=fps)
    assert list(tmp_path.iterdir()) == []


def test_bytes_are_what_the_file_would_hold(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    write_video(frames, tmp_path / "video.mp4", fps=10)
    assert video_bytes(frames, fps=10) == (tmp_path / "video.mp4").read_bytes()


def test_tiles_keep_their_pictures_and_short_episodes_hold_their_last_one():
    long, short = brightening(5), brightening(2)
    third = np.full((3, 32, 48, 3), 77, np.uint8)
    tiled = tile_videos([long, short, third])
    assert tiled.shape == (5, 2 * 32 + 4, 2 * 48 + 4, 3)
    assert (tiled[:, :32, :48] == long).all()
    assert (tiled[0, :32, 52:] == short[0]).all()
    assert (tiled[4, :32, 52:] == short[1]).all()
    assert (tiled[:, 36:, :48] == 77).all()
    assert (tiled[:, 36:, 52:] == 255).all()


def test_tiles_of_different_size_are_refused():
    with pytest.raises(ConfigError, match="one picture size"):
        tile_videos([brightening(2), brightening(2, height=30)])


def test_a_figure_becomes_a_png_of_its_size(tmp_path):
    write_figure(Figure(figsize=(3, 2), dpi=50), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert (image.format, image.size) == ("PNG", (150, 100))


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(media_files.FigureCanvasAgg, "print_png", full)
    with pytest.raises(OSError, match="no space left"):
        write_figure(Figure(), path)
    assert path.read_bytes() == b"old"
