"""``diffplan-import``: turns a model of diffusers or of the original repository into an ordinary run."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffplan.errors import CheckpointError, ConfigError, DiffplanError
from diffplan.words import read_words

SETTINGS: dict[str, Any] = {
    "from": str,
    "to": str,
    "task": str | None,
    "critic": str | None,
    "statistics": str | None,
    "data_file": str | None,
    "prediction_type": str | None,
    "horizon": int | None,
    "epoch": int | None,
    "name": str,
}
DEFAULTS: dict[str, Any] = {key: None for key in SETTINGS if key not in ("from", "to")} | {"name": "imported"}


def import_model(words: dict[str, Any]) -> list[str]:
    """Converts a model and writes it as ``checkpoints/last.ckpt`` and ``critic.ckpt`` of a run's folder.

    Args:
        words: ``from``: a folder in diffusers' layout, or of the original's ``state_<epoch>.pt``, or such a file.
            ``to``: the run's folder. ``task``: its name in ``conf/task``; exports of ours know theirs. ``critic``: the
            original's other folder. ``statistics``: what normalisation is taken from, a run, an export, a JSON file
            with ``offset`` and ``scale``, or ``data``. ``data_file``: the HDF5 file for that; None takes the task's.
            ``prediction_type``, ``horizon``: where the files do not say. ``epoch``: one of several. ``name``: the
            run's.

    Returns:
        What was written, a line each.

    Raises:
        DiffplanError: anything a user can set right.
    """
    from diffplan.imported_run import build_run, write_run
    from diffplan.interop.diffusers_folder import read_diffusers
    from diffplan.interop.original_state import find_state, read_original

    source = Path(words["from"])
    if not source.exists():
        raise CheckpointError(f"there is nothing at {source}.")
    critic = None
    if (source / "model_index.json").is_file():
        denoiser = read_diffusers(source, "denoiser")
        if (source / "value_function").is_dir():
            critic = read_diffusers(source, "critic")
    else:
        denoiser = read_original(find_state(source, words["epoch"]), "denoiser", words["prediction_type"])
        if words["critic"] is not None:
            critic = read_original(find_state(Path(words["critic"])), "critic")
    for given, key in ((words["task"], "task"), (words["statistics"], "statistics")):
        if given is None and denoiser.form is None:
            raise ConfigError(f"{source} does not hold its {key}; {_MISSING[key]}")
    pickles = sorted(path.name for path in source.glob("*.pkl")) if source.is_dir() else []
    run = build_run(denoiser, critic, words)
    skipped = [f"not opened, for pickles can run code: {', '.join(pickles)}"] if pickles else []
    return (
        skipped
        + [f"wrote {path}" for path in write_run(run, Path(words["to"]))]
        + [f"diffplan-plan checkpoint={words['to']}" + ("" if critic or run.plans_alone else " guide=no_guide")]
    )


_MISSING = {
    "task": "give task=..., for instance task=hopper-medium-v2.",
    "statistics": (
        "give statistics=<a run, an export or a JSON file with offset and scale>, or statistics=data to take them from "
        "the task's data."
    ),
}


def main(words: Sequence[str] | None = None) -> None:
    """Entry point of ``diffplan-import``."""
    try:
        lines = import_model(read_words(sys.argv[1:] if words is None else words, SETTINGS, DEFAULTS))
    except DiffplanError as error:
        sys.exit(f"diffplan-import: {error}")
    except (PermissionError, NotADirectoryError) as error:
        sys.exit(f"diffplan-import: cannot write to {error.filename}: {error.strerror}; choose another to=...")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
