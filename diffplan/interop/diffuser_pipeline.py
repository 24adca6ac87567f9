import os
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import DiffusionPipeline, ModelMixin
from diffusers.utils import is_accelerate_available
from jaxtyping import Float
from torch import Tensor

from diffplan.errors import CheckpointError, ConfigError
from diffplan.interop.diffuser_pipeline_output import DiffuserPipelineOutput
from diffplan.interop.diffusers_networks import backbone_of, critic_backbone_of
from diffplan.interop.fast_networks import FastNetworks
from diffplan.interop.pipeline_folder import local_folder, write_index
from diffplan.interop.planning_conditions import Observations, planning_conditions
from diffplan.interop.trajectory_format import TrajectoryFormat
from diffplan.method.critic import TrajectoryCritic
from diffplan.method.guide import AbstractGuide, NoGuide, ValueGuide
from diffplan.method.model import TrajectoryModel
from diffplan.method.sampler.base import AbstractSampler, WarmStart
from diffplan.method.sampler.guided_samplers import DiffusersPipelineSampler, MeanShiftSampler, SampleShiftSampler
from diffplan.method.shapes import Trajectories

_SAMPLERS: dict[str, type[AbstractSampler]] = {
    "sample_shift": SampleShiftSampler,
    "mean_shift": MeanShiftSampler,
    "diffusers_pipeline": DiffusersPipelineSampler,
}


class DiffuserPipeline(DiffusionPipeline):
    """Plans with a denoiser and a critic, for any number of environments at once; needs no environment and no data.

    Args:
        unet: The denoiser: a ``UNet1DModel``, or a ``DenoiserModel`` for what that cannot express.
        scheduler: Any diffusers scheduler that suits the model; another one may be put in its place.
        trajectory: What the numbers of a plan mean, normalisation included.
        value_function: The critic, giving returns in units of reward; None plans without values.
    """

    _optional_components = ["value_function"]  # noqa: RUF012
    _callback_tensor_inputs = ("trajectories",)

    def __init__(
        self,
        unet: ModelMixin,
        scheduler: Any,
        trajectory: TrajectoryFormat,
        value_function: ModelMixin | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler, trajectory=trajectory, value_function=value_function)
        self._fast_networks: FastNetworks | None = None

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike, **settings: Any) -> "DiffuserPipeline":
        """Loads an exported folder or one of the Hub; also a ``ValueGuidedRLPipeline``'s, given ``trajectory=``.

        Args:
            pretrained_model_name_or_path: Folder, or name on the Hub.
            settings: Those of ``DiffusionPipeline.from_pretrained``; a component under its name takes the place of the
                folder's.

        Raises:
            CheckpointError: the folder does not say what the numbers of a plan mean.
        """
        folder = local_folder(pretrained_model_name_or_path, settings)
        settings.setdefault("low_cpu_mem_usage", is_accelerate_available())
        if "trajectory" not in settings:
            if not (folder / "trajectory").is_dir():
                raise CheckpointError(
                    f"{folder} has no folder 'trajectory', so its normalisation is unknown; give "
                    "trajectory=TrajectoryFormat(...), or convert it with diffplan import."
                )
            settings["trajectory"] = TrajectoryFormat.from_pretrained(folder / "trajectory", low_cpu_mem_usage=False)
        return super().from_pretrained(str(folder), **settings)

    def save_config(self, save_directory: str | os.PathLike, push_to_hub: bool = False, **settings: Any) -> None:
        """Writes the index of a saved pipeline, such that ``ValueGuidedRLPipeline`` takes it where it can."""
        super().save_config(save_directory, push_to_hub, **settings)
        write_index(Path(save_directory) / self.config_name)

    def model(self) -> TrajectoryModel:
        """The denoiser as our planners and samplers take it, on the pipeline's own weights.

        Raises:
            TaskMismatchError: the scheduler is not for the noise that it was trained on.
        """
        form = self.trajectory
        form.check_scheduler(self.scheduler)
        return TrajectoryModel(
            backbone_of(self.unet),
            form.normalizer(),
            self.scheduler,
            form.conditioning,
            form.layout,
            form.config.horizon,
            form.config.stride,
        )

    def critic(self) -> TrajectoryCritic | None:
        """The critic as our planners and guides take it, on the pipeline's own weights; None without one.

        Raises:
            CheckpointError: nothing is said of what its values predict.
        """
        form = self.trajectory
        if self.value_function is None:
            return None
        if form.target is None:
            raise CheckpointError("there is a value function, but the trajectory format does not say its returns.")
        return TrajectoryCritic(
            critic_backbone_of(self.value_function, form.config.horizon),
            form.normalizer(),
            self.scheduler,
            form.layout,
            form.config.horizon,
            form.config.stride,
            form.target,
            form.offset.new_zeros(()),
            form.offset.new_ones(()),
        )

    def enable_fast_networks(self) -> None:
        """Plans with equal networks that cost about half the multiplications, on a second copy of the weights."""
        self._fast_networks = FastNetworks()

    def disable_fast_networks(self) -> None:
        """Plans with the networks as they were trained, and frees the copy."""
        self._fast_networks = None

    def __call__(
        self,
        observations: Observations,
        goals: Observations | None = None,
        num_candidates: int = 64,
        horizon: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        num_guide_steps: int = 2,
        guidance_rule: Literal["sample_shift", "mean_shift", "diffusers_pipeline"] = "sample_shift",
        guidance_scaling: Literal["variance", "std", "none"] = "variance",
        t_stopgrad: int | None = None,
        guide: AbstractGuide | None = None,
        ranking: Literal["returned_plan", "last_input"] = "returned_plan",
        warm_start: Float[Tensor, "env horizon transition"] | None = None,
        num_warm_start_steps: int | None = None,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        noise: Trajectories | None = None,
        output_type: Literal["np", "pt"] = "np",
        return_dict: bool = True,
        callback_on_step_end: Callable[..., dict[str, Any] | None] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("trajectories",),
    ) -> DiffuserPipelineOutput | tuple:
        """Draws plans.

        Args:
            observations: Present observations, raw units; a single environment's may come without the first axis.
            goals: Last observations of the plans, raw units, for models that plan from a start to a goal.
            num_candidates: Plans drawn for each environment.
            horizon: Rows of a plan; None takes the model's.
            num_inference_steps: Denoising steps; None takes as many as the model was trained with.
            guidance_scale: Step size of the guide; None takes the task's, 0 only ranks.
            num_guide_steps: Guide steps a denoising step; 0 only ranks.
            guidance_rule: ``sample_shift`` (the released code's), ``mean_shift`` (the paper's) or
                ``diffusers_pipeline`` (``ValueGuidedRLPipeline``'s).
            guidance_scaling: Factor of the gradient, see ``ValueGuide``.
            t_stopgrad: Diffusion timesteps below this one are not guided; None takes the task's.
            guide: Steers and ranks in place of the critic, with its own scale and number of guide steps.
            ranking: What values are of, see ``GuidedPlanner``.
            warm_start: Normalised plans to begin from instead of noise, such as the rows of
                ``output.trajectories[:, 0]`` that still lie ahead.
            num_warm_start_steps: Denoising steps from there.
            generator: One, or one an environment, whose plans then depend on it alone; None follows PyTorch's seed.
            noise: Normal noise for all candidates of all environments; None draws it.
            output_type: ``np`` or ``pt``.
            return_dict: False gives a tuple of what is there.
            callback_on_step_end: Called as ``callback(pipeline, step, timestep, tensors)`` after each denoising step;
                ``trajectories`` in what it returns go on in place of the others.
            callback_on_step_end_tensor_inputs: Which tensors it is given; there is ``trajectories``.

        Raises:
            ConfigError: settings that do not go together, or a precision other than single.
            TaskMismatchError: the scheduler is not for the noise that the networks were trained on.
            HorizonError: the networks cannot take the horizon.
        """
        self._check(num_candidates, output_type, ranking, callback_on_step_end_tensor_inputs)
        if guidance_rule not in _SAMPLERS:
            raise ConfigError(f"guidance_rule must be one of {', '.join(_SAMPLERS)}, got {guidance_rule!r}.")
        if guide is not None and (guidance_scale is not None or t_stopgrad is not None):
            raise ConfigError("guidance_scale and t_stopgrad are for the critic; a guide that is given has its own.")
        model, critic = self.model(), self.critic() if guide is None else None
        horizon = horizon or model.horizon
        model.backbone.check_horizon(horizon)
        if critic is not None:
            critic.backbone.check_horizon(horizon)
        conditions = planning_conditions(model, observations, goals, horizon, num_candidates)
        if self._fast_networks is not None:
            model, critic = self._fast_networks.of_pair(model, critic, horizon, len(conditions.values))
        if guide is None:
            guide = self._guide(critic, guidance_scale, num_guide_steps, t_stopgrad, guidance_scaling)
        start = self._start(warm_start, num_warm_start_steps, num_candidates)
        sampler = _SAMPLERS[guidance_rule](self.scheduler, num_inference_steps)
        chain = sampler.chain(model, conditions, _generators(generator), guide, start, noise)
        timesteps = torch.tensor(sampler.timesteps(start))
        last_input, drawn = self._run(chain, timesteps, callback_on_step_end, callback_on_step_end_tensor_inputs)
        judged = drawn if ranking == "returned_plan" else last_input
        values = guide.values(judged, torch.zeros((), dtype=torch.long, device=judged.device))
        output = DiffuserPipelineOutput.of_trajectories(model, drawn, values, num_candidates, output_type)
        return output if return_dict else output.to_tuple()

    def _check(self, num_candidates: int, output_type: str, ranking: str, tensor_inputs: Sequence[str]) -> None:
        if num_candidates < 1:
            raise ConfigError(f"num_candidates must be at least 1, got {num_candidates}.")
        if output_type not in ("np", "pt"):
            raise ConfigError(f"output_type must be np or pt, got {output_type!r}.")
        if ranking not in ("returned_plan", "last_input"):
            raise ConfigError(f"ranking must be returned_plan or last_input, got {ranking!r}.")
        if unknown := set(tensor_inputs) - set(self._callback_tensor_inputs):
            raise ConfigError(
                f"callback_on_step_end_tensor_inputs has no {min(unknown)!r}; there is "
                f"{self._callback_tensor_inputs[0]}."
            )
        for component in (self.unet, self.value_function, self.trajectory):
            if component is not None and component.dtype != torch.float32:
                raise ConfigError(
                    f"plans are drawn in torch.float32, but {type(component).__name__} has {component.dtype}; call "
                    "pipeline.to(torch.float32), and torch.autocast for speed."
                )

    def _guide(
        self,
        critic: TrajectoryCritic | None,
        scale: float | None,
        num_steps: int,
        t_stopgrad: int | None,
        scaling: Literal["variance", "std", "none"],
    ) -> AbstractGuide:
        form = self.trajectory.config
        if critic is None:
            if scale:
                raise ConfigError(f"guidance_scale={scale} needs a value function, and this pipeline has none.")
            return NoGuide()
        scale = form.guide_scale if scale is None else scale
        if scale is None:
            raise ConfigError("guidance_scale must be given: the exported task names none.")
        t_stopgrad = form.t_stopgrad if t_stopgrad is None else t_stopgrad
        return ValueGuide(critic, scale, num_steps, 2 if t_stopgrad is None else t_stopgrad, scaling)

    def _start(self, plans: Trajectories | None, num_steps: int | None, num_candidates: int) -> WarmStart | None:
        if (plans is None) != (num_steps is None):
            raise ConfigError("warm_start and num_warm_start_steps are given together or not at all.")
        if plans is None or num_steps is None:
            return None
        return WarmStart(plans.to(self.device).repeat_interleave(num_candidates, dim=0), num_steps)

    def _run(
        self,
        chain: Generator[Trajectories, Trajectories | None, None],
        timesteps: Tensor,
        callback: Callable[..., dict[str, Any] | None] | None,
        tensor_inputs: Sequence[str],
    ) -> tuple[Trajectories, Trajectories]:
        """Denoises to the end; returns the input of the last step and its result."""
        drawn, changed = next(chain), None
        last_input = drawn
        with self.progress_bar(total=len(timesteps)) as bar:
            for step, timestep in enumerate(timesteps):
                last_input, drawn, changed = drawn, chain.send(changed), None
                if callback is not None:
                    tensors = dict.fromkeys(tensor_inputs, drawn)
                    changed = (callback(self, step, timestep, tensors) or {}).get("trajectories")
                    drawn = drawn if changed is None else changed
                bar.update()
        return last_input, drawn


def _generators(generator: torch.Generator | Sequence[torch.Generator] | None) -> list[torch.Generator]:
    if generator is None:
        return [torch.Generator().manual_seed(int(torch.randint(2**62, ())))]
    return [generator] if isinstance(generator, torch.Generator) else list(generator)
