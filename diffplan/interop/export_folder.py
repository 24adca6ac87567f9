"""Writes an exported model as a folder, completely or not at all, and never over something else."""

import tempfile
from pathlib import Path

import torch

from diffplan.errors import CheckpointError
from diffplan.interop.diffuser_pipeline import DiffuserPipeline
from diffplan.interop.diffusers_networks import critic_model, denoiser_model, why_no_unet
from diffplan.interop.trajectory_format import TrajectoryFormat
from diffplan.method.critic import TrajectoryCritic, check_pair
from diffplan.method.model import TrajectoryModel

# Sums are taken in another order, through about thirty layers in single precision.
_TOLERANCE = 1e-4


def exported_pipeline(
    model: TrajectoryModel, critic: TrajectoryCritic | None, form: TrajectoryFormat
) -> DiffuserPipeline:
    """Builds the pipeline of a trained model, and checks that its networks compute the same.

    Args:
        model: The denoiser.
        critic: The critic; None where there is none.
        form: Its trajectory format.

    Raises:
        CheckpointError: The networks cannot be exported.
        TaskMismatchError: Denoiser and critic do not belong together.
    """
    value_function = None
    if critic is not None:
        check_pair(model, critic)
        value_function = critic_model(critic.backbone, critic.offset, critic.scale)
    pipeline = DiffuserPipeline(denoiser_model(model.backbone, model.horizon), model.scheduler, form, value_function)
    plans = torch.randn(2, model.horizon, model.layout.transition_dim, generator=torch.Generator().manual_seed(0))
    timesteps, columns_first = torch.tensor([0, 1]), plans.transpose(1, 2)
    with torch.no_grad():
        given = pipeline.unet(columns_first, timesteps).sample.transpose(1, 2)
        _check_equal(given, model.backbone(plans, timesteps), "denoiser")
        if critic is not None:
            values = pipeline.value_function(columns_first, timesteps).sample[:, 0]
            _check_equal(values, critic.values(plans, timesteps), "critic")
    return pipeline


def why_not_theirs(model: TrajectoryModel, critic: TrajectoryCritic | None) -> str | None:
    """Returns why ``ValueGuidedRLPipeline`` cannot plan with a model; None if it can."""
    if critic is None:
        return "it plans by the gradient of a value function, and this model has none"
    reasons = [why_no_unet(model.backbone), why_no_unet(critic.backbone)]  # type: ignore[arg-type]
    return "; ".join(reason for reason in reasons if reason is not None) or None


def write_export(pipeline: DiffuserPipeline, card: str, folder: Path) -> None:
    """Writes a pipeline's folder with its model card. An earlier export in that place is replaced.

    Args:
        pipeline: What to write.
        card: The README.
        folder: Where to.

    Raises:
        CheckpointError: The folder holds something else.
    """
    check_place(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as place:
        partial = Path(place) / "new"
        partial.mkdir()
        pipeline.save_pretrained(partial)
        (partial / "README.md").write_text(card)
        # Temporary folders and safetensors files are private, but an export must be readable by everyone.
        for path in (partial, *partial.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        if folder.exists():
            folder.rename(Path(place) / "former")
        partial.rename(folder)


def check_place(folder: Path) -> None:
    """Refuses a folder that holds something else than an export.

    Raises:
        CheckpointError: The folder holds something else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not ((folder / "model_index.json").is_file() and (folder / "trajectory" / "config.json").is_file()):
        raise CheckpointError(f"{folder} holds something else than an exported model; choose another folder with --to")


def _check_equal(given: torch.Tensor, wanted: torch.Tensor, what: str) -> None:
    difference = float((given - wanted).abs().max())
    if not difference <= _TOLERANCE * max(1.0, float(wanted.abs().max())):
        raise CheckpointError(
            f"the exported {what} differs from the trained one by {difference:.3g}; nothing is written."
        )
