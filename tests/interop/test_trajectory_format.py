import pytest
import torch

from diffplan.errors import CheckpointError
from diffplan.interop.trajectory_format import TrajectoryFormat
from diffplan.method.conditioning import StartAndGoal
from diffplan.method.critic import ReturnTarget
from diffplan.method.normalizer import AbstractNormalizer, LimitsNormalizer
from tests.interop.conftest import OFFSET, SCALE


def test_what_is_written_says_all_that_planning_needs(tmp_path, make_model):
    target = ReturnTarget(discount=0.9)
    written = TrajectoryFormat.of_model(make_model(maze=True), target, guide_scale=0.1, task="maze2d-umaze-v1")
    written.save_pretrained(tmp_path)
    form = TrajectoryFormat.from_pretrained(tmp_path, low_cpu_mem_usage=False)
    assert form.offset.tolist() == pytest.approx(OFFSET)
    assert form.scale.tolist() == pytest.approx(SCALE)
    assert isinstance(form.normalizer(), LimitsNormalizer)
    assert isinstance(form.conditioning, StartAndGoal)
    assert (form.layout.action_dim, form.layout.observation_dim) == (2, 4)
    assert (form.config.horizon, form.config.stride, form.config.guide_scale) == (8, 1, 0.1)
    assert form.target == target
    assert not any(path.suffix in (".bin", ".pt", ".pkl") for path in tmp_path.iterdir())


def test_its_normaliser_holds_its_very_statistics():
    form = TrajectoryFormat(1, 1, 8)
    normalizer = form.normalizer()
    form.set_statistics(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    assert normalizer.normalize(torch.tensor([4.0, 10.0])).tolist() == [1.0, 2.0]


def test_what_has_no_name_is_refused(make_model):
    class Odd(AbstractNormalizer):
        def fit(self, transitions):
            raise NotImplementedError

    model = make_model()
    object.__setattr__(model, "normalizer", Odd(6))
    with pytest.raises(CheckpointError, match="a Odd cannot be exported; known are gaussian, limits"):
        TrajectoryFormat.of_model(model)
