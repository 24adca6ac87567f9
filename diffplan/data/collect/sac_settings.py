"""What decides how a policy training goes."""

from dataclasses import asdict, dataclass

from diffplan.errors import ConfigError


@dataclass(frozen=True)
class SacSettings:
    """Settings of one training; the same settings give the same policies, however often it is stopped and resumed.

    How long to train is not among them: a longer training is the shorter one, continued.

    Attributes:
        env_id: D4RL id of the environment, for instance ``hopper-medium-v2``.
        seed: Seeds weights, episodes and batches.
        hidden_width: Units of each of the two hidden layers.
        batch_size: Transitions in a gradient step; there is one gradient step per environment step.
        learning_starts: Steps with random actions before the first gradient step.
        evaluate_every: Steps between milestones, at which the policy is evaluated and everything is saved; each falls
            on the next end of an episode.
        evaluation_episodes: Episodes in an evaluation.

    Raises:
        ConfigError: A number out of range.
    """

    env_id: str
    seed: int = 0
    hidden_width: int = 256
    batch_size: int = 256
    learning_starts: int = 10_000
    evaluate_every: int = 5_000
    evaluation_episodes: int = 10

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"--seed must be at least 0, got {self.seed}.")
        for name in ("hidden_width", "batch_size", "learning_starts", "evaluate_every", "evaluation_episodes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name.replace('_', '-')} must be at least 1, got {getattr(self, name)}.")

    def values(self) -> dict[str, str | int]:
        """All settings by name."""
        return asdict(self)
