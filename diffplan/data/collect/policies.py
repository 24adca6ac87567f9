"""Stochastic policies: uniform actions, and the policy of soft actor-critic (SAC)."""

import io
import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32

from diffplan.errors import DataError
from diffplan.files import check_file

_HIDDEN = re.compile(r"(actor\.latent_pi\.[0-9]{1,4})\.")
_LARGEST_BYTES = 1_000_000_000


class PolicyAction(NamedTuple):
    """One sampled action.

    Attributes:
        action: Motor commands in [-1, 1].
        log_probability: Logarithm of the policy's density at the action.
    """

    action: Float32[np.ndarray, " action"]
    log_probability: float


@runtime_checkable
class Policy(Protocol):
    """Anything that draws actions."""

    def sample(self, observation: Float32[np.ndarray, " observation"], generator: np.random.Generator) -> PolicyAction:
        """Draws an action.

        Args:
            observation: Observation in raw units.
            generator: Source of the randomness.
        """


class UniformPolicy:
    """The policy of D4RL's random sets: every action is uniform in [-1, 1].

    Args:
        action_dim: Number of motors.
    """

    def __init__(self, action_dim: int) -> None:
        self.action_dim = action_dim

    def sample(self, observation: Float32[np.ndarray, " observation"], generator: np.random.Generator) -> PolicyAction:
        action = generator.uniform(-1.0, 1.0, self.action_dim).astype(np.float32)
        return PolicyAction(action, -self.action_dim * float(np.log(2.0)))


class SquashedGaussianPolicy:
    """SAC's policy: a ReLU network gives mean and log deviation of a Gaussian, whose samples are squashed by tanh.

    It runs in NumPy, because PyTorch's overhead is larger than the work for a single row.

    Args:
        weights: Weights of the actor under stable-baselines3's names: ``actor.latent_pi.<i>.{weight,bias}``,
            ``actor.mu.{weight,bias}`` and ``actor.log_std.{weight,bias}``. Other weights are ignored.
        origin: Where the weights come from, for messages.

    Raises:
        DataError: Weights are missing or do not fit each other.

    Reference: Haarnoja et al., "Soft Actor-Critic: Off-Policy Maximum Entropy Deep Reinforcement Learning with a
        Stochastic Actor", appendix C.
    """

    def __init__(self, weights: Mapping[str, Float[np.ndarray, "..."]], origin: str) -> None:
        self.origin = origin
        self.weights = {
            name: np.asarray(array, np.float32) for name, array in weights.items() if name.startswith("actor.")
        }
        if not all(np.isfinite(array).all() for array in self.weights.values()):
            raise DataError(f"{origin} holds no policy that can act: some of its weights are not finite.")
        hidden = {match[1] for name in self.weights if (match := _HIDDEN.match(name))}
        self._hidden = sorted(hidden, key=lambda name: int(name.rsplit(".", 1)[1]))
        width: int | None = None
        for name in self._hidden:
            width = self._check(name, width)
        if self._check("actor.mu", width) != self._check("actor.log_std", width):
            raise DataError(f"{origin} holds no squashed Gaussian policy: its mean and deviation differ in width.")

    @classmethod
    def from_zip(cls, path: Path) -> "SquashedGaussianPolicy":
        """Reads the policy from a file that SAC of stable-baselines3 (or TQC of its contrib package) saved.

        Only numbers are read. The pickled objects in such a file are not loaded, so no code of the file runs.

        Args:
            path: The zip file.

        Raises:
            DataError: It is no such file, or its policy has another form.
        """
        check_file(path, "a policy that stable-baselines3 saved")
        try:
            with zipfile.ZipFile(path) as archive:
                if sum(archive.getinfo(name).file_size for name in ("policy.pth", "data")) > _LARGEST_BYTES:
                    raise ValueError("too large")
                content = io.BytesIO(archive.read("policy.pth"))
                if not zipfile.is_zipfile(content):  # PyTorch's format before 1.6 is a bare pickle.
                    raise ValueError("policy.pth")
                content.seek(0)
                state = torch.load(content, map_location="cpu", weights_only=True)
                weights = {name: value.numpy() for name, value in state.items() if isinstance(value, torch.Tensor)}
                settings = json.loads(archive.read("data"))
        # PyTorch and zipfile report damaged files by errors without a common class.
        except (
            *(zipfile.BadZipFile, pickle.UnpicklingError, OSError, ValueError, LookupError),
            *(RuntimeError, AttributeError, TypeError, EOFError, NotImplementedError, MemoryError),
        ) as error:
            raise DataError(f"{path} is not a policy that stable-baselines3 saved, or is damaged.") from error
        settings = settings if isinstance(settings, dict) else {}
        arguments = settings.get("policy_kwargs")
        activation = arguments.get("activation_fn", "ReLU") if isinstance(arguments, dict) else "ReLU"
        if settings.get("use_sde") or "ReLU" not in str(activation):
            raise DataError(f"{path} must hold a policy with ReLU and without state-dependent exploration.")
        return cls(weights, str(path))

    @property
    def observation_dim(self) -> int:
        """Width of the observations."""
        return int(self.weights[f"{[*self._hidden, 'actor.mu'][0]}.weight"].shape[1])

    @property
    def action_dim(self) -> int:
        """Number of motors."""
        return len(self.weights["actor.mu.bias"])

    def sample(self, observation: Float32[np.ndarray, " observation"], generator: np.random.Generator) -> PolicyAction:
        features = observation
        for name in self._hidden:
            features = np.maximum(self._affine(name, features), 0.0)
        mean = self._affine("actor.mu", features)
        log_std = np.clip(self._affine("actor.log_std", features), -20.0, 2.0)
        noise = generator.standard_normal(self.action_dim, dtype=np.float32)
        action = np.tanh(mean + np.exp(log_std) * noise)
        density = -0.5 * noise**2 - log_std - 0.5 * np.log(2.0 * np.pi)
        # The constant is stable-baselines3's and keeps the density of saturated actions finite.
        squashing = np.log(1.0 - action.astype(np.float64) ** 2 + 1e-6)
        return PolicyAction(action, float(np.sum(density - squashing)))

    def _affine(self, name: str, features: Float32[np.ndarray, " inputs"]) -> Float32[np.ndarray, " outputs"]:
        return self.weights[f"{name}.weight"] @ features + self.weights[f"{name}.bias"]

    def _check(self, name: str, width: int | None) -> int:
        """Checks that a layer exists and takes ``width`` inputs; returns its number of outputs."""
        weight, bias = (self.weights.get(f"{name}.{part}", np.zeros(())) for part in ("weight", "bias"))
        if weight.ndim != 2 or bias.shape != weight.shape[:1]:
            raise DataError(f"{self.origin} holds no squashed Gaussian policy such as SAC's: '{name}' is missing.")
        if width is not None and weight.shape[1] != width:
            raise DataError(f"{self.origin} holds no squashed Gaussian policy: '{name}' must take {width} inputs.")
        return int(weight.shape[0])
