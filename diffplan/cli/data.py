"""The command ``diffplan-data``: lists, fetches, generates, collects, inspects and verifies data sets."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from diffplan.data.catalog import CatalogEntry, cache_dir, catalog, dataset, dataset_url, provenance, suggestion
from diffplan.data.collect.locomotion_recipe import LocomotionRecipe
from diffplan.data.download import download
from diffplan.data.inspection import episode_table, statistics_table
from diffplan.data.source.d4rl_file import check_keys, count_rows, file_sha256, list_arrays, read_d4rl_file
from diffplan.data.source.d4rl_source import D4RLSource
from diffplan.errors import ConfigError, DataError, DataNotFoundError, DiffplanError

console = Console(highlight=False)
_COLLECT_NUMBERS = {
    "seed": "seed of training and collection",
    "train_steps": "environment steps of the training, after which the policy is the expert",
    "hidden_width": "units of each of the policy's two hidden layers",
    "batch_size": "transitions in a gradient step",
    "learning_starts": "steps with random actions before the first gradient step",
    "evaluate_every": "steps between evaluations, at which everything is saved",
    "evaluation_episodes": "episodes in an evaluation",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand.

    Args:
        argv: Arguments without the program's name; the command line's if None.

    Returns:
        Exit code, 1 after a user's mistake, whose message is on stderr.
    """
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        arguments.run(arguments)
    except DiffplanError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; the same command goes on with what is there.", file=sys.stderr)
        return 130
    return 0


def list_datasets(arguments: argparse.Namespace) -> None:
    """Shows every published data set and what lies on disk."""
    table = Table("data set", "rows", "published MB", box=None, pad_edge=False)
    table.add_column("on disk", overflow="fold")
    for entry in catalog().values():
        file = D4RLSource(entry.name, data_dir=arguments.data_dir).find()
        table.add_row(entry.name, _number(entry.num_transitions), _megabytes(entry.num_bytes), _place(file))
    console.print(table)
    published = {entry.file_name for entry in catalog().values()}
    for path in sorted(Path(arguments.data_dir).rglob("*.hdf5")):
        if path.name in published:
            continue
        console.print(f"other file: {_place(path)}", soft_wrap=True)
    console.print(f"D4RL's cache is {cache_dir()}, other data lies in {arguments.data_dir}.", soft_wrap=True)


def fetch(arguments: argparse.Namespace) -> None:
    """Downloads data sets to D4RL's cache."""
    entries = [dataset(name) for name in arguments.names]
    for entry in entries:
        path = cache_dir() / entry.file_name
        there = path.exists()
        digest = download(
            dataset_url(entry, arguments.base_url),
            path,
            num_bytes=entry.num_bytes,
            sha256=entry.sha256,
            keys=entry.keys,
            replace=arguments.force,
        )
        if there and not arguments.force:
            _check_published(path, entry, digest)
        state = "is there already" if there and not arguments.force else "fetched"
        console.print(f"{entry.name} {state}: {path}, SHA-256 {digest}.", soft_wrap=True)


def generate(arguments: argparse.Namespace) -> None:
    """Regenerates a Maze2D data set by D4RL's recipe."""
    # Imported here, because the simulator takes longer to load than the other subcommands take to run.
    from diffplan.data.source.maze2d_source import Maze2DSource

    rows = arguments.rows
    if rows is None:
        entry = catalog().get(arguments.name)
        rows = entry.num_transitions if entry is not None else 1_000_000
    source = Maze2DSource(arguments.name, num_transitions=rows, seed=arguments.seed, data_dir=arguments.data_dir)
    source.prepare()
    identity = source.identity()
    console.print(
        f"{identity.name}: {identity.num_transitions:,} {identity.kind} rows in {source.path}, "
        f"SHA-256 {identity.sha256}; train on it with task={arguments.name} source=maze2d_source "
        f"source.num_transitions={rows} source.seed={arguments.seed}.",
        soft_wrap=True,
    )


def collect(arguments: argparse.Namespace) -> None:
    """Makes a locomotion data set of one of D4RL's kinds from policies trained here."""
    from diffplan.data.collect.collect_locomotion import collect_locomotion

    policy_paths: dict[str, Path] = {}
    for given in arguments.policy:
        part, _, path = given.partition("=")
        if not part or not path:
            raise ConfigError(f"--policy must be PART=ZIP such as expert=policy.zip, got {given!r}.")
        policy_paths[part] = Path(path).expanduser()
    numbers = {name: getattr(arguments, name) for name in _COLLECT_NUMBERS}
    recipe = LocomotionRecipe(arguments.name, arguments.rows, arguments.medium_score, policy_paths, **numbers)
    for line in collect_locomotion(recipe, arguments.data_dir):
        console.print(line, soft_wrap=True)


def inspect(arguments: argparse.Namespace) -> None:
    """Shows what is in a file: arrays, episodes, statistics beside the published ones, metadata."""
    path, entry = _resolve(arguments.dataset, arguments.data_dir)
    arrays = read_d4rl_file(path, max_episode_steps=entry.max_episode_steps if entry else None)
    console.print(f"{path}: {path.stat().st_size / 1e6:,.1f} MB, {len(arrays):,} rows", soft_wrap=True)
    digest = file_sha256(path)
    kind = provenance(digest, len(arrays), arrays.metadata, entry, from_d4rl=path.parent == cache_dir())
    console.print(f"SHA-256 {digest}, kind {kind}" + (f", taken for {entry.name}" if entry else ""), soft_wrap=True)
    shapes = Table("array", "shape", "dtype", box=None, pad_edge=False)
    for name, (shape, dtype) in list_arrays(path).items():
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


def verify(arguments: argparse.Namespace) -> None:
    """Checks hash, structure and numbers of files."""
    for name in arguments.datasets:
        path, entry = _resolve(name, arguments.data_dir)
        digest = file_sha256(path)
        if path.name in {known.file_name for known in catalog().values()} and entry is not None:
            _check_published(path, entry, digest)
        arrays = read_d4rl_file(
            path,
            observation_dim=entry.observation_dim if entry else None,
            action_dim=entry.action_dim if entry else None,
            task_name=entry.name if entry else None,
        )
        known = entry is not None and entry.sha256 == digest
        hash_state = "the published one" if known else "none published to compare with"
        console.print(
            f"{path} is sound: {len(arrays):,} rows, all finite; SHA-256 {digest} ({hash_state}).", soft_wrap=True
        )


def _check_published(path: Path, entry: CatalogEntry, digest: str) -> None:
    """Holds a file under D4RL's name against what is published about it."""
    again = f"delete it and run `diffplan-data fetch {entry.name}`, or fetch with --force"
    if entry.sha256 is not None and digest != entry.sha256:
        raise DataError(f"{path} must have the published SHA-256 {entry.sha256}, got {digest}; {again}.")
    check_keys(path, entry.keys)
    rows = count_rows(path)
    if entry.num_transitions is not None and rows != entry.num_transitions:
        raise DataError(f"{path} must have D4RL's {entry.num_transitions:,} rows, got {rows:,}; {again}.")


def _resolve(name: str, data_dir: str) -> tuple[Path, CatalogEntry | None]:
    """Finds the file that a name or a path stands for, and the published data set it belongs to."""
    entry = catalog().get(name)
    if entry is not None:
        path = D4RLSource(name, data_dir=data_dir).find()
        if path is None:
            made_here = sorted(Path(data_dir).glob(f"*/{name}-*.hdf5"))
            instead = f"name a file, for instance {made_here[0]}" if made_here else "name a file"
            raise DataNotFoundError(
                f"{entry.file_name} of '{name}' is neither in {cache_dir()} nor in {data_dir}; fetch it with "
                f"`diffplan-data fetch {name}` or {instead}."
            )
        return path, entry
    path = Path(name).expanduser()
    if path.exists():
        return path, _guess(path)
    if path.suffix or len(path.parts) > 1:
        raise DataNotFoundError(f"There is no file {path}.")
    raise DataNotFoundError(f"'{name}' is neither a file nor a D4RL data set; {suggestion(name, tuple(catalog()))}")


def _guess(path: Path) -> CatalogEntry | None:
    """The published data set whose name or file name a file's name contains; the longest one if several."""
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="diffplan-data", description="Data sets for diffplan.")
    shared = argparse.ArgumentParser(add_help=False)
    default_dir = os.environ.get("DIFFPLAN_DATA_DIR", "datasets")
    shared.add_argument("--data-dir", default=default_dir, help="folder of data that is not D4RL's (%(default)s)")
    commands = parser.add_subparsers(title="subcommands", required=True, metavar="COMMAND")

    command = commands.add_parser("list", parents=[shared], help="known data sets and where they are")
    command.set_defaults(run=list_datasets)

    command = commands.add_parser("fetch", parents=[shared], help="download D4RL's files to D4RL's cache")
    command.add_argument("names", nargs="+", metavar="NAME", help="D4RL id, for instance maze2d-umaze-v1")
    command.add_argument("--base-url", help="mirror instead of D4RL's address (also D4RL_BASE_URL)")
    command.add_argument("--force", action="store_true", help="fetch again and replace what is there at the end")
    command.set_defaults(run=fetch)

    command = commands.add_parser("generate", parents=[shared], help="regenerate Maze2D data by D4RL's recipe")
    command.add_argument("name", metavar="NAME", help="for instance maze2d-umaze-v1")
    command.add_argument("--rows", type=int, help="transitions; as many as D4RL's set has by default")
    command.add_argument("--seed", type=int, default=0, help="seed of targets and action noise (%(default)s)")
    command.set_defaults(run=generate)

    command = commands.add_parser("collect", parents=[shared], help="train policies and collect locomotion data")
    _add_collect_arguments(command)
    command.set_defaults(run=collect)

    command = commands.add_parser("inspect", parents=[shared], help="show what is in a data set")
    command.add_argument("dataset", metavar="PATH|NAME", help="file or D4RL id")
    command.set_defaults(run=inspect)

    command = commands.add_parser("verify", parents=[shared], help="check hash, structure and numbers")
    command.add_argument("datasets", nargs="+", metavar="PATH|NAME", help="files or D4RL ids")
    command.set_defaults(run=verify)
    return parser


def _add_collect_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", metavar="NAME", help="for instance hopper-medium-expert-v2")
    command.add_argument("--rows", type=int, help="most transitions; 1,000,000 per policy by default")
    score = "D4RL-normalised score at which the policy is medium; the body's by default"
    command.add_argument("--medium-score", type=float, help=score)
    policy = "play a policy that stable-baselines3's SAC saved, for instance expert=sac-hopper.zip"
    command.add_argument("--policy", action="append", default=[], metavar="PART=ZIP", help=policy)
    for name, meaning in _COLLECT_NUMBERS.items():
        default = LocomotionRecipe.__dataclass_fields__[name].default
        flag = f"--{name.replace('_', '-')}"
        command.add_argument(flag, type=int, default=default, metavar="N", help=f"{meaning} (%(default)s)")


if __name__ == "__main__":
    sys.exit(main())
