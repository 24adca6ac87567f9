"""``diffplan-import``: turns a model of diffusers or of the original repository into an ordinary run."""

from collections.abc import Sequence
from pathlib import Path

from diffplan.config.command_words import run_words
from diffplan.errors import CheckpointError, ConfigError
from diffplan.interop.import_settings import HELP, ImportSettings


def import_model(settings: ImportSettings) -> list[str]:
    """Converts a model and writes it as ``checkpoints/last.ckpt`` and ``critic.ckpt`` of a run's folder.

    Args:
        settings: What is converted, and to where.

    Returns:
        What was written, a line each.

    Raises:
        DiffplanError: anything a user can set right.
    """
    from diffplan.interop.diffusers_folder import read_diffusers
    from diffplan.interop.imported_run import build_run, write_run
    from diffplan.interop.original_state import find_state, read_original

    source = Path(settings.source)
    if not source.exists():
        raise CheckpointError(f"there is nothing at {source}.")
    critic = None
    if (source / "model_index.json").is_file():
        denoiser = read_diffusers(source, "denoiser")
        if (source / "value_function").is_dir():
            critic = read_diffusers(source, "critic")
    else:
        denoiser = read_original(find_state(source, settings.epoch), "denoiser", settings.prediction_type)
        if settings.critic is not None:
            critic = read_original(find_state(Path(settings.critic)), "critic")
    for given, key in ((settings.task, "task"), (settings.statistics, "statistics")):
        if given is None and denoiser.form is None:
            raise ConfigError(f"{source} does not hold its {key}; {_MISSING[key]}")
    pickles = sorted(path.name for path in source.glob("*.pkl")) if source.is_dir() else []
    run = build_run(denoiser, critic, settings)
    skipped = [f"not opened, for pickles can run code: {', '.join(pickles)}"] if pickles else []
    return (
        skipped
        + [f"wrote {path}" for path in write_run(run, Path(settings.to))]
        + [f"diffplan-plan checkpoint={settings.to}" + ("" if critic or run.plans_alone else " guide=no_guide")]
    )


_MISSING = {
    "task": "give task=..., for instance task=hopper-medium-v2.",
    "statistics": (
        "give statistics=<a run, an export or a JSON file with offset and scale>, or statistics=data to take them from "
        "the task's data."
    ),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of ``diffplan-import``; arguments as in ``run_words``."""
    run_words("diffplan-import", HELP, lambda words: print("\n".join(import_model(ImportSettings.parse(words)))), argv)


if __name__ == "__main__":
    main()
