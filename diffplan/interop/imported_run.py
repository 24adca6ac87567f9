"""An ordinary run's checkpoints, made from weights of elsewhere."""

import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import checkpoint_file, register_resolvers
from diffplan.errors import CheckpointError, ConfigError, TaskMismatchError
from diffplan.files import write_atomically
from diffplan.interop.exported_parts import part_overrides
from diffplan.interop.imported_weights import ImportedWeights
from diffplan.interop.network_shape import critic_settings, denoiser_settings, rebuild_critic, rebuild_denoiser
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


@dataclass(frozen=True)
class ImportSettings:
    """What is imported, and to where.

    Attributes:
        source: Folder or file of the model.
        to: Folder of the run.
        task: Name of the task; None if the files name it.
        critic: Folder or file of the original's critic.
        statistics: Source of the normaliser: a run, an export, a JSON file, or ``data``; None if the files hold it.
        data_file: HDF5 file for ``statistics="data"``.
        prediction_type: What the network predicts; None if the files say it.
        horizon: Rows of a plan; None if the files say it.
        epoch: Which of several states; None for the last.
        name: Name of the run.
    """

    source: str
    to: str
    task: str | None = None
    critic: str | None = None
    statistics: str | None = None
    data_file: str | None = None
    prediction_type: str | None = None
    horizon: int | None = None
    epoch: int | None = None
    name: str = "imported"


@dataclass(frozen=True)
class ImportedRun:
    """What becomes a run's folder.

    Attributes:
        checkpoints: Content of each file, by name.
        plans_alone: Whether its task needs no critic.
    """

    checkpoints: dict[str, dict[str, Any]]
    plans_alone: bool


def build_run(denoiser: ImportedWeights, critic: ImportedWeights | None, settings: ImportSettings) -> ImportedRun:
    """Builds the modules that hold the weights, with a config that training could have had.

    Args:
        denoiser: The denoiser.
        critic: The critic; None where there is none.
        settings: What to convert, and to where.

    Raises:
        DiffplanError: the weights, the task and the settings do not go together.
    """
    config = _config(denoiser, critic, settings)
    offset, scale, data = _statistics(settings, denoiser.form, config)
    OmegaConf.resolve(config)
    resolved: Any = OmegaConf.to_container(config)
    checkpoints = {}
    for name, weights, build in (("last", denoiser, build_model), ("critic", critic, build_critic)):
        if weights is None:
            continue
        model = build(resolved)
        live = _fill(model, weights, offset, scale)
        checkpoints[name] = {
            "state_dict": checkpoint_weights(model, live),
            "global_step": weights.step,
            "diffplan": checkpoint_origin(resolved, data),
        }
    return ImportedRun(checkpoints, plans_alone=config.task.guide_scale is None)


def write_run(run: ImportedRun, folder: Path) -> list[Path]:
    """Writes the checkpoints.

    Args:
        run: What to write.
        folder: The run's.

    Returns:
        The files.

    Raises:
        CheckpointError: there are others already.
    """
    places = {folder / "checkpoints" / f"{name}.ckpt": content for name, content in run.checkpoints.items()}
    for place in (folder / "checkpoints" / "last.ckpt", folder / "checkpoints" / "critic.ckpt"):
        if place.exists():
            raise CheckpointError(f"{place} is there already; choose another place with to=...")
    # The denoiser comes last: a run that has one is complete.
    for place, content in reversed(places.items()):
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_atomically(place, buffer.getvalue(), durable=True)
    return list(places)


def _config(denoiser: ImportedWeights, critic: ImportedWeights | None, settings: ImportSettings) -> DictConfig:
    """Composes the training config that has networks, noise and windows of the imported ones."""
    form = None if denoiser.form is None else denoiser.form.config
    network = denoiser_settings(denoiser.average)
    task = str(settings.task or (None if form is None else form.task))
    predicts = denoiser.prediction_type or settings.prediction_type
    if predicts is None:
        raise ConfigError(
            "the scheduler's file does not say what the network predicts; add --prediction-type sample, as is right "
            "for the published hopper models, or --prediction-type epsilon."
        )
    if settings.prediction_type not in (None, predicts):
        raise TaskMismatchError(f"the files say prediction_type={predicts}, not {settings.prediction_type}.")
    overrides = [f"task={task}", f"name={settings.name}", f"prediction_type={predicts}", "logger=csv_logger"]
    overrides += [f"backbone.{key}={network[key]}" for key in ("dim", "dim_multipliers", "attention", "kernel_size")]
    horizon = denoiser.horizon or settings.horizon
    if settings.horizon not in (None, horizon):
        raise TaskMismatchError(f"the files say horizon={horizon}, not {settings.horizon}.")
    overrides += [] if horizon is None else [f"window.horizon={horizon}"]
    if denoiser.alphas_cumprod is not None:
        overrides.append(f"task.diffusion_steps={len(denoiser.alphas_cumprod)}")
    if denoiser.clip_sample is not None:
        overrides.append(f"task.clip_denoised={denoiser.clip_sample}")
    if form is not None:
        overrides.append(f"window.stride={form.stride}")
        overrides += part_overrides("normalizer", form.normalizer) + part_overrides("conditioning", form.conditioning)
    if critic is not None:
        judged = critic_settings(critic.average, 1)
        overrides += [f"critic.backbone.{key}={judged[key]}" for key in ("dim", "dim_multipliers", "kernel_size")]
        returns = {} if form is None else form.returns or {}
        overrides += [f"critic.target.{key}={value}" for key, value in returns.items()]
    columns, observation_dim = network["transition_dim"], _task(task).observation_dim
    overrides.append(f"window.actions={columns != observation_dim}")
    config = _compose(overrides)
    if columns not in (observation_dim, observation_dim + config.task.action_dim):
        raise TaskMismatchError(
            f"the network has {columns} columns, but {task} has {observation_dim} of observations and "
            f"{config.task.action_dim} of actions; choose another --task"
        )
    _check_noise(denoiser, config)
    return config


def _task(name: str) -> DictConfig:
    return _compose([f"task={name}"]).task


def _compose(overrides: list[str]) -> DictConfig:
    register_resolvers()
    try:
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            return compose("train", [override.replace("=None", "=null") for override in overrides])
    except HydraException as error:
        raise ConfigError(f"{str(error).strip().splitlines()[0].rstrip('.')}.") from error


def _check_noise(denoiser: ImportedWeights, config: DictConfig) -> None:
    if denoiser.alphas_cumprod is None:
        return
    ours: Tensor = instantiate(config.scheduler).alphas_cumprod
    if not torch.allclose(ours, denoiser.alphas_cumprod, atol=1e-5):
        raise CheckpointError("the model was trained with another noise schedule than the cosine of this project.")


def _statistics(
    settings: ImportSettings, form: TrajectoryFormat | None, config: DictConfig
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Offset and scale of each column, and the identity of the data they are of."""
    data = {"name": str(config.task.name), "kind": "imported", "sha256": "unknown", "num_transitions": 0}
    source = settings.statistics
    if source is None:
        assert form is not None
        return form.offset, form.scale, dict(form.config.data or data)
    if source == "data":
        # The original leaves unfinished episodes out.
        config.source = {**config.source, "include_unfinished": False, "path": settings.data_file}
        datamodule = instantiate(config.datamodule)
        datamodule.prepare_data()
        datamodule.setup("fit")
        return datamodule.normalizer.offset, datamodule.normalizer.scale, {**asdict(datamodule.identity)}
    path = Path(source)
    if path.suffix == ".json":
        offset, scale = _json_statistics(path)
    elif (path / "trajectory").is_dir():
        given = TrajectoryFormat.from_pretrained(path / "trajectory")
        offset, scale = given.offset, given.scale
    else:
        file = checkpoint_file(source)
        normalizer = load_model(file).normalizer
        offset, scale, data = normalizer.offset, normalizer.scale, dict(read_checkpoint(file)["diffplan"]["data"])
    columns = config.datamodule.action_dim + config.datamodule.observation_dim
    if len(offset) != columns or len(scale) != columns:
        raise TaskMismatchError(f"the statistics in {path} are of {len(offset)} columns, but the model has {columns}.")
    return offset, scale, data


def _json_statistics(path: Path) -> tuple[Tensor, Tensor]:
    try:
        content = json.loads(path.read_text())
        offset, scale = (torch.tensor(content[key], dtype=torch.float32) for key in ("offset", "scale"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} must hold lists of numbers 'offset' and 'scale', one number a column: {error}."
        ) from error
    if offset.ndim != 1 or offset.shape != scale.shape or not (scale > 0).all():
        raise CheckpointError(f"{path} must hold two lists of one length, 'scale' above 0.")
    return offset, scale


def _fill(
    model: TrajectoryModel | TrajectoryCritic, weights: ImportedWeights, offset: Tensor, scale: Tensor
) -> dict[str, Tensor]:
    """Loads averaged weights and statistics into a fresh model; returns the live weights by the network's names."""

    def checked(given: Any) -> dict[str, Tensor]:
        # Refuses weights that fit no network with a sentence.
        is_critic = isinstance(model, TrajectoryCritic)
        network: nn.Module = rebuild_critic(given, model.horizon) if is_critic else rebuild_denoiser(given)
        return network.state_dict()

    live = checked(weights.live)
    model.backbone.load_state_dict(live)
    model.backbone.load_state_dict(checked(weights.average))
    model.normalizer.offset.copy_(offset)
    model.normalizer.scale.copy_(scale)
    return live
