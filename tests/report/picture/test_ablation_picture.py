import io

import numpy as np
import pytest
from PIL import Image

from diffplan.errors import ConfigError
from diffplan.report.picture import ablation_picture
from diffplan.report.picture.ablation_picture import draw_ablation
from diffplan.report.table.ablation import Ablation
from tests.report.conftest import make_episodes, stored

SCHEDULERS = ("diffusers.DDPMScheduler", "diffusers.DDIMScheduler")


def ablation(values, key="guide.scale", seeds=(0, 1), gflop=lambda value: 1.0):
    results = [
        stored(
            seed=seed,
            settings={key: value},
            ablation=f"{key}={value}",
            protocols={"single_task": make_episodes([10.0 * seed, 50.0], gflop=gflop(value))},
        )
        for value in values
        for seed in seeds
    ]
    return Ablation.of(results, "single_task")


def grid():
    results = [
        stored(settings={"sampler.num_inference_steps": steps, "scheduler._target_": name}, ablation=f"{steps}{name}")
        for steps in (2, 5, 10)
        for name in SCHEDULERS
    ]
    return Ablation.of(results, "single_task")


@pytest.fixture
def figures(monkeypatch):
    """The figures that were drawn, beside their files."""
    drawn = []

    class Kept(ablation_picture.Figure):
        def savefig(self, *args, **options):
            drawn.append(self)
            return super().savefig(*args, **options)

    monkeypatch.setattr(ablation_picture, "Figure", Kept)
    return drawn


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_ending_chooses_the_kind_of_picture(tmp_path, suffix, start):
    path = tmp_path / "new" / f"scale.{suffix}"
    draw_ablation(ablation([0.1, 1.0]), path)
    assert path.read_bytes().startswith(start)


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"must be a \.png, \.svg or \.pdf file, got 'scale\.gif'"):
        draw_ablation(ablation([0.1, 1.0]), tmp_path / "scale.gif")


@pytest.mark.parametrize(
    ("values", "scale", "labels"),
    [
        ([1, 2, 4], "linear", ["1", "2", "4"]),
        ([0.001, 0.01, 1.0], "log", ["0.001", "0.01", "1.0"]),
        ([0, 0.0001, 1.0], "linear", ["0", "0.0001", "1.0"]),
        ([None, 1, 2], "linear", ["none", "1", "2"]),
        (["epsilon", "sample"], "linear", ["epsilon", "sample"]),
    ],
)
def test_every_value_has_its_place_on_the_axis(tmp_path, figures, values, scale, labels):
    draw_ablation(ablation(values), tmp_path / "a.png")
    (axes,) = figures[0].axes
    assert axes.get_xscale() == scale
    assert [label.get_text() for label in axes.get_xticklabels()] == labels
    assert len(set(axes.get_xticks())) == len(values)


def test_two_settings_become_lines_with_a_legend(tmp_path, figures):
    draw_ablation(grid(), tmp_path / "a.png")
    axes = figures[0].axes[0]
    assert axes.get_xlabel() == "sampler.num_inference_steps"
    legend = axes.get_legend()
    assert legend.get_title().get_text() == "scheduler"
    assert [text.get_text() for text in legend.get_texts()] == ["DDIMScheduler", "DDPMScheduler"]


def test_where_deciding_costs_differently_the_score_is_drawn_against_the_cost(tmp_path, figures):
    draw_ablation(ablation([2, 20], gflop=float), tmp_path / "a.png")
    draw_ablation(ablation([2, 20]), tmp_path / "b.png")
    assert [len(figure.axes) for figure in figures] == [2, 1]
    assert figures[0].axes[1].get_xlabel() == "GFLOP an environment step"


def test_the_picture_says_what_the_data_was(tmp_path, figures):
    data = {"name": "x", "kind": "regenerated", "sha256": "bb", "num_transitions": 9}
    results = [stored(settings={"backbone.dim": dim}, ablation=f"a={dim}", data=data) for dim in (1, 2)]
    draw_ablation(Ablation.of(results, "multi2d"), tmp_path / "a.png")
    assert figures[0].get_suptitle() == "maze2d-umaze-v1, multi2d · regenerated data"


def test_something_is_drawn_and_the_same_again(tmp_path):
    draw_ablation(ablation([1, 2]), tmp_path / "a.png")
    draw_ablation(ablation([1, 2]), tmp_path / "b.png")
    content = (tmp_path / "a.png").read_bytes()
    assert content == (tmp_path / "b.png").read_bytes()
    assert np.asarray(Image.open(io.BytesIO(content)).convert("L")).std() > 5
