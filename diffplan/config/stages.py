"""Which stages a run trains, and to which step."""

from omegaconf import DictConfig

from diffplan.errors import ConfigError


def check_stages(config: DictConfig) -> None:
    """Refuses combinations in which nothing, or the same thing twice, would be trained.

    Raises:
        ConfigError: for such a combination.
    """
    unknown = set(config.stages) - {"critic", "denoiser"}
    if unknown or not config.stages:
        raise ConfigError(f"stages may hold critic and denoiser, got {list(config.stages)}.")
    if not (trains_critic(config) or trains_denoiser(config)):
        raise ConfigError(
            "nothing is left to train: denoiser and critic are both given or not among the stages; to plan with "
            "trained ones, use diffplan plan."
        )
    if config.critic.module is not None and "critic" not in config.stages and config.critic.path is None:
        raise ConfigError("a denoiser of this task plans with a critic: give critic.path=<run>, or choose critic=none.")
    if config.critic.get("keep", "last") == "best" and not config.critic.held_out:
        raise ConfigError(
            "critic.keep=best chooses by the error on held-out episodes, and none are held out: add "
            "critic.held_out=0.1, or choose critic.keep=last."
        )


def trains_critic(config: DictConfig) -> bool:
    """Whether the critic is a stage of this run."""
    return "critic" in config.stages and config.critic.module is not None and config.critic.path is None


def trains_denoiser(config: DictConfig) -> bool:
    """Whether the denoiser is a stage of this run."""
    return "denoiser" in config.stages and config.denoiser is None


def last_step(config: DictConfig) -> int:
    """Returns the number of optimiser steps of the last stage."""
    return config.trainer.max_steps if trains_denoiser(config) else config.critic.max_steps
