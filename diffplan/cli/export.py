"""``diffplan-export``: writes a trained model as a folder that diffusers and our own pipeline load."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffplan.cli.export_settings import HELP, ExportSettings
from diffplan.config.command_words import run_words
from diffplan.errors import CheckpointError, ResultError


def export(settings: ExportSettings) -> list[str]:
    """Writes a trained model, with its critic where it has one, as a folder for diffusers.

    Args:
        settings: What is exported, and to where.

    Returns:
        What was written and who can load it, a line each.

    Raises:
        DiffplanError: anything a user can set right.
    """
    from diffplan.config.resolvers import checkpoint_file
    from diffplan.interop.export_folder import check_place, exported_pipeline, why_not_theirs, write_export
    from diffplan.interop.model_card import model_card
    from diffplan.interop.training_recipe import TrainingRecipe
    from diffplan.interop.trajectory_format import TrajectoryFormat
    from diffplan.training.checkpoint import checkpoint_config, load_critic, load_module, read_checkpoint

    folder, critic = Path(settings.to), settings.critic
    check_place(folder)
    path = checkpoint_file(settings.checkpoint)
    critic_path = path.parent / "critic.ckpt" if critic is None else checkpoint_file(critic, "critic")
    model = load_module(path).model()
    judge = load_critic(critic_path).critic() if critic is not None or critic_path.is_file() else None
    written = read_checkpoint(path)
    config = checkpoint_config(written)
    task = config.task
    form = TrajectoryFormat.of_model(
        model,
        None if judge is None else judge.target,
        guide_scale=task.guide_scale,
        t_stopgrad=task.t_stopgrad,
        task=task.name,
        env_id=task.env_id,
        data=dict(written["diffplan"]["data"]),
    )
    reason, result = why_not_theirs(model, judge), _result(path)
    recipe = TrainingRecipe.of_run(path.parent.parent, int(written["global_step"]), int(config.seed), result)
    pipeline = exported_pipeline(model, judge, form)
    write_export(pipeline, model_card(form, reason, recipe, result, settings.license), folder)
    theirs = f"diffusers' ValueGuidedRLPipeline cannot: {reason}."
    if not reason:
        shim = f"DiffusersEnv.from_pretrained('{folder}', env)"
        theirs = f"diffusers: ValueGuidedRLPipeline.from_pretrained('{folder}', env={shim})"
    return [f"wrote {folder}", f"diffplan:  DiffuserPipeline.from_pretrained('{folder}')", theirs]


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of ``diffplan-export``; arguments as in ``run_words``."""
    run_words("diffplan-export", HELP, lambda words: print("\n".join(export(ExportSettings.parse(words)))), argv)


def _result(checkpoint: Path) -> Any:
    """The final evaluation of the run that the checkpoint lies in."""
    from diffplan.run.result import Result

    path = checkpoint.parent.parent / "results.json"
    if not path.is_file():
        return None
    try:
        return Result.parse(path.read_bytes())
    except ResultError as error:
        raise CheckpointError(
            f"{path} cannot be told in the model card: {error}; remove it or evaluate again."
        ) from error


if __name__ == "__main__":
    main()
