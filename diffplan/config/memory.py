"""How much memory settings ask for, told before any of it is taken."""

import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffplan.errors import ConfigError

_BYTES = 4
# Measured: kept for the backward pass, and live at a time without one, in units of the widest features of each level.
_KEPT_IN_TRAINING, _LIVE_IN_PLANNING = 22, 3.5
_WEIGHTS_OF_SQUARED_WIDTH = 2.2
# Weights, gradients, two moments and the average.
_COPIES_IN_TRAINING = 5
_BYTES_OF_ROW, _BYTES_OF_ENVIRONMENT, _ARRAYS_OF_SCHEDULE = 60, 5e5, 10


def check_training_memory(config: Mapping[str, Any]) -> None:
    """Refuses a training that the machine cannot hold.

    Args:
        config: Plain values of ``conf/train.yaml``, of the right types.

    Raises:
        ConfigError: saying how much is needed for what, and how much there is.
    """
    window, data, rollout = config["window"], config["datamodule"], config["callbacks"].get("rollout") or {}
    networks = _networks(config)
    needs = {"the network": sum(map(_weights, networks)) * _BYTES * _COPIES_IN_TRAINING}
    if not _trains_on_gpu(config["trainer"]):
        features = sum(_features(network, window["horizon"]) for network in networks)
        needs["the batch (datamodule.batch_size)"] = data.get("batch_size", 0) * features * _BYTES * _KEPT_IN_TRAINING
    if str(config["source"]["_target_"]).endswith(".Maze2DSource"):
        needs["the data (source.num_transitions)"] = config["source"].get("num_transitions", 0) * _BYTES_OF_ROW
    needs |= _planning(config, networks, window["horizon"], rollout.get("num_final_episodes", 0))
    _check(needs)


def check_planning_memory(config: Mapping[str, Any], trained: Mapping[str, Any]) -> None:
    """Refuses an evaluation that the machine cannot hold.

    Args:
        config: Plain values of ``conf/plan.yaml``, of the right types.
        trained: The same of ``conf/train.yaml``, from the checkpoint.

    Raises:
        ConfigError: saying how much is needed for what, and how much there is.
    """
    _check(_planning(config, _networks(trained), trained["window"]["horizon"], config["num_episodes"]))


def available_memory() -> int:
    """Returns the bytes that this process can still take: what machine, control group and process limit leave."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for line in _text("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            limits.append(int(line.split()[1]) * 1024)
    group = _text("/proc/self/cgroup").rpartition("::")[2].strip()
    for folder in {"/sys/fs/cgroup", f"/sys/fs/cgroup{group}"}:
        group_most, in_use = (_text(f"{folder}/memory.{name}").strip() for name in ("max", "current"))
        if group_most.isdigit() and in_use.isdigit():
            limits.append(int(group_most) - int(in_use))
    pages = (_text("/proc/self/statm") or "0 0 0 0 0 0").split()
    for limit, used in ((resource.RLIMIT_AS, pages[0]), (resource.RLIMIT_DATA, pages[5])):
        most = resource.getrlimit(limit)[0]
        if most != resource.RLIM_INFINITY:
            limits.append(most - int(used) * os.sysconf("SC_PAGE_SIZE"))
    return max(min(limits), 0)


def readable_size(size: float | int) -> str:
    """Writes a number of bytes for people."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} PB"


def _planning(config: Mapping[str, Any], networks: list[Any], horizon: int, episodes: int) -> dict[str, float | int]:
    planner, steps = config["planner"], config["scheduler"] or {}
    is_guided = not str(config["guide"]["_target_"]).endswith(".NoGuide")
    batch = episodes * (planner.get("num_candidates", 1) if is_guided else 1)
    batch = min(batch, planner.get("max_batch") or batch)
    rows = planner.get("horizon") or horizon
    features = max((_features(network, rows) for network in networks), default=0.0)
    return {
        "the plans of all episodes (planner.max_batch)": batch * features * _BYTES * _LIVE_IN_PLANNING,
        "the environments of all episodes": episodes * _BYTES_OF_ENVIRONMENT,
        "the noise schedule": steps.get("num_train_timesteps", 0) * _ARRAYS_OF_SCHEDULE * _BYTES,
    }


def _networks(config: Mapping[str, Any]) -> list[Any]:
    """Settings of the networks whose size is known: denoiser and critic."""
    nodes = [node.get("backbone") or {} for node in (config, config.get("critic") or {})]
    return [node for node in nodes if str(node.get("_target_")).endswith((".TemporalUnet", ".ValueUnet"))]


def _widths(network: Mapping[str, Any]) -> list[int]:
    return [network.get("dim", 32) * factor for factor in network.get("dim_multipliers", (1, 2, 4, 8))]


def _weights(network: Mapping[str, Any]) -> float | int:
    squared = sum(width**2 for width in _widths(network))
    return _WEIGHTS_OF_SQUARED_WIDTH * 4 * network.get("kernel_size", 5) * squared


def _features(network: Mapping[str, Any], rows: int) -> float | int:
    """Numbers in the features of one plan, a layer a level; every level halves the rows."""
    return sum(rows * width / 2**level for level, width in enumerate(_widths(network)))


def _trains_on_gpu(trainer: Mapping[str, Any]) -> bool:
    # Without torch, nobody knows the size of its memory.
    accelerator = trainer.get("accelerator", "auto")
    return accelerator != "cpu" and (accelerator != "auto" or Path("/dev/nvidiactl").exists())


def _check(needs: Mapping[str, float | int]) -> None:
    needed, available = sum(needs.values()), available_memory()
    if needed > available:
        largest = max(needs, key=lambda name: needs[name])
        raise ConfigError(
            f"these settings need about {readable_size(needed)} of memory, most of it for {largest}, and "
            f"{readable_size(available)} are available."
        )


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
