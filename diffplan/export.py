"""``diffplan-export``: writes a trained model as a folder that diffusers and our own pipeline load."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffplan.errors import CheckpointError, DiffplanError, ResultError
from diffplan.words import read_words

SETTINGS: dict[str, Any] = {"checkpoint": str, "to": str, "critic": str | None, "license": str}
DEFAULTS: dict[str, Any] = {"critic": None, "license": "mit"}


def export(checkpoint: str, to: str, critic: str | None = None, license: str = "mit") -> list[str]:
    """Writes a trained model, with its critic where it has one, as a folder for diffusers.

    Args:
        checkpoint: A run's folder or a ``.ckpt`` file.
        to: The folder to write; an export that is there already is replaced.
        critic: The critic's run or file; None takes the one beside the denoiser.
        license: Of the weights, as the Hub names it.

    Returns:
        What was written and who can load it, a line each.

    Raises:
        DiffplanError: anything a user can set right.
    """
    from diffplan.checkpoint import checkpoint_config, load_critic, load_module, read_checkpoint
    from diffplan.interop import TrajectoryFormat
    from diffplan.interop.export_folder import check_place, exported_pipeline, why_not_theirs, write_export
    from diffplan.interop.model_card import model_card
    from diffplan.resolvers import checkpoint_file

    folder = Path(to)
    check_place(folder)
    path = checkpoint_file(checkpoint)
    critic_path = path.parent / "critic.ckpt" if critic is None else checkpoint_file(critic, "critic")
    model = load_module(path).model()
    judge = load_critic(critic_path).critic() if critic is not None or critic_path.is_file() else None
    written = read_checkpoint(path)
    task = checkpoint_config(written).task
    form = TrajectoryFormat.of_model(
        model,
        None if judge is None else judge.target,
        guide_scale=task.guide_scale,
        t_stopgrad=task.t_stopgrad,
        task=task.name,
        env_id=task.env_id,
        data=dict(written["diffplan"]["data"]),
    )
    reason = why_not_theirs(model, judge)
    pipeline = exported_pipeline(model, judge, form)
    write_export(pipeline, model_card(form, reason, _result(path), license), folder)
    theirs = f"diffusers' ValueGuidedRLPipeline cannot: {reason}." if reason else (
        f"diffusers: ValueGuidedRLPipeline.from_pretrained('{to}', env=DiffusersEnv.from_pretrained('{to}', env))"
    )  # fmt: skip
    return [f"wrote {to}", f"diffplan:  DiffuserPipeline.from_pretrained('{to}')", theirs]


def main(words: Sequence[str] | None = None) -> None:
    """Entry point of ``diffplan-export``."""
    try:
        lines = export(**read_words(sys.argv[1:] if words is None else words, SETTINGS, DEFAULTS))
    except DiffplanError as error:
        sys.exit(f"diffplan-export: {error}")
    except (PermissionError, NotADirectoryError) as error:
        sys.exit(f"diffplan-export: cannot write to {error.filename}: {error.strerror}; choose another to=...")
    print("\n".join(lines))


def _result(checkpoint: Path) -> Any:
    """The final evaluation of the run that the checkpoint lies in."""
    from diffplan.result import Result

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
