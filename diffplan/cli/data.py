"""The command ``diffplan data``: lists, fetches, generates, collects, inspects and verifies data sets."""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.table import Table

from diffplan.data.catalog import CatalogEntry, cache_dir, catalog, dataset, dataset_url, provenance, suggestion
from diffplan.data.collect.locomotion_recipe import LocomotionRecipe, TrainingSettings
from diffplan.data.download import download
from diffplan.data.inspection import episode_table, statistics_table
from diffplan.data.source.d4rl_file import ARRAYS_DIGEST, file_sha256, read_d4rl_file, summarize, verify_written_file
from diffplan.data.source.d4rl_source import D4RLSource
from diffplan.errors import ConfigError, DataError, DataNotFoundError
from diffplan.files import status_of, user_path
from diffplan.terminal import PlainFormatter, plain_console

app = App(name="data")
Needed = Annotated[str, Parameter(required=True)]
_TRAINING = TrainingSettings()
DataDir = Annotated[str, Parameter(env_var="DIFFPLAN_DATA_DIR")]

console = plain_console()


@app.command(name="list")
def list_datasets(*, data_dir: DataDir = "datasets") -> None:
    """List D4RL's data sets and the files on this machine.

    Example: `diffplan data list`

    Args:
        data_dir: Folder of the data that is not D4RL's.
    """
    table = Table("data set", "rows", "published MB", box=None, pad_edge=False)
    table.add_column("on disk", overflow="fold")
    for entry in catalog().values():
        file = D4RLSource(entry.name, data_dir=data_dir).find()
        table.add_row(entry.name, _number(entry.num_transitions), _megabytes(entry.num_bytes), _place(file))
    console.print(table)
    published = {entry.file_name for entry in catalog().values()}
    for path in sorted(user_path(data_dir).rglob("*.hdf5")):
        if path.name in published or not os.path.isfile(path):
            continue
        console.print(f"other file: {_place(path)}", soft_wrap=True)
    console.print(f"D4RL's cache is {cache_dir()}, other data lies in {data_dir}.", soft_wrap=True)


@app.command
def fetch(*names: Needed, base_url: str | None = None, force: bool = False) -> None:
    """Download D4RL's files to D4RL's cache.

    If interrupted, rerun the same command to resume.

    Example: `diffplan data fetch maze2d-umaze-v1 hopper-medium-v2`

    Args:
        names: D4RL ids, for instance maze2d-umaze-v1.
        base_url: Address of a mirror instead of D4RL's server; the environment variable D4RL_BASE_URL sets it, too.
        force: Download again, and replace the present file when the download is complete.
    """
    _show_progress()
    entries = [dataset(name) for name in names]
    for entry in entries:
        path = cache_dir() / entry.file_name
        there = status_of(path) is not None
        digest = download(
            dataset_url(entry, base_url),
            path,
            num_bytes=entry.num_bytes,
            sha256=entry.sha256,
            keys=entry.keys,
            num_rows=entry.num_transitions,
            replace=force,
        )
        if there and not force:
            _check_published(path, entry, digest)
        state = "is there already" if there and not force else "fetched"
        console.print(f"{entry.name} {state}: {path}, SHA-256 {digest}.", soft_wrap=True)


@app.command
def generate(name: str, /, *, rows: int | None = None, seed: int = 0, data_dir: DataDir = "datasets") -> None:
    """Regenerate a Maze2D data set by D4RL's recipe.

    Example: `diffplan data generate maze2d-umaze-v1 --rows 100000`

    Args:
        name: D4RL id of a maze, for instance maze2d-umaze-v1.
        rows: Number of transitions; the default is the number in D4RL's data set.
        seed: Seed of the goals and of the action noise.
        data_dir: Folder that gets the file.
    """
    _show_progress()
    # Imported here, because the simulator takes longer to load than the other subcommands take to run.
    from diffplan.data.source.maze2d_source import Maze2DSource

    if rows is None:
        entry = catalog().get(name)
        rows = (entry and entry.num_transitions) or 1_000_000
    source = Maze2DSource(name, num_transitions=rows, seed=seed, data_dir=data_dir)
    source.prepare()
    identity = source.identity()
    console.print(
        f"{identity.name}: {identity.num_transitions:,} {identity.kind} rows in {source.path}, "
        f"SHA-256 {identity.sha256}; train on it with task={name} source=maze2d_source "
        f"source.num_transitions={rows} source.seed={seed}.",
        soft_wrap=True,
    )


@app.command
def collect(
    name: str,
    /,
    *,
    rows: int | None = None,
    medium_score: float | None = None,
    policy: list[str] | None = None,
    training: Annotated[TrainingSettings, Parameter(name="*")] = _TRAINING,
    data_dir: DataDir = "datasets",
) -> None:
    """Train SAC policies and record a locomotion data set with them.

    This takes hours. If interrupted, rerun the same command to resume.

    Example: `diffplan data collect hopper-medium-expert-v2`

    Args:
        name: D4RL id, for instance hopper-medium-expert-v2.
        rows: Maximum number of transitions; the default is 1,000,000 for each policy.
        medium_score: D4RL-normalised score at which the policy counts as medium; the default depends on the body.
        policy: A policy saved by stable-baselines3's SAC, used instead of training one. Write PART=ZIP, for instance
            expert=sac-hopper.zip. May be given several times.
        training: Settings of the training, and the seed.
        data_dir: Folder that gets the file.
    """
    from diffplan.data.collect.locomotion_collection import LocomotionCollection

    _show_progress()
    policy_paths: dict[str, Path] = {}
    for given in policy or []:
        part, _, path = given.partition("=")
        if not part or not path:
            raise ConfigError(f"--policy must be PART=ZIP such as expert=policy.zip, got {given!r}.")
        policy_paths[part] = user_path(path)
    recipe = LocomotionRecipe(name, rows, medium_score, policy_paths, **vars(training))
    collection = LocomotionCollection(recipe, data_dir)
    collection.prepare()
    for line in collection.summary():
        console.print(line, soft_wrap=True)


@app.command
def inspect(data: str, /, *, data_dir: DataDir = "datasets") -> None:
    """Show the arrays, episodes and statistics of a data set, beside the published statistics.

    Example: `diffplan data inspect maze2d-umaze-v1`

    Args:
        data: A file, or a D4RL id.
        data_dir: Folder of the data that is not D4RL's.
    """
    path, entry = _resolve(data, data_dir)
    arrays = read_d4rl_file(path, max_episode_steps=entry.max_episode_steps if entry else None)
    console.print(f"{path}: {path.stat().st_size / 1e6:,.1f} MB, {len(arrays):,} rows", soft_wrap=True)
    digest = file_sha256(path)
    kind = provenance(digest, len(arrays), arrays.metadata, entry, from_d4rl=path.parent == cache_dir())
    console.print(f"SHA-256 {digest}, kind {kind}" + (f", taken for {entry.name}" if entry else ""), soft_wrap=True)
    shapes = Table("array", "shape", "dtype", box=None, pad_edge=False)
    for name, (shape, dtype) in summarize(path).arrays.items():
        shapes.add_row(name, str(shape), dtype)
    console.print(shapes, "")
    console.print(episode_table(arrays, entry), "")
    console.print(statistics_table(arrays, entry))
    if arrays.metadata:
        metadata = Table("metadata", box=None, pad_edge=False)
        metadata.add_column("value", overflow="fold")
        for key, value in arrays.metadata.items():
            metadata.add_row(key, str(value))
        console.print("", metadata)


@app.command
def verify(*datasets: Needed, data_dir: DataDir = "datasets") -> None:
    """Check hash, structure and values of data sets.

    Example: `diffplan data verify maze2d-umaze-v1 datasets/mine.hdf5`

    Args:
        datasets: Files or D4RL ids.
        data_dir: Folder of the data that is not D4RL's.
    """
    for name in datasets:
        path, entry = _resolve(name, data_dir)
        digest = file_sha256(path)
        if path.name in {known.file_name for known in catalog().values()} and entry is not None:
            _check_published(path, entry, digest)
        arrays = read_d4rl_file(
            path,
            observation_dim=entry.observation_dim if entry else None,
            action_dim=entry.action_dim if entry else None,
            task_name=entry.name if entry else None,
        )
        if ARRAYS_DIGEST in arrays.metadata:
            verify_written_file(path)
        known = entry is not None and entry.sha256 == digest
        hash_state = "the published one" if known else "none published to compare with"
        console.print(
            f"{path} is sound: {len(arrays):,} rows, all finite; SHA-256 {digest} ({hash_state}).", soft_wrap=True
        )


def _check_published(path: Path, entry: CatalogEntry, digest: str) -> None:
    """Checks a file under D4RL's name against what is published about it."""
    again = f"download it again with `diffplan data fetch {entry.name} --force`"
    if entry.sha256 is not None and digest != entry.sha256:
        raise DataError(f"{path} must have the published SHA-256 {entry.sha256}, got {digest}; {again}.")
    rows = summarize(path, entry.keys).num_rows
    if entry.num_transitions is not None and rows != entry.num_transitions:
        raise DataError(f"{path} must have D4RL's {entry.num_transitions:,} rows, got {rows:,}; {again}.")


def _resolve(name: str, data_dir: str) -> tuple[Path, CatalogEntry | None]:
    """Returns the file of a name or path, and the published data set that it belongs to."""
    entry = catalog().get(name)
    if entry is not None:
        path = D4RLSource(name, data_dir=data_dir).find()
        if path is None:
            made_here = sorted(user_path(data_dir).glob(f"*/{name}-*.hdf5"))
            instead = f"name a file, for instance {made_here[0]}" if made_here else "name a file"
            raise DataNotFoundError(
                f"{entry.file_name} of '{name}' is neither in {cache_dir()} nor in {data_dir}; download it with "
                f"`diffplan data fetch {name}` or {instead}."
            )
        return path, entry
    path = user_path(name)
    if status_of(path) is not None:
        return path, _guess(path)
    if path.suffix or len(path.parts) > 1:
        raise DataNotFoundError(f"There is no file {path}.")
    raise DataNotFoundError(f"'{name}' is neither a file nor a D4RL data set; {suggestion(name, tuple(catalog()))}")


def _guess(path: Path) -> CatalogEntry | None:
    """Returns the published data set whose name is part of a file's name; the longest one if there are several."""
    matches = [
        (len(key), entry)
        for entry in catalog().values()
        for key in (entry.name, entry.file_name.removesuffix(".hdf5"))
        if key in path.name
    ]
    return max(matches, key=lambda match: match[0])[1] if matches else None


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _megabytes(value: int | None) -> str:
    return "" if value is None else f"{value / 1e6:,.1f}"


def _place(path: Path | None) -> str:
    return "" if path is None else f"{path} ({path.stat().st_size / 1e6:,.1f} MB)"


def _show_progress() -> None:
    """Prints the log to stderr: progress, resumed downloads, evaluations."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFormatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
