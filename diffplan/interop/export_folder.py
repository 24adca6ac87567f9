"""Writes an exported model as a folder, completely or not at all, and never over something else."""

import os
from pathlib import Path

import torch

from diffplan.errors import CheckpointError
from diffplan.interop.diffuser_pipeline import DiffuserPipeline
from diffplan.interop.diffusers_folder import has_file, reading
from diffplan.interop.diffusers_networks import critic_model, denoiser_model, why_no_unet
from diffplan.interop.plain_tensors import check_finite, check_statistics
from diffplan.interop.trajectory_format import TrajectoryFormat
from diffplan.interop.whole_folder import sweep_leftovers, whole_folder
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
        CheckpointError: The networks cannot be exported, or hold numbers that are not finite.
        TaskMismatchError: Denoiser and critic do not belong together.
    """
    check_finite(model.backbone.state_dict(), "the denoiser")
    check_statistics(form.offset, form.scale, "the normaliser")
    value_function = None
    if critic is not None:
        check_finite(critic.backbone.state_dict() | {"offset": critic.offset, "scale": critic.scale}, "the critic")
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
        CheckpointError: The folder holds something else, or cannot be written.
    """
    check_place(folder)
    with whole_folder(folder, "the export") as new:
        pipeline.save_pretrained(new)
        (new / "README.md").write_text(card, encoding="utf-8")


def check_place(folder: Path) -> None:
    """Refuses a folder that holds something else than an export.

    Raises:
        CheckpointError: The folder holds something else.
    """
    with reading(folder):
        if folder.parent.is_dir():
            sweep_leftovers(folder)
        if not os.path.lexists(folder) or (folder.is_dir() and not any(folder.iterdir())):
            return
        is_export = all(has_file(folder, name) for name in ("model_index.json", "trajectory/config.json"))
    if not is_export or folder.is_symlink():
        raise CheckpointError(f"{folder} holds something else than an exported model; choose another folder with --to")


def _check_equal(given: torch.Tensor, wanted: torch.Tensor, what: str) -> None:
    difference = float((given - wanted).abs().max())
    if not difference <= _TOLERANCE * max(1.0, float(wanted.abs().max())):
        raise CheckpointError(
            f"the exported {what} differs from the trained one by {difference:.3g}; nothing is written."
        )
