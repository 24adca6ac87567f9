"""``DiffuserPipeline``: plans with an exported model, needs no environment and no data."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from diffusers import DiffusionPipeline, ModelMixin
from diffusers.utils import BaseOutput
from jaxtyping import Float
from torch import Tensor

from diffplan.errors import CheckpointError, ConfigError
from diffplan.interop.diffusers_folder import build_scheduler, has_file, local_folder, plain_file, read_settings
from diffplan.interop.diffusers_networks import backbone_of, critic_backbone_of, load_network
from diffplan.interop.exported_parts import PartEntry
from diffplan.interop.trajectory_format import TrajectoryFormat
from diffplan.method.critic import TrajectoryCritic
from diffplan.method.guide import AbstractGuide, NoGuide, ValueGuide
from diffplan.method.model import TrajectoryModel
from diffplan.method.network.fast.planning_network import FastNetworks
from diffplan.method.sampler.base import WarmStart
from diffplan.method.shapes import Trajectories
from diffplan.planner.candidates import Candidates, PlanDrawer

Array = np.ndarray | Tensor
Observations = Float[Array, "*env observation"]


@dataclass
class DiffuserPipelineOutput(BaseOutput):
    """Plans in raw units; each environment's candidates are sorted by value, the best first.

    Attributes:
        actions: What to do next is ``actions[:, 0, 0]``, the first action of each environment's best plan.
        observations: The planned observations.
        trajectories: The same plans in normalised units, for a warm start.
        values: Return predicted for each plan; None without a critic.
    """

    actions: Float[Array, "env candidate horizon action"]
    observations: Float[Array, "env candidate horizon observation"]
    trajectories: Float[Tensor, "env candidate horizon transition"]
    values: Float[Array, "env candidate"] | None = None

    @classmethod
    def of_candidates(cls, model: TrajectoryModel, plans: Candidates, output_type: str) -> "DiffuserPipelineOutput":
        """Converts ranked candidates to raw units.

        Args:
            model: The model that drew them.
            plans: Sorted by value.
            output_type: ``np`` or ``pt``.
        """
        layout, drawn = model.layout, plans.trajectories
        actions, observations = (
            model.normalizer.unnormalize(drawn[..., columns], columns)
            for columns in (layout.actions, layout.observations)
        )
        if output_type == "pt":
            return cls(actions, observations, drawn, plans.values)
        values = None if plans.values is None else plans.values.cpu().numpy()
        return cls(actions.cpu().numpy(), observations.cpu().numpy(), drawn, values)


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
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike,
        parts: Sequence[type] = (),
        torch_dtype: torch.dtype = torch.float32,
        **settings: Any,
    ) -> "DiffuserPipeline":
        """Loads an exported folder, or a ``ValueGuidedRLPipeline``'s if ``trajectory=`` is given, from disk or the Hub.

        Args:
            pretrained_model_name_or_path: Folder, or name on the Hub.
            parts: Classes of your own that the model was exported with: conditioning, normaliser, sampler. No other
                class outside this package and diffusers is built, whatever the folder names.
            torch_dtype: Precision of the networks.
            settings: A component under its name takes the place of the folder's. The others are those of diffusers'
                ``from_pretrained`` that say how a folder is fetched.

        Raises:
            CheckpointError: The folder does not say what the columns of a plan mean, names a class that may not be
                built, or holds weights that are broken or not those of its networks.
            ConfigError: A setting is not known.
        """
        names = ("unet", "scheduler", "trajectory", "value_function")
        components = {name: settings.pop(name) for name in names if name in settings}
        folder = local_folder(pretrained_model_name_or_path, settings)
        if "trajectory" not in components:
            if not has_file(folder, "trajectory"):
                raise CheckpointError(
                    f"{folder} has no folder 'trajectory', so its normalisation is unknown; give "
                    "trajectory=TrajectoryFormat(...), or convert it with diffplan import."
                )
            components["trajectory"] = TrajectoryFormat.from_pretrained(folder, "trajectory", parts)
        for name in ("unet", "value_function"):
            if name not in components and (name == "unet" or has_file(folder, name)):
                network = load_network(folder, name)
                components[name] = network if network.dtype == torch_dtype else network.to(torch_dtype)
        if "scheduler" not in components:
            config = read_settings(plain_file(folder, "scheduler/scheduler_config.json"))
            components["scheduler"] = build_scheduler(config, folder, "; give scheduler=...")
        return cls(**components)

    def save_config(self, save_directory: str | os.PathLike, push_to_hub: bool = False, **settings: Any) -> None:
        """Writes the index of a saved pipeline, such that ``ValueGuidedRLPipeline`` takes it where it can."""
        super().save_config(save_directory, push_to_hub, **settings)
        path = Path(save_directory) / self.config_name
        index = json.loads(path.read_text())
        # The trajectory format is found by its folder; diffusers' pipeline would warn of a component it does not have.
        index.pop("trajectory", None)
        networks = [index.get(name, [None, None]) for name in ("unet", "value_function")]
        for network in networks:
            if str(network[0]).startswith("diffplan."):
                network[0] = "diffplan"
        if all(network[0] == "diffusers" for network in networks):
            index["_class_name"] = "ValueGuidedRLPipeline"
        path.write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")

    def model(self) -> TrajectoryModel:
        """Returns the denoiser for diffplan's planners and samplers; it uses the pipeline's own weights.

        Raises:
            TaskMismatchError: The denoiser was trained with other noise than the scheduler's.
        """
        self.trajectory.check_scheduler(self.scheduler)
        conditioning = self.trajectory.conditioning
        return TrajectoryModel(backbone_of(self.unet), conditioning=conditioning, **self._common_parts())

    def critic(self) -> TrajectoryCritic | None:
        """Returns the critic for diffplan's planners and guides, on the pipeline's own weights; None without one.

        Raises:
            CheckpointError: The trajectory format does not say which returns the critic predicts.
        """
        form = self.trajectory
        if self.value_function is None:
            return None
        if form.target is None:
            raise CheckpointError("there is a value function, but the trajectory format does not say its returns.")
        return TrajectoryCritic(
            critic_backbone_of(self.value_function, form.config.horizon),
            target=form.target,
            offset=form.offset.new_zeros(()),
            scale=form.offset.new_ones(()),
            quality=form.quality,
            **self._common_parts(),
        )

    def _common_parts(self) -> dict[str, Any]:
        form = self.trajectory
        sizes = {"layout": form.layout, "horizon": form.config.horizon, "stride": form.config.stride}
        return {"normalizer": form.normalizer(), "scheduler": self.scheduler, **sizes}

    def enable_fast_networks(self) -> None:
        """Switches to networks that compute the same with about half the multiplications, on a copy of the weights."""
        self._fast_networks = FastNetworks()

    def disable_fast_networks(self) -> None:
        """Switches back to the networks as they were trained, and frees the copy."""
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
        guidance_rule: PartEntry | None = None,
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
            guidance_rule: Name of a sampler: ``sample_shift`` (the released code's), ``mean_shift`` (the paper's),
                ``diffusers_pipeline`` (``ValueGuidedRLPipeline``'s), or one of your own. None takes the one that was
                exported, or ``sample_shift``.
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
            ConfigError: Settings contradict each other, or the networks are not in single precision.
            TaskMismatchError: The networks were trained with other noise than the scheduler's.
            HorizonError: The networks cannot take the horizon.
        """
        self._check(output_type, callback_on_step_end_tensor_inputs)
        if guide is not None and (guidance_scale is not None or t_stopgrad is not None):
            raise ConfigError("guidance_scale and t_stopgrad are for the critic; a guide that is given has its own.")
        model = self.model()
        if guide is None:
            guide = self._guide(guidance_scale, num_guide_steps, t_stopgrad, guidance_scaling)
        sampler = self.trajectory.sampler(guidance_rule, self.scheduler, num_inference_steps)
        drawer = PlanDrawer(model, sampler, guide, horizon or model.horizon, num_candidates, ranking)
        given = _given(model, drawer.horizon, observations, goals)
        if self._fast_networks is not None:
            drawer = drawer.on_fast_networks(self._fast_networks, len(given) * num_candidates)
        start = None
        if (warm_start is None) != (num_warm_start_steps is None):
            raise ConfigError("warm_start and num_warm_start_steps are given together or not at all.")
        if warm_start is not None and num_warm_start_steps is not None:
            start = WarmStart(warm_start.to(self.device), num_warm_start_steps)
        timesteps = torch.tensor(sampler.timesteps(start))
        with self.progress_bar(total=len(timesteps)) as bar:

            def on_step(step: int, trajectories: Trajectories) -> Trajectories | None:
                tensors = dict.fromkeys(callback_on_step_end_tensor_inputs, trajectories)
                callback = callback_on_step_end
                changed = None if callback is None else callback(self, step, timesteps[step], tensors)
                bar.update()
                return (changed or {}).get("trajectories")

            plans = drawer.draw(given, _generators(generator), start, noise, on_step)
        output = DiffuserPipelineOutput.of_candidates(model, plans.ranked(), output_type)
        return output if return_dict else output.to_tuple()

    def _check(self, output_type: str, tensor_inputs: Sequence[str]) -> None:
        if output_type not in ("np", "pt"):
            raise ConfigError(f"output_type must be np or pt, got {output_type!r}.")
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
        scale: float | None,
        num_steps: int,
        t_stopgrad: int | None,
        scaling: Literal["variance", "std", "none"],
    ) -> AbstractGuide:
        form, critic = self.trajectory.config, self.critic()
        if critic is None:
            if scale:
                raise ConfigError(f"guidance_scale={scale} needs a value function, and this pipeline has none.")
            return NoGuide()
        scale = form.guide_scale if scale is None else scale
        if scale is None:
            raise ConfigError("guidance_scale must be given: the exported task names none.")
        t_stopgrad = form.t_stopgrad if t_stopgrad is None else t_stopgrad
        return ValueGuide(critic, scale, num_steps, 2 if t_stopgrad is None else t_stopgrad, scaling)


def _generators(generator: torch.Generator | Sequence[torch.Generator] | None) -> list[torch.Generator]:
    if generator is None:
        return [torch.Generator().manual_seed(int(torch.randint(2**62, ())))]
    return [generator] if isinstance(generator, torch.Generator) else list(generator)


def _given(
    model: TrajectoryModel, horizon: int, observations: Observations, goals: Observations | None
) -> Float[Tensor, "env given observation"]:
    """Puts present observations, and goals where the model has them, into the order of its conditioning.

    Raises:
        ConfigError: Goals are given to a model without goals, or missing, or the shapes do not fit.
    """
    num_given = len(model.conditioning.rows(horizon))
    if (goals is not None) != (num_given == 2):
        wants = "needs goals" if num_given == 2 else "takes no goals"
        raise ConfigError(f"this model is conditioned on {type(model.conditioning).__name__} and {wants}.")
    rows = [torch.as_tensor(part) for part in (observations, goals) if part is not None]
    columns = model.layout.observation_dim
    if any(row.shape != rows[0].shape or row.ndim > 2 or row.shape[-1] != columns for row in rows):
        raise ConfigError(
            f"observations and goals must have shape (environments, {columns}), got "
            f"{' and '.join(str(tuple(row.shape)) for row in rows)}."
        )
    return torch.stack([torch.atleast_2d(row) for row in rows], dim=1)
