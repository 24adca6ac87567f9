import pytest
from matplotlib.figure import Figure
from PIL import Image

from diffplan.report.picture import figure_file
from diffplan.report.picture.figure_file import write_figure


def test_a_figure_becomes_a_png_of_its_size(tmp_path):
    write_figure(Figure(figsize=(3, 2), dpi=50), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert (image.format, image.size) == ("PNG", (150, 100))


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(figure_file.FigureCanvasAgg, "print_png", full)
    with pytest.raises(OSError, match="no space left"):
        write_figure(Figure(), path)
    assert path.read_bytes() == b"old"
