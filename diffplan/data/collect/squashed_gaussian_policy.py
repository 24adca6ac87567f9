"""SAC's stochastic policy, played from its weights alone."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32

from diffplan.data.collect.tensor_file import load_tensors
from diffplan.env.episode_recorder import PolicyAction
from diffplan.errors import DataError

_HEADS = ("actor.mu", "actor.log_std")


class SquashedGaussianPolicy:
    """A multilayer perceptron with ReLU whose outputs are mean and log deviation of a Gaussian, squashed by tanh.

    Plays in NumPy, because a single row through three small matrices costs PyTorch mostly overhead.

    Args:
        weights: Arrays of the actor under stable-baselines3's names: ``actor.latent_pi.<i>.{weight,bias}``,
            ``actor.mu.{weight,bias}`` and ``actor.log_std.{weight,bias}``. Others are ignored.
        origin: Where they come from, for messages.

    Raises:
        DataError: Weights are missing or do not fit each other.

    Reference: Haarnoja et al., "Soft Actor-Critic: Off-Policy Maximum Entropy Deep Reinforcement Learning with a
        Stochastic Actor", appendix C.
    """

    def __init__(self, weights: Mapping[str, Float[np.ndarray, "..."]], origin: str) -> None:
        self.origin = origin
        own = {name: array for name, array in weights.items() if name.startswith("actor.")}
        self.weights = {name: np.asarray(array, np.float32) for name, array in own.items()}
        hidden = {name.rsplit(".", 1)[0] for name in self.weights if name.startswith("actor.latent_pi.")}
        self._hidden = sorted(hidden, key=lambda name: int(name.rsplit(".", 1)[1]))
        width: int | None = None
        for name in (*self._hidden, _HEADS[0]):
            width = self._check(name, width)
        width = None if not self._hidden else len(self.weights[f"{self._hidden[-1]}.bias"])
        self._check(_HEADS[1], width)
        if self.weights["actor.mu.bias"].shape != self.weights["actor.log_std.bias"].shape:
            raise DataError(f"{origin} holds no squashed Gaussian policy: its mean and deviation differ in width.")

    @classmethod
    def from_zip(cls, path: Path) -> "SquashedGaussianPolicy":
        """Reads the actor from a file that stable-baselines3's SAC (or contrib's TQC) saved.

        Only numbers are read: the pickled objects that lie beside them in such a file are never loaded.

        Args:
            path: The zip file.

        Raises:
            DataError: It is not such a file, or its policy is of another form.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                state = load_tensors(archive.read("policy.pth"))
                settings = json.loads(archive.read("data"))
        except FileNotFoundError as error:
            raise DataError(f"There is no file {path}: give a policy that stable-baselines3 saved.") from error
        except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
            raise DataError(f"{path} is not a policy that stable-baselines3 saved, or is damaged.") from error
        activation = (settings.get("policy_kwargs") or {}).get("activation_fn", "ReLU")
        if settings.get("use_sde") or "ReLU" not in str(activation):
            raise DataError(f"{path} must hold a policy with ReLU and without state-dependent exploration.")
        weights = {name: value.numpy() for name, value in state.items() if isinstance(value, torch.Tensor)}
        return cls(weights, str(path))

    @property
    def observation_dim(self) -> int:
        """Width of the observations it takes."""
        first = self._hidden[0] if self._hidden else _HEADS[0]
        return int(self.weights[f"{first}.weight"].shape[1])

    @property
    def action_dim(self) -> int:
        """Number of actuators it commands."""
        return len(self.weights["actor.mu.bias"])

    def sample(self, observation: Float32[np.ndarray, " observation"], generator: np.random.Generator) -> PolicyAction:
        """Draws an action.

        Args:
            observation: Observation in raw units.
            generator: Source of the randomness.
        """
        features = observation
        for name in self._hidden:
            features = np.maximum(self._affine(name, features), 0.0)
        mean = self._affine(_HEADS[0], features)
        log_std = np.clip(self._affine(_HEADS[1], features), -20.0, 2.0)
        noise = generator.standard_normal(self.action_dim, dtype=np.float32)
        action = np.tanh(mean + np.exp(log_std) * noise)
        density = -0.5 * noise**2 - log_std - 0.5 * np.log(2.0 * np.pi)
        # The constant keeps saturated actions finite; it is stable-baselines3's.
        squashing = np.log(1.0 - action.astype(np.float64) ** 2 + 1e-6)
        return PolicyAction(action, float(np.sum(density - squashing)))

    def _affine(self, name: str, features: Float32[np.ndarray, " inputs"]) -> Float32[np.ndarray, " outputs"]:
        return self.weights[f"{name}.weight"] @ features + self.weights[f"{name}.bias"]

    def _check(self, name: str, width: int | None) -> int:
        """Makes sure that a layer is there and takes ``width`` inputs; returns its outputs."""
        shapes: Sequence[tuple[int, ...]] = [
            self.weights[f"{name}.{part}"].shape for part in ("weight", "bias") if f"{name}.{part}" in self.weights
        ]
        if len(shapes) != 2 or len(shapes[0]) != 2 or shapes[1] != shapes[0][:1]:
            raise DataError(f"{self.origin} holds no squashed Gaussian policy such as SAC's: '{name}' is missing.")
        if width is not None and shapes[0][1] != width:
            raise DataError(f"{self.origin} holds no squashed Gaussian policy: '{name}' must take {width} inputs.")
        return shapes[0][0]
