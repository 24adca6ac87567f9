from dataclasses import dataclass
from typing import Literal

from diffplan.errors import ConfigError


@dataclass(frozen=True)
class ReturnTarget:
    """What a critic predicts: the discounted return from the first row of a plan to the end of the episode.

    Args:
        discount: Weight of a reward for each environment step it lies ahead, above 0 and below 1, or 1.
        termination_penalty: Added to the last reward of an episode that ended in a terminal state.
        time_limit: What is taken to follow a truncated episode: nothing (``truncate``, as the original, so that
            returns fall towards the limit), or its mean reward for ever (``extrapolate``).

    Raises:
        ConfigError: for values outside these.

    Reference: Diffuser, released code ``ValueDataset``; discount and penalty as used for planning there.
    """

    discount: float = 0.997
    termination_penalty: float = -100.0
    time_limit: Literal["truncate", "extrapolate"] = "truncate"

    def __post_init__(self) -> None:
        if not 0 < self.discount <= 1:
            raise ConfigError(f"critic.target.discount must lie above 0 and at most at 1, got {self.discount}.")
        if self.time_limit not in ("truncate", "extrapolate"):
            raise ConfigError(f"critic.target.time_limit must be truncate or extrapolate, got {self.time_limit!r}.")
        if self.time_limit == "extrapolate" and self.discount == 1:
            raise ConfigError("critic.target.time_limit=extrapolate needs a discount below 1, got 1.")
