"""Describes the columns, units and noise of plans, as a component of an exported pipeline."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from jaxtyping import Float
from torch import Tensor

from diffplan.errors import CheckpointError, TaskMismatchError
from diffplan.interop.diffusers_folder import local_folder, plain_file, read_settings, read_weights, typed_settings
from diffplan.interop.exported_parts import PartEntry, build_part, check_part, part_entry
from diffplan.interop.plain_tensors import check_noise, check_same_shapes, check_statistics
from diffplan.interop.trajectory_settings import TrajectorySettings
from diffplan.method.conditioning import AbstractConditioning
from diffplan.method.critic import CriticQuality, ReturnTarget
from diffplan.method.model import TrajectoryModel
from diffplan.method.noise.schedule import prediction_type
from diffplan.method.normalizer import AbstractNormalizer
from diffplan.method.sampler.base import AbstractSampler
from diffplan.method.trajectory import TransitionLayout
from diffplan.run.checkpoint import stored_quality

FORMAT = 2


class TrajectoryFormat(ModelMixin, ConfigMixin):
    """Describes the columns, units and noise of plans, so that a pipeline needs no environment and no data set.

    Its weights are the statistics that raw units are normalised with, one offset and one scale a column, and the noise
    levels of training.

    Args:
        action_dim: Action columns of a plan row.
        observation_dim: Observation columns.
        horizon: Rows of a plan in training.
        stride: Environment steps between two rows.
        num_train_timesteps: Diffusion steps that the networks were trained with. If it is None, a scheduler for other
            noise cannot be recognised.
        prediction_type: What the denoiser predicts; None where it is not known.
        conditioning: Name of the conditioning, see ``part_entry``: a stem in ``conf/conditioning``, or a stem with
            settings.
        normalizer: Name of the normaliser, in the same form; ``gaussian`` is short for ``gaussian_normalizer``.
        returns: Settings of the critic's ``ReturnTarget``; None without a critic.
        guide_scale: Guidance scale that the task plans with.
        t_stopgrad: Diffusion timesteps below this one are not guided.
        task: Name of the task.
        env_id: Environment.
        data: Identity of the training data: ``name``, ``kind``, ``sha256``, ``num_transitions``.
        sampler: Name of the sampler that the model plans with, in the same form; None leaves it to the pipeline.
        critic_quality: What the critic is worth on held-out episodes, see ``CriticQuality.to_plain``; None if unknown.
        format: Number of this format. Folders made before it was written have format 1.

    Attributes:
        parts: Classes that names may mean, beside those of this package. They are not saved.

    Raises:
        CheckpointError: The format is of a later version.
    """

    offset: Tensor
    scale: Tensor
    alphas_cumprod: Tensor

    @register_to_config
    def __init__(
        self,
        action_dim: int,
        observation_dim: int,
        horizon: int,
        stride: int = 1,
        num_train_timesteps: int | None = None,
        prediction_type: str | None = None,
        conditioning: PartEntry = "first_state",
        normalizer: PartEntry = "gaussian_normalizer",
        returns: dict[str, Any] | None = None,
        guide_scale: float | None = None,
        t_stopgrad: int | None = None,
        task: str | None = None,
        env_id: str | None = None,
        data: dict[str, Any] | None = None,
        sampler: PartEntry | None = None,
        critic_quality: dict[str, Any] | None = None,
        format: int = 1,
    ) -> None:
        super().__init__()
        _check_version(format)
        self.parts: tuple[type, ...] = ()
        self.register_buffer("offset", torch.zeros(action_dim + observation_dim))
        self.register_buffer("scale", torch.ones(action_dim + observation_dim))
        if num_train_timesteps is not None:
            self.register_buffer("alphas_cumprod", torch.zeros(num_train_timesteps))

    @classmethod
    def from_pretrained(
        cls, place: str | os.PathLike, subfolder: str = ".", parts: Sequence[type] = (), **settings: Any
    ) -> "TrajectoryFormat":
        """Loads the format of an exported folder.

        Args:
            place: The folder, or a name on the Hub.
            subfolder: Folder in it that holds the format.
            parts: Classes of your own that the model was exported with.
            settings: Those of diffusers' ``from_pretrained`` that say how it is fetched.

        Raises:
            CheckpointError: The format is broken or of a later version, or a part is not known.
        """
        folder = local_folder(place, settings)
        path = plain_file(folder, f"{subfolder}/config.json")
        content = read_settings(path)
        _check_version(content.get("format", 1))
        loaded = cls(**typed_settings(TrajectorySettings, content, path).model_dump())
        loaded.parts = tuple(parts)
        # Unknown parts are refused now, not at the first plan.
        loaded.normalizer(), loaded.conditioning, loaded.quality
        if loaded.config.sampler is not None:
            check_part("sampler", loaded.config.sampler, loaded.parts)
        weights = read_weights(folder, subfolder)
        check_same_shapes(loaded.state_dict(), weights, path.parent, "trajectory format")
        check_statistics(weights["offset"], weights["scale"], path.parent)
        if "alphas_cumprod" in weights:
            check_noise(weights["alphas_cumprod"], path.parent)
        loaded.load_state_dict(weights)
        return loaded.eval()

    @classmethod
    def of_model(
        cls,
        model: TrajectoryModel,
        target: ReturnTarget | None = None,
        sampler: AbstractSampler | None = None,
        **facts: Any,
    ) -> "TrajectoryFormat":
        """Describes a trained model.

        Args:
            model: The trained model.
            target: What its critic predicts.
            sampler: How it plans; None leaves that to the pipeline.
            facts: The constructor's arguments from ``guide_scale`` to ``data``.

        Raises:
            CheckpointError: A part cannot be described by its settings, or the model is a flow.
        """
        if prediction_type(model.scheduler) == "flow":
            raise CheckpointError(
                "this model was trained as a flow, which no pipeline of this layout denoises; export one that was "
                "trained with a scheduler such as ddpm."
            )
        foreign = model.normalizer.state_dict().keys() - {"offset", "scale"}
        if foreign:
            raise CheckpointError(
                f"a {type(model.normalizer).__name__} cannot be exported: it has statistics besides offset and scale: "
                f"{', '.join(sorted(foreign))}."
            )
        parts = [part for part in (model.conditioning, model.normalizer, sampler) if part is not None]
        # Arguments are given by name: diffusers takes those given by position for defaults and loses them later.
        described = cls(
            action_dim=model.layout.action_dim,
            observation_dim=model.layout.observation_dim,
            horizon=model.horizon,
            stride=model.stride,
            num_train_timesteps=model.scheduler.config.num_train_timesteps,
            prediction_type=model.scheduler.config.prediction_type,
            conditioning=part_entry(model.conditioning),
            normalizer=part_entry(model.normalizer),
            sampler=None if sampler is None else part_entry(sampler),
            format=FORMAT,
            returns=None if target is None else asdict(target),
            **facts,
        )
        described.parts = tuple(type(part) for part in parts)
        described.set_statistics(model.normalizer.offset, model.normalizer.scale)
        described.alphas_cumprod.copy_(model.scheduler.alphas_cumprod)
        return described.eval()

    def set_statistics(self, offset: Float[Tensor, " transition"], scale: Float[Tensor, " transition"]) -> None:
        """Takes the statistics: ``raw = normalised * scale + offset``."""
        self.offset.copy_(offset)
        self.scale.copy_(scale)

    def check_scheduler(self, scheduler: Any) -> None:
        """Refuses a scheduler for other noise or another kind of prediction than the networks were trained for.

        Raises:
            TaskMismatchError: The message says what differs.
        """
        asked = scheduler.config.get("prediction_type")
        if self.config.prediction_type not in (None, asked):
            raise TaskMismatchError(
                f"the network was trained with prediction_type={self.config.prediction_type}, but the scheduler has "
                f"{asked}."
            )
        trained, given = self.config.num_train_timesteps, getattr(scheduler, "alphas_cumprod", None)
        if trained is None or given is None:
            return
        if len(given) != trained:
            raise TaskMismatchError(
                f"the network was trained with {trained} diffusion steps, but the scheduler has "
                f"num_train_timesteps={len(given)}."
            )
        if not torch.allclose(self.alphas_cumprod.to(given), given, atol=1e-5):
            raise TaskMismatchError(
                "the network was trained with another noise schedule (betas) than the scheduler has."
            )

    @property
    def layout(self) -> TransitionLayout:
        """Columns of a plan row."""
        return TransitionLayout(self.config.action_dim, self.config.observation_dim)

    @property
    def conditioning(self) -> AbstractConditioning:
        """Which observations of a plan are given."""
        return build_part("conditioning", self.config.conditioning, self.parts)

    @property
    def target(self) -> ReturnTarget | None:
        """What the critic predicts; None without one."""
        return None if self.config.returns is None else ReturnTarget(**self.config.returns)

    @property
    def quality(self) -> CriticQuality | None:
        """What the critic is worth on held-out episodes; None where that is not known."""
        return stored_quality(self.config.critic_quality)

    def normalizer(self) -> AbstractNormalizer:
        """Returns the normaliser, on these statistics themselves."""
        normalizer = build_part("normalizer", self.config.normalizer, self.parts, self.layout.transition_dim)
        normalizer.offset, normalizer.scale = self.offset, self.scale
        return normalizer

    def sampler(self, name: PartEntry | None, scheduler: Any, num_inference_steps: int | None) -> AbstractSampler:
        """Builds a sampler by its name; None takes the exported one, or the rule of the released code."""
        name = name or self.config.sampler or "sample_shift_sampler"
        return build_part("sampler", name, self.parts, scheduler, num_inference_steps)


def _check_version(number: Any) -> None:
    """Refuses the format of a later version, whose settings need not be known here."""
    if isinstance(number, int) and number > FORMAT:
        raise CheckpointError(
            f"the exported model has format {number:.6g}, but this version reads formats up to {FORMAT}; install a "
            "later version of diffplan."
        )
