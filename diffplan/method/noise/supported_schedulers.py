"""Which diffusers schedulers can denoise plans here, in which units they keep their samples, and why others cannot."""

from typing import Any

from diffplan.errors import ConfigError

PREDICTION_TYPES = ("sample", "epsilon", "v_prediction")
# Their sample is the network's input.
_IN_NETWORK_UNITS = {
    "DDPMScheduler",
    "DDIMScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "UniPCMultistepScheduler",
    "DEISMultistepScheduler",
    "LCMScheduler",
    "FlowMatchEulerDiscreteScheduler",
}
# Their sample is the clean trajectory plus sigma times noise: the network's input over its signal.
_IN_SIGMA_UNITS = {"EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler"}
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


def is_in_sigma_units(scheduler: Any) -> bool:
    """Whether a scheduler keeps ``clean + sigma * eps`` for its sample, and not the network's input."""
    return type(scheduler).__name__ in _IN_SIGMA_UNITS


def check_scheduler(scheduler: Any) -> None:
    """Refuses schedulers that cannot denoise plans.

    Raises:
        ConfigError: with the reason.
    """
    name = type(scheduler).__name__
    if name not in _IN_NETWORK_UNITS | _IN_SIGMA_UNITS:
        reason = _REASONS.get(name, "is not known here; choose another, see conf/scheduler")
        raise ConfigError(f"{name} cannot denoise plans: it {reason}.")
    kind = scheduler.config.get("prediction_type")
    if kind not in PREDICTION_TYPES and not name.startswith("FlowMatch"):
        raise ConfigError(
            f"scheduler {name} has prediction_type={kind!r}, but it must be one of {', '.join(PREDICTION_TYPES)}."
        )
