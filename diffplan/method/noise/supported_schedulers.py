"""The one table of facts about diffusers' schedulers: which can denoise plans, what is special, why others cannot."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from diffplan.errors import ConfigError

PREDICTION_TYPES = ("sample", "epsilon", "v_prediction")


@dataclass(frozen=True)
class SchedulerFacts:
    """What must be known of a scheduler's class to denoise plans with it.

    The defaults describe the plain case: one network call a step, and samples that are the network's input.

    Attributes:
        refused: Why the class cannot denoise plans, to follow the words "it ..."; None if it can.
        is_listed: Whether the class itself is in the table. Other classes are tried out before they are used, see
            ``scheduler_probe``.
        is_flow: The model is a flow: the network's input is ``(1 - sigma) * clean + sigma * eps``.
        sigma_units: The scheduler's samples are ``clean + sigma * eps``, the network's input over its signal.
        calls: Network calls a step: ``one``, two (``pairs``, but one for the last step), or as many as the solver's
            order at that step (``orders``).
        stops_short: The last step leaves the noise of the least trained timestep, or returns the sample itself. The
            plan is then the last denoised estimate.
        counts_timesteps: Every step is taken for the same number of trained timesteps, whatever was chosen.
        is_ancestral: A step is a draw from the posterior of the denoised estimate that the step also returns.
        hides_noise: A step adds noise that is in none of its outputs, so the mean of the step is unknown.
        tells_variance: ``_get_variance(timestep)`` gives the posterior variance.
        said_as: A prediction type the class has no input for, and the one that says the same.
    """

    refused: str | None = None
    is_listed: bool = True
    is_flow: bool = False
    sigma_units: bool = False
    calls: Literal["one", "pairs", "orders"] = "one"
    stops_short: bool = False
    counts_timesteps: bool = False
    is_ancestral: bool = False
    hides_noise: bool = False
    tells_variance: bool = False
    said_as: Mapping[str, str] = field(default_factory=dict)


_ACCEPTED = {
    "DDPMScheduler": SchedulerFacts(is_ancestral=True, tells_variance=True),
    "DDIMScheduler": SchedulerFacts(counts_timesteps=True),
    "DPMSolverMultistepScheduler": SchedulerFacts(),
    "DPMSolverSinglestepScheduler": SchedulerFacts(calls="orders"),
    "UniPCMultistepScheduler": SchedulerFacts(),
    "DEISMultistepScheduler": SchedulerFacts(stops_short=True),
    "LCMScheduler": SchedulerFacts(stops_short=True, hides_noise=True),
    "FlowMatchEulerDiscreteScheduler": SchedulerFacts(is_flow=True),
    "EulerDiscreteScheduler": SchedulerFacts(sigma_units=True),
    "EulerAncestralDiscreteScheduler": SchedulerFacts(
        sigma_units=True, is_ancestral=True, said_as={"sample": "v_prediction"}
    ),
    "HeunDiscreteScheduler": SchedulerFacts(sigma_units=True, calls="pairs"),
}
_DDPM_AGAIN = "takes the steps of DDPM; choose scheduler=ddpm"
_DDIM_AGAIN = "takes the steps of DDIM; choose scheduler=ddim"
_BETWEEN = "asks the network about noise between two trained timesteps; choose scheduler=heun"
_ELUCIDATED = "is for networks preconditioned as in EDM, which take the logarithm of sigma for a timestep"
_DISTILLED = "is for networks distilled to jump; choose scheduler=lcm to noise and denoise in turn"
_DISCRETE = "denoises discrete tokens, and a plan is made of real numbers"
_OTHER_FLOW = "is a flow with levels or inputs of its own; choose scheduler=flow_match_euler"
_INVERSE = "turns data into noise"
_IMAGES = "is for images or video, and expects their axes"
_REASONS = {
    "DDPMParallelScheduler": _DDPM_AGAIN,
    "UnCLIPScheduler": _DDPM_AGAIN,
    "DDPMWuerstchenScheduler": "takes the time as a fraction, and the network was trained on whole timesteps",
    "DDIMParallelScheduler": _DDIM_AGAIN,
    "CogVideoXDDIMScheduler": _DDIM_AGAIN,
    "CogVideoXDPMScheduler": "steps with more than the network's output; choose scheduler=dpm_solver",
    "DDIMInverseScheduler": _INVERSE,
    "DPMSolverMultistepInverseScheduler": _INVERSE,
    "PNDMScheduler": "cannot take a denoised estimate, and warms up beside the chosen timesteps; choose scheduler=deis",
    "IPNDMScheduler": "knows no trained noise schedule; choose scheduler=deis",
    "LMSDiscreteScheduler": "integrates numerically with SciPy what scheduler=deis solves; choose that",
    "SASolverScheduler": "corrects each sample from the one before, which undoes guidance and cannot be switched off",
    "KDPM2DiscreteScheduler": _BETWEEN,
    "KDPM2AncestralDiscreteScheduler": _BETWEEN,
    "DPMSolverSDEScheduler": "draws its noise with torchsde, not from the generators of the plans",
    "CosineDPMSolverMultistepScheduler": "draws its noise with torchsde, not from the generators of the plans",
    "EDMEulerScheduler": _ELUCIDATED,
    "EDMDPMSolverMultistepScheduler": _ELUCIDATED,
    "KarrasVeScheduler": _ELUCIDATED,
    "ScoreSdeVeScheduler": "is for networks trained on noise that grows without bound",
    "ScoreSdeVpScheduler": "is for networks that take the time as a fraction",
    "TCDScheduler": _DISTILLED,
    "CMStochasticIterativeScheduler": _DISTILLED,
    "SCMScheduler": _DISTILLED,
    "ConsistencyDecoderScheduler": "decodes the latents of images",
    "RePaintScheduler": "keeps known pixels by a mask of its own; plans are conditioned by writing the known rows",
    "VQDiffusionScheduler": _DISCRETE,
    "AmusedScheduler": _DISCRETE,
    "DiscreteDDIMScheduler": _DISCRETE,
    "BlockRefinementScheduler": _DISCRETE,
    "EntropyBoundScheduler": _DISCRETE,
    "FlowMatchHeunDiscreteScheduler": _OTHER_FLOW,
    "FlowMatchLCMScheduler": _OTHER_FLOW,
    "FlowMapEulerDiscreteScheduler": _OTHER_FLOW,
    "LTXEulerAncestralRFScheduler": _OTHER_FLOW,
    "PiflowScheduler": _OTHER_FLOW,
    "MiniMaxH3Scheduler": _OTHER_FLOW,
    "RFD4ProteinaScheduler": _OTHER_FLOW,
    "HeliosScheduler": _IMAGES,
    "HeliosDMDScheduler": _IMAGES,
}
_TABLE = _ACCEPTED | {name: SchedulerFacts(refused=reason) for name, reason in _REASONS.items()}


def scheduler_facts(scheduler: Any) -> SchedulerFacts:
    """Looks up the facts of a scheduler.

    A class that is not in the table has the facts of the nearest class in the table that it inherits from, and the
    plain ones if there is none.
    """
    kind = type(scheduler)
    known = next((_TABLE[base.__name__] for base in kind.__mro__ if base.__name__ in _TABLE), SchedulerFacts())
    settings = scheduler.config
    is_sde = str(settings.get("algorithm_type", "")).startswith("sde") or bool(settings.get("stochastic_sampling"))
    return replace(known, is_listed=kind.__name__ in _TABLE, hides_noise=known.hides_noise or is_sde)


def check_scheduler(scheduler: Any) -> None:
    """Refuses schedulers that cannot noise windows in training or denoise plans.

    Raises:
        ConfigError: with the reason.
    """
    name, facts = type(scheduler).__name__, scheduler_facts(scheduler)
    if facts.refused is not None:
        raise ConfigError(f"{name} cannot denoise plans: it {facts.refused}.")
    if not facts.is_flow and not facts.is_listed and len(getattr(scheduler, "alphas_cumprod", ())) == 0:
        raise ConfigError(
            f"{name} cannot denoise plans: it has no alphas_cumprod, from which the noise of each trained timestep is "
            "read; choose another, see conf/scheduler."
        )
    if str(scheduler.config.get("variance_type")).startswith("learned"):
        raise ConfigError(
            f"scheduler {name} has variance_type={scheduler.config['variance_type']}, but no network here predicts a "
            "variance; choose fixed_small."
        )
    kind = scheduler.config.get("prediction_type")
    if kind not in PREDICTION_TYPES and not facts.is_flow:
        raise ConfigError(
            f"scheduler {name} has prediction_type={kind!r}, but it must be one of {', '.join(PREDICTION_TYPES)}."
        )
