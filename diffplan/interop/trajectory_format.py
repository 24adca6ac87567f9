from dataclasses import asdict
from typing import Any, Literal

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from jaxtyping import Float
from torch import Tensor

from diffplan.errors import CheckpointError, TaskMismatchError
from diffplan.method.conditioning import AbstractConditioning, FirstState, StartAndGoal
from diffplan.method.critic import ReturnTarget
from diffplan.method.model import TrajectoryModel
from diffplan.method.noise.schedule import prediction_type
from diffplan.method.normalizer import AbstractNormalizer, GaussianNormalizer, LimitsNormalizer
from diffplan.method.trajectory import TransitionLayout

_CONDITIONINGS: dict[str, type[AbstractConditioning]] = {"first_state": FirstState, "start_and_goal": StartAndGoal}
_NORMALIZERS: dict[str, type[AbstractNormalizer]] = {"gaussian": GaussianNormalizer, "limits": LimitsNormalizer}


class TrajectoryFormat(ModelMixin, ConfigMixin):
    """What the numbers of a plan mean: the component that lets a pipeline do without environment and data set.

    Its weights are the statistics that raw units are normalised with, one offset and one scale a column, and the noise
    levels of training.

    Args:
        action_dim: Action columns of a plan row.
        observation_dim: Observation columns.
        horizon: Rows of a plan in training.
        stride: Environment steps between two rows.
        num_train_timesteps: Diffusion steps that the networks were trained with; None where it is not known, and no
            scheduler can then be told to be the wrong one.
        prediction_type: What the denoiser predicts; None where it is not known.
        conditioning: ``first_state`` or ``start_and_goal``.
        normalizer: ``gaussian``, or ``limits``, which clips on the way back.
        returns: Settings of the critic's ``ReturnTarget``; None without a critic.
        guide_scale: Guidance scale that the task plans with.
        t_stopgrad: Diffusion timesteps below this one are not guided.
        task: Name of the task.
        env_id: Environment.
        data: Identity of the training data: ``name``, ``kind``, ``sha256``, ``num_transitions``.

    Raises:
        CheckpointError: a conditioning or normaliser that is not known here.
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
        conditioning: Literal["first_state", "start_and_goal"] = "first_state",
        normalizer: Literal["gaussian", "limits"] = "gaussian",
        returns: dict[str, Any] | None = None,
        guide_scale: float | None = None,
        t_stopgrad: int | None = None,
        task: str | None = None,
        env_id: str | None = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if conditioning not in _CONDITIONINGS or normalizer not in _NORMALIZERS:
            raise CheckpointError(
                f"the trajectory format has conditioning={conditioning!r} and normalizer={normalizer!r}; known are "
                f"{', '.join(_CONDITIONINGS)} and {', '.join(_NORMALIZERS)}."
            )
        self.register_buffer("offset", torch.zeros(action_dim + observation_dim))
        self.register_buffer("scale", torch.ones(action_dim + observation_dim))
        if num_train_timesteps is not None:
            self.register_buffer("alphas_cumprod", torch.zeros(num_train_timesteps))

    @classmethod
    def of_model(cls, model: TrajectoryModel, target: ReturnTarget | None = None, **facts: Any) -> "TrajectoryFormat":
        """Describes a trained model.

        Args:
            model: The trained model.
            target: What its critic predicts.
            facts: The constructor's arguments from ``guide_scale`` on.

        Raises:
            CheckpointError: its conditioning or normaliser has no name here, or it is a flow.
        """
        if prediction_type(model.scheduler) == "flow":
            raise CheckpointError(
                "this model was trained as a flow, which no pipeline of this layout denoises; export one that was "
                "trained with a scheduler such as ddpm."
            )
        # By name: diffusers takes what is given by place for a default, and loses it on the way to another class.
        described = cls(
            action_dim=model.layout.action_dim,
            observation_dim=model.layout.observation_dim,
            horizon=model.horizon,
            stride=model.stride,
            num_train_timesteps=model.scheduler.config.num_train_timesteps,
            prediction_type=model.scheduler.config.prediction_type,
            conditioning=_name(model.conditioning, _CONDITIONINGS),
            normalizer=_name(model.normalizer, _NORMALIZERS),
            returns=None if target is None else asdict(target),
            **facts,
        )
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
            TaskMismatchError: with what differs.
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
        return _CONDITIONINGS[self.config.conditioning]()

    @property
    def target(self) -> ReturnTarget | None:
        """What the critic predicts; None without one."""
        return None if self.config.returns is None else ReturnTarget(**self.config.returns)

    def normalizer(self) -> AbstractNormalizer:
        """Returns the normaliser, on these statistics themselves."""
        normalizer = _NORMALIZERS[self.config.normalizer](self.layout.transition_dim)
        normalizer.offset, normalizer.scale = self.offset, self.scale
        return normalizer


def _name(part: object, known: dict[str, Any]) -> str:
    for name, kind in known.items():
        if type(part) is kind:
            return name
    raise CheckpointError(f"a {type(part).__name__} cannot be exported; known are {', '.join(known)}.")
