import json
from dataclasses import replace

import pytest
import torch

from diffplan.errors import CheckpointError
from diffplan.interop.diffuser_pipeline import DiffuserPipeline
from diffplan.interop.export_folder import exported_pipeline
from diffplan.interop.trajectory_format import TrajectoryFormat
from diffplan.method.conditioning import AbstractConditioning, StartAndGoal
from diffplan.method.critic import ReturnTarget
from diffplan.method.normalizer import AbstractNormalizer, LimitsNormalizer
from diffplan.method.sampler.guided_samplers import UnguidedSampler
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


class CubicNormalizer(AbstractNormalizer):
    """A normaliser of somebody else, with a setting."""

    def __init__(self, transition_dim: int, bound: float) -> None:
        super().__init__(transition_dim)
        self.bound = bound

    def fit(self, transitions):
        raise NotImplementedError


class LastState(AbstractConditioning):
    """A conditioning of somebody else."""

    def rows(self, horizon):
        return [horizon - 1]


class HalfShiftSampler(UnguidedSampler):
    """A sampler of somebody else."""

    def __init__(self, scheduler, num_inference_steps=None, share=1.0):
        super().__init__(scheduler, num_inference_steps)
        self.share = share


OWN = (CubicNormalizer, LastState, HalfShiftSampler)


def own_model(make_model):
    normalizer = CubicNormalizer(6, bound=2.5)
    normalizer.offset.copy_(torch.tensor(OFFSET))
    return replace(make_model(), normalizer=normalizer, conditioning=LastState())


def test_parts_of_one_s_own_are_written_by_stem_and_settings_and_built_from_given_classes(tmp_path, make_model):
    model = own_model(make_model)
    sampler = HalfShiftSampler(model.scheduler, share=0.5)
    TrajectoryFormat.of_model(model, sampler=sampler).save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["format"] == 2
    assert written["normalizer"] == {"part": "cubic_normalizer", "settings": {"bound": 2.5}}
    assert written["conditioning"] == "last_state"
    assert "tests." not in (tmp_path / "config.json").read_text()
    form = TrajectoryFormat.from_pretrained(tmp_path, low_cpu_mem_usage=False, parts=OWN)
    assert type(form.normalizer()) is CubicNormalizer
    assert form.normalizer().bound == 2.5
    assert form.normalizer().offset.tolist() == pytest.approx(OFFSET)
    assert type(form.conditioning) is LastState
    built = form.sampler(None, model.scheduler, 3)
    assert (type(built), built.share, built.num_inference_steps) == (HalfShiftSampler, 0.5, 3)
    # A class that is not given is not built, wherever it lies.
    with pytest.raises(CheckpointError, match="the exported model has the normalizer 'cubic_normalizer'; known are"):
        TrajectoryFormat.from_pretrained(tmp_path, low_cpu_mem_usage=False)


def test_a_whole_pipeline_with_parts_of_one_s_own_plans_after_loading(tmp_path, make_model, make_critic, observations):
    model = own_model(make_model)
    form = TrajectoryFormat.of_model(model, sampler=HalfShiftSampler(model.scheduler))
    exported_pipeline(model, None, form).save_pretrained(tmp_path)
    pipeline = DiffuserPipeline.from_pretrained(tmp_path, parts=OWN)
    plans = pipeline(observations, num_candidates=2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(torch.tensor(plans.observations[:, 0, -1]), observations, atol=1e-5, rtol=0)


def test_an_argument_that_is_not_kept_or_statistics_that_would_be_lost_cannot_be_exported(make_model):
    class Forgetful(LimitsNormalizer):
        def __init__(self, transition_dim: int, bound: float) -> None:
            super().__init__(transition_dim)

    class Skewed(LimitsNormalizer):
        def __init__(self, transition_dim: int) -> None:
            super().__init__(transition_dim)
            self.register_buffer("skew", torch.zeros(transition_dim))

    for normalizer, message in (
        (Forgetful(6, 1.0), "a Forgetful cannot be exported: it must keep its argument 'bound'"),
        (Skewed(6), "a Skewed cannot be exported: it has statistics besides offset and scale: skew"),
    ):
        with pytest.raises(CheckpointError, match=message):
            TrajectoryFormat.of_model(replace(make_model(), normalizer=normalizer))


@pytest.mark.parametrize("name", ["limits", "limits_normalizer"])
def test_names_of_the_first_format_are_understood(name):
    form = TrajectoryFormat(2, 4, 8, conditioning="start_and_goal", normalizer=name)
    assert isinstance(form.normalizer(), LimitsNormalizer)
    assert form.config.format == 1


def test_a_later_format_is_refused():
    with pytest.raises(CheckpointError, match="has format 3, but this version reads formats up to 2"):
        TrajectoryFormat(2, 4, 8, format=3)
