"""The one place that says which values a setting may have beside its type: numbers in a range, names that name.

Types come from the constructors, see ``diffplan.config.signatures``. What no constructor takes, as the keys of
``window`` and ``paths``, has its type here.
"""

import math
import re
from dataclasses import dataclass
from typing import Any, Literal

from diffplan.errors import ConfigError

_INDEX = re.compile(r"\[\d+\]")


@dataclass(frozen=True)
class Range:
    """Numbers from the least to the most.

    Attributes:
        least: The smallest.
        most: The largest.
        step: Distance between two of them; None for all in between.
        also: Other numbers that have a meaning of their own.
        is_open: Whether the least itself is too small.
    """

    least: float | int
    most: float | int = math.inf
    step: int | None = None
    also: tuple[int, ...] = ()
    is_open: bool = False

    def refusal(self, value: float | int) -> str | None:
        """Says what a number must be; None if it is."""
        if value in self.also:
            return None
        also = "".join(f"{number} or " for number in self.also)
        if value < self.least or (self.is_open and value == self.least):
            return f"{also}{'above' if self.is_open else 'at least'} {self.least:g}"
        if value > self.most:
            return f"{also}at most {self.most:.12g}"
        if self.step is not None and (value - self.least) % self.step:
            return f"one of {', '.join(f'{self.least + index * self.step:g}' for index in range(3))} and so on"
        return None


_COUNT, _COUNT_OR_ZERO, _POSITIVE, _NOT_NEGATIVE = Range(1, 10**9), Range(0, 10**9), Range(0, is_open=True), Range(0)
_SHARE, _SEED = Range(0, 1), Range(0, 2**32 - 1)

# By the name of the setting, or by the end of its dotted key where one name means different things.
RANGES = {
    "seed": _SEED, "first_seed": _SEED, "num_threads": Range(1, 1024), "steps": _COUNT,
    "num_episodes": Range(1, 10**5), "num_final_episodes": Range(1, 10**5), "num_videos": Range(0, 10**5),
    "compare_without_guide": Range(0, 10**5),
    # Data.
    "num_transitions": _COUNT, "noise": _NOT_NEGATIVE, "max_episode_steps": _COUNT, "observation_dim": Range(1, 10**5),
    "action_dim": Range(0, 10**5), "task.action_dim": Range(1, 10**5), "transition_dim": Range(1, 2 * 10**5),
    "horizon": _COUNT, "stride": _COUNT, "max_path_length": _COUNT, "batch_size": _COUNT,
    # Networks, noise and losses.
    "dim": Range(8, 2**16, step=8), "dim_multipliers": Range(1, 2**10), "kernel_size": Range(1, 99, step=2),
    "num_train_timesteps": Range(1, 10**5), "diffusion_steps": Range(1, 10**5), "shift": _POSITIVE,
    "original_inference_steps": _COUNT, "timestep_scaling": _POSITIVE, "solver_order": Range(1, 3),
    "beta_start": _SHARE, "beta_end": _SHARE,
    "action_weight": _NOT_NEGATIVE, "observation_weights": _NOT_NEGATIVE, "loss.discount": _SHARE,
    "target.discount": Range(0, 1, is_open=True), "held_out": Range(0, 0.99),
    # Plans.
    "num_inference_steps": _COUNT, "num_candidates": _COUNT, "tilt": _NOT_NEGATIVE, "replan_every": _COUNT,
    "warm_start_steps": _COUNT,
    "max_batch": _COUNT, "steps_per_second": _POSITIVE, "candidates": _COUNT,
    "scales": _NOT_NEGATIVE, "guide.num_steps": _COUNT_OR_ZERO, "t_stopgrad": _COUNT_OR_ZERO,
    # Training.
    "train_steps": _COUNT, "max_steps": _COUNT, "max_epochs": Range(1, 10**9, also=(-1,)),
    "devices": Range(1, 1024, also=(-1,)), "devices[]": Range(0, 1024),
    "num_nodes": Range(1, 1024), "accumulate_grad_batches": _COUNT, "gradient_clip_val": _NOT_NEGATIVE,
    "log_every_n_steps": _COUNT, "every_n_steps": _COUNT, "rollout.every_n_steps": _COUNT_OR_ZERO,
    "keep_every_n_steps": _COUNT, "check_every_n_steps": _COUNT,
    "lr": _NOT_NEGATIVE, "betas": Range(0, 0.9999999), "eps": _NOT_NEGATIVE, "weight_decay": _NOT_NEGATIVE,
    "factor": _SHARE, "num_warmup_steps": _COUNT_OR_ZERO, "num_training_steps": _COUNT,
    "decay": _SHARE, "update_every": _COUNT, "start_step": _COUNT_OR_ZERO,
    "connect_timeout_seconds": Range(0, 10**6, is_open=True), "finish_timeout_seconds": Range(0, 10**6, is_open=True),
}  # fmt: skip

Protocol = Literal["single_task", "multi2d"]
# Groups that build nothing themselves. Their entries build something or are null, except for the ones in ``TYPES``.
PLAIN_GROUPS = ("window", "paths", "critic", "callbacks", "logger")
TYPES: dict[str, Any] = {
    "window.horizon": int, "window.stride": int, "window.actions": bool, "window.max_path_length": int | None,
    "window.padding": Literal["none", "zero", "edge"], "window.drop_last_window": bool,
    "paths.output_dir": str, "paths.data_dir": str, "paths.run_name": str, "paths.run_dir": str,
    "critic.max_steps": int, "critic.path": str | None, "critic.held_out": float, "critic.check_every_n_steps": int,
    "critic.keep": Literal["last", "best"],
}  # fmt: skip
# Names become folders and labels. W&B takes no project of more than 128 letters, and no tag of more than 64.
_MOST_LETTERS = {
    "name": 64, "task.name": 64, "sweep": 128, "job_type": 64, "project": 128, "tags": 64,
    "logger.wandb.project": 128, "logger.wandb.tags": 64,
}  # fmt: skip
_IN_NO_NAME = {"name": "/\\", "task.name": "/\\", "project": "/\\#?%:", "logger.wandb.project": "/\\#?%:"}
_NOT_EMPTY = {*_MOST_LETTERS, *(key for key in TYPES if key.startswith("paths."))}
_LISTS_WITH_ITEMS = (
    "protocols", "stages", "schedulers", "steps", "scales", "candidates", "dim_multipliers", "betas",
    "observation_keys",
)  # fmt: skip
_LONGEST_TEXT = 4096


def check_range(value: Any, key: str) -> None:
    """Refuses a number or a text that its setting cannot mean.

    Args:
        value: A plain value; items of lists and mappings are checked one by one. Settings of a part are not, because
            the names of another part's settings may mean something else.
        key: Dotted key of the setting.

    Raises:
        ConfigError: naming the key, what it may be and what it is.
    """
    if isinstance(value, dict) and "_target_" not in value:
        for name, item in value.items():
            check_range(item, f"{key}.{name}")
    elif isinstance(value, (list, tuple)):
        if not value and key.rpartition(".")[2] in _LISTS_WITH_ITEMS:
            raise ConfigError(f"{key} must not be empty.")
        for index, item in enumerate(value):
            check_range(item, f"{key}[{index}]")
    elif isinstance(value, str):
        _check_text(value, key)
    elif isinstance(value, bool):
        if _range_of(key) is not None:
            raise ConfigError(f"{key} must be a number, got {value}.")
    elif isinstance(value, (int, float)):
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{key} must be a finite number, got {value}.")
        allowed = _range_of(key)
        refusal = None if allowed is None else allowed.refusal(value)
        if refusal is not None:
            raise ConfigError(f"{key} must be {refusal}, got {value}.")


def _range_of(key: str) -> Range | None:
    # A list of devices names them by their numbers.
    parts = _INDEX.sub("[]" if "devices[" in key else "", key).split(".")
    ends = (".".join(parts[start:]) for start in range(len(parts)))
    return next((RANGES[end] for end in ends if end in RANGES), None)


def _check_text(value: str, path: str) -> None:
    key = _INDEX.sub("", path)
    if not value.isprintable():
        raise ConfigError(f"{key} must hold no control characters, got {value!r}.")
    if not value and key in _NOT_EMPTY:
        raise ConfigError(f"{key} must not be empty.")
    most = _MOST_LETTERS.get(key, _LONGEST_TEXT)
    if len(value) > most:
        raise ConfigError(f"{key} may have {most} letters, got {len(value)}: {value[:20]}...")
    if key in _IN_NO_NAME and (set(value) & set(_IN_NO_NAME[key]) or value in (".", "..")):
        raise ConfigError(f"{key} must be a word without {' '.join(_IN_NO_NAME[key])}, got {value!r}.")
