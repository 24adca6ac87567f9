import pytest
from PIL import Image

from diffplan.report.picture.scheduler_picture import draw_schedulers
from tests.report.table.test_scheduler_table import CELLS


def test_the_picture_shows_every_scheduler_in_its_own_colour(tmp_path):
    draw_schedulers(CELLS, tmp_path / "guide.png", "maze")
    with Image.open(tmp_path / "guide.png") as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20)}
        assert image.width > image.height
    # The lines are a little transparent, so their colours are mixed with white.
    assert any(r < 100 and b > 180 for r, _, b in colours)
    assert any(r > 200 and b < 110 for r, _, b in colours)


@pytest.mark.parametrize("quality", [{}, {"plan_value": 3.0}, {"through_walls": 0.1, "tracking_error": 0.2}])
def test_it_is_drawn_with_any_measures_of_quality(quality, tmp_path):
    cells = [cell.model_copy(update={"quality": quality}) for cell in CELLS]
    draw_schedulers(cells, tmp_path / "guide.png", "any")
    assert (tmp_path / "guide.png").stat().st_size > 10_000
