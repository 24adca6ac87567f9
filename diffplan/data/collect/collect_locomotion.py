"""What ``diffplan-data collect`` does."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from diffplan.data.collect.locomotion_collection import LocomotionCollection
from diffplan.data.collect.locomotion_recipe import LocomotionRecipe
from diffplan.data.source.d4rl_file import file_sha256, read_metadata


def collect_locomotion(recipe: LocomotionRecipe, data_dir: str) -> list[str]:
    """Makes one data set, with progress on stderr.

    Args:
        recipe: What to make.
        data_dir: Folder of all data.

    Returns:
        Lines about the file: what is in it and how to train on it.

    Raises:
        DiffplanError: As ``LocomotionCollection.prepare``.
    """
    collection = LocomotionCollection(recipe, data_dir)
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        collection.prepare(progress)
    said = read_metadata(collection.path)
    return [
        f"{recipe.name}: {said['num_transitions']:,} collected rows in {collection.path}, "
        f"SHA-256 {file_sha256(collection.path)}.",
        f"{said['num_episodes']:,} episodes, return {said['return_mean']:,.1f} +- {said['return_std']:,.1f} "
        f"({said['return_min']:,.1f} to {said['return_max']:,.1f}), D4RL-normalised "
        f"{said['normalized_score_mean']:.1f}.",
        f"Train on it with: diffplan-train task={recipe.name} source.path={collection.path}",
    ]
