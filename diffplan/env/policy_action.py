"""What a stochastic policy decides."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32


@dataclass(frozen=True)
class PolicyAction:
    """One sampled action.

    Attributes:
        action: Actuator commands in [-1, 1].
        log_probability: Logarithm of the policy's density at the action.
    """

    action: Float32[np.ndarray, " action"]
    log_probability: float
