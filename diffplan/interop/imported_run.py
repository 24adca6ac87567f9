"""Turns imported weights into the checkpoints of an ordinary run."""

import io
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pydantic import BaseModel, PositiveFloat
from torch import Tensor

from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import checkpoint_file, register_resolvers
from diffplan.errors import CheckpointError, ConfigError, TaskMismatchError
from diffplan.files import write_atomically
from diffplan.interop.exported_parts import part_overrides
from diffplan.interop.imported_weights import ImportedWeights
from diffplan.interop.network_layers import network_settings
from diffplan.interop.trajectory_format import TrajectoryFormat
from diffplan.method.critic import TrajectoryCritic
from diffplan.method.model import TrajectoryModel
from diffplan.run.checkpoint import (
    build_critic,
    build_model,
    checkpoint_origin,
    checkpoint_weights,
    load_model,
    read_checkpoint,
)


class _Statistics(BaseModel):
    """A JSON file of a normaliser: one number a column, in the order of a plan row."""

    offset: list[float]
    scale: list[PositiveFloat]


def build_run(
    denoiser: ImportedWeights,
    critic: ImportedWeights | None,
    task: str,
    name: str,
    statistics: str | None = None,
    data_file: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Builds checkpoints that hold the weights, with a config that training could have had.

    Args:
        denoiser: The denoiser.
        critic: The critic; None where there is none.
        task: Name of the task.
        name: Name of the run.
        statistics: Source of the normaliser: a run, an export, a JSON file, or ``data``; None if the files hold it.
        data_file: HDF5 file for ``statistics="data"``.

    Returns:
        The checkpoints by their names, ``last`` and ``critic``.

    Raises:
        DiffplanError: The weights, the task and the settings do not go together.
    """
    config = _compose(_overrides(denoiser, critic, task, name))
    _match(config, denoiser)
    offset, scale, data = _statistics(statistics, data_file, denoiser.form, config)
    OmegaConf.resolve(config)
    resolved: Any = OmegaConf.to_container(config)
    checkpoints = {}
    for key, weights, build in (("last", denoiser, build_model), ("critic", critic, build_critic)):
        if weights is None:
            continue
        model: TrajectoryModel | TrajectoryCritic = build(resolved)
        live = _load(model, weights.live)
        _load(model, weights.average)
        model.normalizer.offset.copy_(offset)
        model.normalizer.scale.copy_(scale)
        checkpoints[key] = {
            "state_dict": checkpoint_weights(model, live),
            "global_step": weights.step,
            "diffplan": checkpoint_origin(resolved, data),
        }
    return checkpoints


def write_run(checkpoints: dict[str, dict[str, Any]], folder: Path) -> list[Path]:
    """Writes the checkpoints of a run.

    Args:
        checkpoints: What ``build_run`` returned.
        folder: Folder of the run.

    Returns:
        The files.

    Raises:
        CheckpointError: There are checkpoints already.
    """
    places = {key: folder / "checkpoints" / f"{key}.ckpt" for key in ("last", "critic")}
    for place in places.values():
        if place.exists():
            raise CheckpointError(f"{place} is there already; choose another folder with --to")
    # The denoiser comes last: a run that has one is complete.
    for key, content in reversed(checkpoints.items()):
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_atomically(places[key], buffer.getvalue(), durable=True)
    return [places[key] for key in checkpoints]


def _overrides(denoiser: ImportedWeights, critic: ImportedWeights | None, task: str, name: str) -> list[str]:
    """Describes networks, noise and windows of the imported models as overrides of the training config."""
    if denoiser.prediction_type is None:
        raise ConfigError(
            "the scheduler's file does not say what the network predicts; add --prediction-type sample, as is right "
            "for the published hopper models, or --prediction-type epsilon."
        )
    form: Any = denoiser.form and denoiser.form.config
    settings = {
        "task": task,
        "name": name,
        "prediction_type": denoiser.prediction_type,
        "logger": "csv_logger",
        "window.horizon": denoiser.horizon,
        "window.stride": form and form.stride,
        "task.diffusion_steps": None if denoiser.alphas_cumprod is None else len(denoiser.alphas_cumprod),
        "task.clip_denoised": denoiser.clip_sample,
    }
    overrides = [f"{key}={value}" for key, value in settings.items() if value is not None]
    network = network_settings(denoiser.average, "denoiser")
    overrides += [f"backbone.{key}={network[key]}" for key in ("dim", "dim_multipliers", "attention", "kernel_size")]
    if form is not None:
        overrides += part_overrides("normalizer", form.normalizer) + part_overrides("conditioning", form.conditioning)
    if critic is not None:
        judged = network_settings(critic.average, "critic")
        overrides += [f"critic.backbone.{key}={judged[key]}" for key in ("dim", "dim_multipliers", "kernel_size")]
        returns = {} if form is None else form.returns or {}
        overrides += [f"critic.target.{key}={value}" for key, value in returns.items()]
    return overrides


def _match(config: DictConfig, denoiser: ImportedWeights) -> None:
    """Chooses windows with or without actions, and refuses a denoiser of other columns or other noise."""
    columns, task = network_settings(denoiser.average, "denoiser")["transition_dim"], config.task
    config.window.actions = columns != task.observation_dim
    if columns not in (task.observation_dim, task.observation_dim + task.action_dim):
        raise TaskMismatchError(
            f"the network has {columns} columns, but {task.name} has {task.observation_dim} of observations and "
            f"{task.action_dim} of actions; choose another --task"
        )
    noise = denoiser.alphas_cumprod
    if noise is not None and not torch.allclose(instantiate(config.scheduler).alphas_cumprod, noise, atol=1e-5):
        raise CheckpointError("the model was trained with another noise schedule than the cosine of this project.")


def _compose(overrides: list[str]) -> DictConfig:
    register_resolvers()
    try:
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            return compose("train", [override.replace("=None", "=null") for override in overrides])
    except HydraException as error:
        raise ConfigError(f"{str(error).strip().splitlines()[0].rstrip('.')}.") from error


def _statistics(
    source: str | None, data_file: str | None, form: TrajectoryFormat | None, config: DictConfig
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Returns offset and scale of each column, and the identity of the data they are of."""
    data = {"name": str(config.task.name), "kind": "imported", "sha256": "unknown", "num_transitions": 0}
    if source is None:
        assert form is not None
        return form.offset, form.scale, dict(form.config.data or data)
    if source == "data":
        # The original leaves unfinished episodes out.
        config.source = {**config.source, "include_unfinished": False, "path": data_file}
        datamodule = instantiate(config.datamodule)
        datamodule.prepare_data()
        datamodule.setup("fit")
        return datamodule.normalizer.offset, datamodule.normalizer.scale, {**asdict(datamodule.identity)}
    path = Path(source)
    given: Any
    if path.suffix == ".json":
        try:
            given = _Statistics.model_validate_json(path.read_bytes())
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{path} must hold lists of numbers 'offset' and 'scale', one number a column, 'scale' above 0."
            ) from error
    elif (path / "trajectory").is_dir():
        given = TrajectoryFormat.from_pretrained(path / "trajectory")
    else:
        file = checkpoint_file(source)
        given, data = load_model(file).normalizer, dict(read_checkpoint(file)["diffplan"]["data"])
    columns = config.datamodule.action_dim + config.datamodule.observation_dim
    for values in (given.offset, given.scale):
        if len(values) != columns:
            raise TaskMismatchError(
                f"the statistics in {path} are of {len(values)} columns, but the model has {columns}."
            )
    return torch.as_tensor(given.offset), torch.as_tensor(given.scale), data


def _load(model: TrajectoryModel | TrajectoryCritic, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Loads weights into a model; returns a copy of them as its network holds them."""
    try:
        model.backbone.load_state_dict(dict(weights))
    except RuntimeError as error:
        what = f"critic of {model.horizon} rows" if isinstance(model, TrajectoryCritic) else "denoiser"
        lines = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise CheckpointError(f"the weights fit no {what}: {lines[:200].rstrip('.: ')}.") from error
    return {name: value.clone() for name, value in model.backbone.state_dict().items()}
