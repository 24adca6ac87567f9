"""Measures a critic on windows of episodes that it was not trained on."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from diffplan.errors import ConfigError
from diffplan.method.critic import CriticQuality, LevelQuality, TrajectoryCritic
from diffplan.method.noise.schedule import NoiseSchedule
from diffplan.method.shapes import Trajectories

_NUM_NOISE_LEVELS = 5
_AT_ONCE = 512
_NORMAL_95 = 1.959964


@dataclass(frozen=True)
class HeldOutSample:
    """A fixed sample of held-out windows, and pairs of windows that begin in nearly the same state.

    Attributes:
        trajectories: Normalised clean windows: first those drawn at random, then neighbours of these.
        returns: The return that followed the first row of each.
        episodes: A number for the episode of each.
        pairs: Two windows of different episodes whose first observations are nearest neighbours.
        num_drawn: How many windows were drawn at random; errors are measured on them alone.
    """

    trajectories: Trajectories
    returns: Float[Tensor, " batch"]
    episodes: Int[Tensor, " batch"]
    pairs: Int[Tensor, "pair 2"]
    num_drawn: int

    def to(self, device: torch.device) -> "HeldOutSample":
        """Returns the same sample on a device."""
        moved: dict[str, Any] = {k: value.to(device) for k, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **moved)


class CriticCheck:
    """Measures how well a critic predicts and orders the returns of held-out windows, clean and at noise levels.

    The noise is the same at every call, so numbers differ only where the critic does.

    Args:
        critic: Says what is noised and how; its network is not used.
        sample: The windows.

    Attributes:
        timesteps: Noise levels: five over the schedule, or all of them where they are fewer; None, for clean windows,
            comes first.

    Raises:
        ConfigError: the critic has no conditioning.
    """

    def __init__(self, critic: TrajectoryCritic, sample: HeldOutSample) -> None:
        if critic.conditioning is None:
            raise ConfigError("a critic is checked with the conditioning of its training, but this one has none.")
        self.sample = sample
        num_timesteps = critic.scheduler.config.num_train_timesteps
        spread = np.linspace(0, num_timesteps - 1, min(_NUM_NOISE_LEVELS, num_timesteps))
        self.timesteps: list[int | None] = [None, *sorted({round(timestep) for timestep in spread})]
        self._schedule = NoiseSchedule(critic.scheduler)
        self._mask = critic.conditioning.mask(critic.horizon, critic.layout).to(sample.trajectories.device)

    @torch.no_grad()
    def values(self, critic: TrajectoryCritic) -> Float64[np.ndarray, "level window"]:
        """Returns the value of every window of the sample at every level, in units of reward."""
        return np.stack([self._values(critic, timestep) for timestep in self.timesteps])

    def quality(self, critic: TrajectoryCritic, step: int) -> CriticQuality:
        """Measures a critic.

        Args:
            critic: The critic.
            step: Optimiser steps that it was trained for.

        Raises:
            CheckpointError: its values are not finite.
        """
        returns, episodes, pairs = (
            array.cpu().numpy() for array in (self.sample.returns, self.sample.episodes, self.sample.pairs)
        )
        drawn = slice(self.sample.num_drawn)
        levels: list[LevelQuality] = []
        for timestep, values in zip(self.timesteps, self.values(critic), strict=True):
            numbers: dict[str, Any] = {**prediction_errors(values[drawn], returns[drawn].astype(np.float64))}
            numbers["pull"] = self._pull(critic, timestep)
            levels.append(LevelQuality(timestep, **numbers, **ordering(values, returns, episodes, pairs)))
        num_episodes = len(np.unique(episodes[drawn]))
        return CriticQuality(step, num_episodes, self.sample.num_drawn, tuple(levels))

    def _values(self, critic: TrajectoryCritic, timestep: int | None) -> Float64[np.ndarray, " window"]:
        noised = self._noised(timestep, self.sample.trajectories)
        return torch.cat([critic.values(windows, at).double().cpu() for windows, at in noised]).numpy()

    def _pull(self, critic: TrajectoryCritic, timestep: int | None) -> float:
        """Measures the gradient of the windows drawn at random, see ``LevelQuality.pull``."""
        free, lengths = ~self._mask, []
        for windows, at in self._noised(timestep, self.sample.trajectories[: self.sample.num_drawn]):
            with torch.enable_grad():
                windows = windows.detach().requires_grad_()
                (gradient,) = torch.autograd.grad(critic.values(windows, at).sum(), windows)
            squares = gradient.double().masked_fill(self._mask, 0.0).square().sum(dim=(1, 2))
            lengths.append((squares / free.sum()).sqrt().cpu())
        return float(torch.cat(lengths).quantile(0.99))

    def _noised(self, timestep: int | None, clean: Trajectories) -> Iterator[tuple[Trajectories, Tensor]]:
        """Yields some windows at a time at a noise level, with their timestep."""
        generator = torch.Generator().manual_seed(0 if timestep is None else timestep + 1)
        at = torch.tensor([timestep or 0], device=clean.device)
        for trajectories in clean.split(_AT_ONCE):
            if timestep is not None:
                noise = torch.randn(trajectories.shape, generator=generator).to(trajectories)
                noisy = self._schedule.add_noise(trajectories, noise, at)
                trajectories = torch.where(self._mask, trajectories, noisy)
            yield trajectories, at


def prediction_errors(
    values: Float64[np.ndarray, " window"], returns: Float64[np.ndarray, " window"]
) -> dict[str, float]:
    """Compares values with returns: ``rmse``, ``r2``, ``bias`` and ``correlation`` of ``LevelQuality``."""
    errors, variance = values - returns, returns.var()
    spread = values.std() * returns.std()
    together = ((values - values.mean()) * (returns - returns.mean())).mean()
    return {
        "rmse": float(np.sqrt((errors**2).mean())),
        # Constant returns leave nothing to explain.
        "r2": float(1 - (errors**2).mean() / variance) if variance > 0 else 0.0,
        "bias": float(errors.mean()),
        "correlation": float(np.clip(together / spread, -1, 1)) if spread > 0 else 0.0,
    }


def ordering(
    values: Float64[np.ndarray, " window"],
    returns: Float[np.ndarray, " window"],
    episodes: Int[np.ndarray, " window"],
    pairs: Int[np.ndarray, "pair 2"],
) -> dict[str, float]:
    """Counts the pairs whose order by value is the order by return; equal values count half, equal returns nothing.

    Args:
        values: Of all windows.
        returns: Of all windows.
        episodes: A number for the episode of each window.
        pairs: Numbers of the two windows of each pair, of different episodes.

    Returns:
        ``ordering`` and its companions of ``LevelQuality``; nothing where there is no pair.
    """
    by_value, by_return = (np.sign(array[pairs[:, 0]] - array[pairs[:, 1]]) for array in (values, returns))
    counted = by_return != 0
    if not counted.any():
        return {}
    right = 0.5 + 0.5 * by_value[counted] * by_return[counted]
    share = float(right.mean())
    error, half = _dyadic_error(right - share, episodes[pairs[counted]])
    low, high = max(share - half, 0.0), min(share + half, 1.0)
    return {"ordering": share, "ordering_stderr": error, "ordering_low": low, "ordering_high": high}


def _dyadic_error(deviations: Float64[np.ndarray, " pair"], episodes: Int[np.ndarray, "pair 2"]) -> tuple[float, float]:
    """Returns the standard error of a mean over pairs of episodes, and half the width of its 95 % interval.

    Two pairs depend on each other if they share an episode. It is never smaller than that of independent pairs.

    Reference: Aronow, Samii and Assenova 2015, Cluster-robust variance estimation for dyadic data, equation 5.
    """
    present, numbers = np.unique(episodes, return_inverse=True)
    numbers = np.sort(numbers.reshape(-1, 2), axis=1)
    count = len(present)
    of_episode = np.bincount(numbers.ravel(), np.repeat(deviations, 2))
    # Pairs of the same two episodes are in both sums.
    of_both = np.bincount(numbers[:, 0] * count + numbers[:, 1], deviations)
    clustered = ((of_episode**2).sum() - (of_both**2).sum()) * count / (count - 1)
    error = float(np.sqrt(max(clustered, (deviations**2).sum()))) / len(deviations)
    return error, error * _student(count - 1)


def _student(freedom: int) -> float:
    """Returns the 97.5 % quantile of Student's distribution, within 2 % from three degrees of freedom on.

    Reference: Abramowitz and Stegun 1964, equation 26.7.5.
    """
    z = _NORMAL_95
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
