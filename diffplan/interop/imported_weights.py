"""What is known of a model from elsewhere once its weights have been read."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from diffplan.interop.trajectory_format import TrajectoryFormat


@dataclass(frozen=True)
class ImportedWeights:
    """One network, by our names of its weights, and what its file tells beside.

    Attributes:
        average: The weights that planning uses.
        live: The weights that were trained; the same where only one set was kept.
        step: Optimiser steps trained; 0 where it is not known.
        alphas_cumprod: The noise it was trained on; None where it is not known.
        horizon: Rows of a plan; None where it is not known.
        prediction_type: What the network predicts; None where it is not known.
        clip_sample: Whether denoised estimates are clipped; None where it is not known.
        form: The trajectory format, of models exported here.
    """

    average: Mapping[str, Tensor]
    live: Mapping[str, Tensor]
    step: int = 0
    alphas_cumprod: Float[Tensor, " timestep"] | None = None
    horizon: int | None = None
    prediction_type: str | None = None
    clip_sample: bool | None = None
    form: TrajectoryFormat | None = None
