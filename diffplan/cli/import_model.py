"""``diffplan import``: turns a model of diffusers or of the original repository into an ordinary run."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from diffplan.errors import ConfigError
from diffplan.terminal import say

_MISSING = {
    "task": "add --task, for instance --task hopper-medium-v2.",
    "statistics": (
        "add --statistics with a run, an export or a JSON file with offset and scale, or --statistics data to take "
        "them from the task's data."
    ),
}


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
    from diffplan.interop.imported_run import build_run, write_run
    from diffplan.interop.imported_weights import read_networks

    if not to:
        raise ConfigError("--to must name the folder of the run.")
    folder = Path(source)
    denoiser, judge = read_networks(folder, critic, epoch, prediction_type)
    for given, key in ((task, "task"), (statistics, "statistics")):
        if given is None and denoiser.form is None:
            raise ConfigError(f"{source} does not hold its {key}; {_MISSING[key]}")
    denoiser = denoiser.with_facts(prediction_type=prediction_type, horizon=horizon)
    task = str(task or (denoiser.form and denoiser.form.config.task))
    checkpoints = build_run(denoiser, judge, task, name, statistics, data_file)
    written = write_run(checkpoints, Path(to))
    if pickles := sorted(path.name for path in folder.glob("*.pkl")):
        say(f"not opened, for pickles can run code: {', '.join(pickles)}")
    for path in written:
        say(f"wrote {path}")
    plans_alone = checkpoints["last"]["diffplan"]["config"]["task"]["guide_scale"] is None
    say(f"diffplan plan checkpoint={to}" + ("" if judge or plans_alone else " guide=no_guide"))
