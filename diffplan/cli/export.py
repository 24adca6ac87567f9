"""``diffplan export``: writes a trained model as a folder that diffusers and our own pipeline load."""

from pathlib import Path
from typing import Any

from diffplan.errors import CheckpointError, ConfigError, ResultError
from diffplan.terminal import say


def export(*, checkpoint: str, to: str, critic: str | None = None, license: str = "mit") -> None:
    """Write a trained model, with its critic if it has one, as a folder for diffusers and for diffplan's pipeline.

    Args:
        checkpoint: Folder of a run, or a .ckpt file.
        to: Folder to write. An earlier export is replaced, anything else is not.
        critic: Run or file of the critic; by default the critic beside the denoiser.
        license: License of the weights, by its name on the Hugging Face Hub.

    Raises:
        DiffplanError: the model cannot be exported.
    """
    say("\n".join(_export(checkpoint, to, critic, license)))


def _export(checkpoint: str, to: str, critic: str | None, license: str) -> list[str]:
    """Writes the folder; returns lines that say what was written and who can load it."""
    from diffplan.cli.plan import critic_file
    from diffplan.config.checkpoint_settings import planning_settings, usable
    from diffplan.config.resolvers import checkpoint_file
    from diffplan.interop.export_folder import check_place, exported_pipeline, why_not_theirs, write_export
    from diffplan.interop.exported_parts import sampler_of_run
    from diffplan.interop.model_card import model_card
    from diffplan.interop.trajectory_format import TrajectoryFormat
    from diffplan.run.checkpoint import load_critic, read_checkpoint, trained_model

    if not to:
        raise ConfigError("--to must name the folder to write.")
    folder = Path(to)
    check_place(folder)
    path = checkpoint_file(checkpoint)
    critic_path = critic_file(critic, path)
    written = read_checkpoint(path)
    model, judge = trained_model(written, path), None if critic_path is None else load_critic(critic_path)
    with usable(path):
        config = written["diffplan"]["config"]
        taken = planning_settings(config)
        sampler = sampler_of_run(config.get("sampler"), model.scheduler)
    task = taken["task"]
    form = TrajectoryFormat.of_model(
        model,
        None if judge is None else judge.target,
        sampler,
        guide_scale=task.get("guide_scale"),
        t_stopgrad=task.get("t_stopgrad"),
        task=task["name"],
        env_id=task["env_id"],
        data=dict(written["diffplan"]["data"]),
        critic_quality=None if judge is None or judge.quality is None else judge.quality.to_plain(),
    )
    reason, result = why_not_theirs(model, judge), _result(path)
    steps, seed = written["global_step"], taken["seed"]
    card = model_card(form, reason, path.parent.parent, steps, seed, result, license)
    write_export(exported_pipeline(model, judge, form), card, folder)
    theirs = f"diffusers' ValueGuidedRLPipeline cannot: {reason}."
    if not reason:
        shim = f"DiffusersEnv.from_pretrained('{folder}', env)"
        theirs = f"diffusers: ValueGuidedRLPipeline.from_pretrained('{folder}', env={shim})"
    return [f"wrote {folder}", f"diffplan:  DiffuserPipeline.from_pretrained('{folder}')", theirs]


def _result(checkpoint: Path) -> Any:
    """The final evaluation of the run that the checkpoint lies in."""
    from diffplan.interop.diffusers_folder import reading
    from diffplan.run.result import Result

    path = checkpoint.parent.parent / "results.json"
    try:
        with reading(path):
            return Result.read(path) if path.is_file() else None
    except ResultError as error:
        raise CheckpointError(
            f"{path} cannot be told in the model card: {error}; remove it or evaluate again."
        ) from error
