from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from diffplan.shapes import Timesteps, Trajectories

_FLOW = "FlowMatch"


class NoiseSchedule:
    """How much of a trajectory and how much noise the network sees at each trained timestep.

    The network's input at timestep ``t`` is ``signal[t] * clean + noise[t] * eps``, whatever units a scheduler keeps
    its own samples in: ``signal^2 + noise^2 = 1`` for diffusion, ``signal + noise = 1`` for flow matching.

    Args:
        scheduler: Diffusers scheduler, used or not.

    Attributes:
        is_flow: Whether the schedule is a flow's.
        signal: Weight of the clean trajectory, by timestep, least noise first; double precision.
        noise: Weight of the noise.

    Reference: Ho et al. 2020, equation 4; Lipman et al. 2023, example II.
    """

    def __init__(self, scheduler: Any) -> None:
        self.is_flow = type(scheduler).__name__.startswith(_FLOW)
        self.signal: Float[Tensor, " timestep"]
        self.noise: Float[Tensor, " timestep"]
        if self.is_flow:
            # In use a scheduler forgets the levels it was made with. Its own way to copy itself, `from_config`, would
            # forget what was given by place.
            settings = {key: value for key, value in scheduler.config.items() if not key.startswith("_")}
            fresh = type(scheduler)(**settings)
            self.noise = fresh.sigmas.flip(0).double()
            self.signal = 1 - self.noise
            self._single = torch.stack([self.signal, self.noise]).float()
        else:
            kept = scheduler.alphas_cumprod.cpu()
            self.signal, self.noise = kept.double().sqrt(), (1 - kept.double()).sqrt()
            # As diffusers computes them: training noise is the same to the last bit.
            self._single = torch.stack([kept**0.5, (1 - kept) ** 0.5])

    def add_noise(
        self,
        clean: Trajectories,
        noise: Trajectories,
        timesteps: Timesteps,
    ) -> Trajectories:
        """Returns what the network sees of clean trajectories, each at its own timestep or all at one."""
        # Moved once: a copy a call would wait for the device.
        self._single = self._single.to(clean.device)
        signal, standard_deviation = self._single[:, timesteps, None, None]
        return signal * clean + standard_deviation * noise
