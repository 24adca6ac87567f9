"""``diffplan import``: turns a model of diffusers or of the original repository into an ordinary run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from diffplan.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from diffplan.interop.imported_run import ImportSettings


def import_model(
    *,
    source: Annotated[str, Parameter(name="--from")],
    to: str,
    task: str | None = None,
    critic: str | None = None,
    statistics: str | None = None,
    data_file: str | None = None,
    prediction_type: Literal["sample", "epsilon", "v_prediction"] | None = None,
    horizon: int | None = None,
    epoch: int | None = None,
    name: str = "imported",
) -> None:
    """Turn a model in diffusers' layout, or one of the original repository, into an ordinary run.

    Args:
        source: Folder in diffusers' layout, folder of the original's files such as state_980000.pt, or one such file.
        to: Folder of the run to write.
        task: Name of the task in conf/task. Exports of diffplan know theirs.
        critic: The original's other folder or file.
        statistics: Source of the normaliser: a run, an export, a JSON file with offset and scale, or the word data.
        data_file: HDF5 file for --statistics data; by default the file of the task.
        prediction_type: What the network predicts, if the files do not say it.
        horizon: Rows of a plan, if the files do not say it.
        epoch: Which of several states; by default the last.
        name: Name of the run.

    Raises:
        DiffplanError: the model cannot be imported.
    """
    # Imported here, because torch takes longer to load than the help takes to print.
    from diffplan.interop.imported_run import ImportSettings

    settings = ImportSettings(source, to, task, critic, statistics, data_file, prediction_type, horizon, epoch, name)
    print("\n".join(_import(settings)))


def _import(settings: "ImportSettings") -> list[str]:
    """Writes ``checkpoints/last.ckpt`` and ``critic.ckpt`` of a run's folder; returns lines that say so."""
    from diffplan.interop.imported_run import build_run, write_run
    from diffplan.interop.imported_weights import find_state, read_diffusers, read_original

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
        + [f"diffplan plan checkpoint={settings.to}" + ("" if critic or run.plans_alone else " guide=no_guide")]
    )


_MISSING = {
    "task": "add --task, for instance --task hopper-medium-v2.",
    "statistics": (
        "add --statistics with a run, an export or a JSON file with offset and scale, or --statistics data to take "
        "them from the task's data."
    ),
}
