"""Turns imported weights into the checkpoints of an ordinary run."""

import io
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import checkpoint_file, register_resolvers
from diffplan.config.settings import TRAIN
from diffplan.config.stored_settings import plain_settings
from diffplan.config.validation import check_config
from diffplan.errors import CheckpointError, ConfigError, TaskMismatchError, closest
from diffplan.interop.diffusers_folder import read_settings, reading
from diffplan.interop.exported_parts import part_name, split_entry
from diffplan.interop.imported_weights import ImportedWeights
from diffplan.interop.network_layers import Kind, network_settings
from diffplan.interop.plain_tensors import check_same_shapes, check_statistics
from diffplan.interop.trajectory_format import TrajectoryFormat
from diffplan.interop.trajectory_settings import StatisticsSettings
from diffplan.interop.whole_folder import sweep_leftovers, whole_folder
from diffplan.method.critic import TrajectoryCritic
from diffplan.method.model import TrajectoryModel
from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.network.value_unet import ValueUnet
from diffplan.run.checkpoint import (
    QUALITY,
    build_critic,
    build_model,
    checkpoint_origin,
    checkpoint_weights,
    load_model,
    read_checkpoint,
)


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
    config = _config(denoiser, critic, task, name)
    _match(config, denoiser)
    offset, scale, data = _statistics(statistics, data_file, denoiser.form, config)
    check_config(config, TRAIN)
    OmegaConf.resolve(config)
    resolved: Any = OmegaConf.to_container(config)
    checkpoints = {}
    for key, weights, build in (("last", denoiser, build_model), ("critic", critic, build_critic)):
        if weights is None:
            continue
        for given in (weights.live, weights.average):
            _check_fit(given, "denoiser" if key == "last" else "critic", config.window.horizon)
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
    if "critic" in checkpoints and denoiser.form is not None and denoiser.form.quality is not None:
        checkpoints["critic"][QUALITY] = denoiser.form.quality.to_plain()
    return checkpoints


def write_run(checkpoints: dict[str, dict[str, Any]], folder: Path) -> list[Path]:
    """Writes the checkpoints of a run.

    Args:
        checkpoints: What ``build_run`` returned.
        folder: Folder of the run.

    Returns:
        The files.

    Raises:
        CheckpointError: There are checkpoints already, or the folder cannot be written.
    """
    place = folder / "checkpoints"
    with reading(folder):
        if folder.is_dir():
            sweep_leftovers(place)
        if os.path.lexists(place) and not (place.is_dir() and not any(place.iterdir())):
            raise CheckpointError(f"{place} is there already; choose another folder with --to")
    with whole_folder(place, "the run") as new:
        for key, content in checkpoints.items():
            # PyTorch's own writer does not say why a file cannot be written.
            buffer = io.BytesIO()
            torch.save(content, buffer)
            (new / f"{key}.ckpt").write_bytes(buffer.getvalue())
    return [place / f"{key}.ckpt" for key in checkpoints]


def _config(denoiser: ImportedWeights, critic: ImportedWeights | None, task: str, name: str) -> DictConfig:
    """Composes a training's config from names of this package, and writes into it what the files say.

    Args:
        denoiser: The denoiser.
        critic: The critic; None where there is none.
        task: Name of the task.
        name: Name of the run.

    Raises:
        ConfigError: The task is not known, or nothing says what the network predicts.
        TaskMismatchError: There is a critic, and the task has none.
    """
    if denoiser.prediction_type is None:
        raise ConfigError(
            "the scheduler's file does not say what the network predicts; add --prediction-type sample, as is right "
            "for the published hopper models, or --prediction-type epsilon."
        )
    tasks = {path.stem for path in (CONF_DIR / "task").glob("*.yaml")}
    if task not in tasks:
        raise ConfigError(f"there is no task {task!r}{closest(task, tasks)}")
    form: Any = denoiser.form and denoiser.form.config
    parts = {} if form is None else {group: form[group] for group in ("normalizer", "conditioning")}
    register_resolvers()
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        choices = [f"{group}={part_name(group, entry)}" for group, entry in parts.items()]
        config = compose("train", [f"task={task}", "logger=csv_logger", *choices])
    noise, network = denoiser.alphas_cumprod, network_settings(denoiser.average, "denoiser")
    facts = {
        "name": name,
        "prediction_type": denoiser.prediction_type,
        "window.horizon": denoiser.horizon,
        "window.stride": form and form.stride,
        "task.diffusion_steps": None if noise is None else len(noise),
        "task.clip_denoised": denoiser.clip_sample,
    }
    facts |= {f"backbone.{key}": network[key] for key in ("dim", "dim_multipliers", "attention", "kernel_size")}
    for group, entry in parts.items():
        facts |= {f"{group}.{key}": value for key, value in split_entry(entry)[1].items()}
    if critic is not None:
        if config.critic.module is None:
            raise TaskMismatchError(f"{task} is planned without a critic, but there is one; choose another --task")
        judged = network_settings(critic.average, "critic")
        facts |= {f"critic.backbone.{key}": judged[key] for key in ("dim", "dim_multipliers", "kernel_size")}
        facts |= {f"critic.target.{key}": value for key, value in ((form and form.returns) or {}).items()}
    for key, value in facts.items():
        if value is not None:
            # Text would be resolved where it refers to other settings.
            OmegaConf.update(config, key, plain_settings(value, key))
    return config


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
    with reading(path):
        if path.suffix == ".json":
            given = _read_statistics(path)
        elif (path / "trajectory").is_dir():
            given = TrajectoryFormat.from_pretrained(path, "trajectory")
        else:
            file = checkpoint_file(source)
            given, data = load_model(file).normalizer, dict(read_checkpoint(file)["diffplan"]["data"])
    columns = config.datamodule.action_dim + config.datamodule.observation_dim
    offset, scale = torch.as_tensor(given.offset), torch.as_tensor(given.scale)
    for values in (offset, scale):
        if len(values) != columns:
            raise TaskMismatchError(
                f"the statistics in {path} are of {len(values)} columns, but the model has {columns}."
            )
    check_statistics(offset, scale, path)
    return offset, scale, data


def _read_statistics(path: Path) -> StatisticsSettings:
    try:
        return StatisticsSettings.model_validate(read_settings(path))
    except ValueError as error:
        raise CheckpointError(
            f"{path} must hold lists of numbers 'offset' and 'scale', one number a column, 'scale' above 0."
        ) from error


def _check_fit(weights: Mapping[str, Tensor], kind: Kind, horizon: int) -> None:
    """Compares weights with the network that is made for them, before the memory of the network is taken."""
    settings = network_settings(weights, kind, horizon)
    with torch.device("meta"):
        network = TemporalUnet(**settings) if kind == "denoiser" else ValueUnet(**settings)
    what = "denoiser" if kind == "denoiser" else f"critic of {horizon} rows"
    check_same_shapes(network.state_dict(), weights, "the files", what)


def _load(model: TrajectoryModel | TrajectoryCritic, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Loads weights into a model; returns a copy of them as its network holds them."""
    model.backbone.load_state_dict(dict(weights))
    return {name: value.clone() for name, value in model.backbone.state_dict().items()}
