"""The names that parts had in the first checkpoints, and keep where settings are compared or hashed."""

from typing import Any

# By class: where it lay when the first checkpoints and results were written, and where it lies now.
_PLACES = {
    "D4RLSource": ("diffplan.source.d4rl_source", "diffplan.data.source.d4rl_source"),
    "DenoisingLoss": ("diffplan.loss.denoising_loss", "diffplan.method.objective"),
    "DiffuserModule": ("diffplan.module.diffuser_module", "diffplan.training.diffuser_module"),
    "DiffusersPipelineSampler": (
        "diffplan.sampler.diffusers_pipeline_sampler",
        "diffplan.method.sampler.diffusers_pipeline_sampler",
    ),
    "ExponentialMovingAverage": (
        "diffplan.module.exponential_moving_average",
        "diffplan.training.exponential_moving_average",
    ),
    "FirstState": ("diffplan.conditioning.first_state", "diffplan.method.conditioning"),
    "GaussianNormalizer": ("diffplan.normalizer.gaussian_normalizer", "diffplan.method.normalizer"),
    "GuidedPlanner": ("diffplan.planner.guided_planner", "diffplan.planner.guided_planner"),
    "LimitsNormalizer": ("diffplan.normalizer.limits_normalizer", "diffplan.method.normalizer"),
    "Maze2DSource": ("diffplan.source.maze2d_source", "diffplan.data.source.maze2d_source"),
    "MeanShiftSampler": ("diffplan.sampler.mean_shift_sampler", "diffplan.method.sampler.guided_samplers"),
    "MinariSource": ("diffplan.source.minari_source", "diffplan.data.source.minari_source"),
    "NoGuide": ("diffplan.guide.no_guide", "diffplan.method.guide"),
    "ReturnTarget": ("diffplan.return_target", "diffplan.method.critic"),
    "SampleShiftSampler": ("diffplan.sampler.sample_shift_sampler", "diffplan.method.sampler.guided_samplers"),
    "StartAndGoal": ("diffplan.conditioning.start_and_goal", "diffplan.method.conditioning"),
    "Task": ("diffplan.task", "diffplan.config.task"),
    "TemporalUnet": ("diffplan.backbone.temporal_unet", "diffplan.method.network.temporal_unet"),
    "TrajectoryDataModule": ("diffplan.datamodule.trajectory_data_module", "diffplan.data.datamodule"),
    "UnguidedSampler": ("diffplan.sampler.unguided_sampler", "diffplan.method.sampler.guided_samplers"),
    "ValueGuide": ("diffplan.guide.value_guide", "diffplan.method.guide"),
    "ValueLoss": ("diffplan.loss.value_loss", "diffplan.method.objective"),
    "ValueModule": ("diffplan.module.value_module", "diffplan.training.value_module"),
    "ValueUnet": ("diffplan.backbone.value_unet", "diffplan.method.network.value_unet"),
    "WaypointPlanner": ("diffplan.planner.waypoint_planner", "diffplan.planner.waypoint_planner"),
}
_FIRST = {f"{now}.{name}": f"{first}.{name}" for name, (first, now) in _PLACES.items()}
_PRESENT = {first: now for now, first in _FIRST.items()}


def with_first_names(node: Any) -> Any:
    """Copies plain settings with every ``_target_`` under its first name, so that hashes survive moves of the code."""
    return _renamed(node, _FIRST)


def with_present_names(node: Any) -> Any:
    """Copies plain settings with every ``_target_`` under its present name, so that old checkpoints can be built."""
    return _renamed(node, _PRESENT)


def _renamed(node: Any, names: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {
            key: names.get(value, value) if key == "_target_" and isinstance(value, str) else _renamed(value, names)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_renamed(value, names) for value in node]
    return node
