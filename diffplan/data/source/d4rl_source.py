"""Reads HDF5 files in D4RL's layout: a given file, one in D4RL's cache, or a downloaded one."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from diffplan.data.catalog import cache_dir, catalog, dataset_url, provenance, suggestion
from diffplan.data.download import download as download_file
from diffplan.data.segmentation import segment_by_flags, segment_by_goal_departure
from diffplan.data.source.base import AbstractSource, DataIdentity, Transitions
from diffplan.data.source.d4rl_file import file_sha256, read_d4rl_file, summarize
from diffplan.errors import ConfigError, DataNotFoundError, DownloadError
from diffplan.files import status_of, user_path

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class D4RLSource(AbstractSource):
    """Reads one D4RL data set or any file in D4RL's layout. It never uses another data set instead.

    If ``path`` is given, only that file is used. Otherwise the source looks in D4RL's cache (``$D4RL_DATASET_DIR`` or
    ``~/.d4rl/datasets``, shared with an installation of d4rl), then in ``data_dir``, then downloads to the cache.

    Attributes:
        name: D4RL id.
        path: File to read.
        num_transitions: Number of rows to use, from the beginning of the file. None uses all rows.
        data_dir: Folder that may hold files under D4RL's file names.
        download: Download a published file that is not found in any of these places.
        segmentation: Where an episode ends: at the recorded ``flags``, or at each ``goal_departure`` from ``target``.
        target: Evaluation goal as (x, y) in metres, for ``goal_departure``.
        observation_dim: Width that the observations must have.
        action_dim: Width that the actions must have.
        max_episode_steps: Episode length, for files without ``timeouts``.
        include_unfinished: Keep the rows after the last end of an episode.

    Raises:
        ConfigError: The segmentation is unknown or lacks its target.
    """

    name: str
    path: str | None = None
    num_transitions: int | None = None
    data_dir: str = "datasets"
    download: bool = True
    segmentation: Literal["flags", "goal_departure"] = "flags"
    target: Sequence[float] | None = None
    observation_dim: int | None = None
    action_dim: int | None = None
    max_episode_steps: int | None = None
    include_unfinished: bool = True

    def __post_init__(self) -> None:
        if self.segmentation not in ("flags", "goal_departure"):
            raise ConfigError(f"source.segmentation must be flags or goal_departure, got {self.segmentation!r}.")
        if self.num_transitions is not None and self.num_transitions < 1:
            raise ConfigError(f"source.num_transitions must be at least 1 or null, got {self.num_transitions}.")
        if self.segmentation == "goal_departure" and (self.target is None or len(self.target) != 2):
            raise ConfigError(f"source.segmentation=goal_departure needs source.target=[x,y], got {self.target}.")

    def prepare(self) -> None:
        file = self.find()
        if file is None:
            entry = catalog().get(self.name)
            if entry is None or not self.download:
                raise self._not_found()
            file = cache_dir() / entry.file_name
            try:
                download_file(
                    dataset_url(entry),
                    file,
                    num_bytes=entry.num_bytes,
                    sha256=entry.sha256,
                    keys=entry.keys,
                    num_rows=entry.num_transitions,
                    wait=True,
                )
            except DownloadError as error:
                raise DownloadError(f"{str(error).rstrip('.')}; instead, {self._other_ways()}.") from error
        logger.info("%s: %s rows in %s.", self.name, f"{summarize(file).num_rows:,}", file)

    def read(self) -> Transitions:
        arrays = read_d4rl_file(
            self._file(),
            observation_dim=self.observation_dim,
            action_dim=self.action_dim,
            max_episode_steps=self.max_episode_steps,
            task_name=self.name,
        ).first(self.num_transitions)
        if self.segmentation == "flags" or self.target is None:
            return segment_by_flags(arrays, self.include_unfinished)
        target = [float(coordinate) for coordinate in self.target]
        return segment_by_goal_departure(arrays, target, include_unfinished=self.include_unfinished)

    def identity(self) -> DataIdentity:
        """Says which data this is. The kind is ``d4rl`` only if ``provenance`` confirms it."""
        file = self._file()
        digest, summary, entry = file_sha256(file), summarize(file), catalog().get(self.name)
        is_cached = self.path is None and file.parent == cache_dir()
        kind = provenance(digest, summary.num_rows, summary.metadata, entry, from_d4rl=is_cached)
        rows = min(summary.num_rows, self.num_transitions or summary.num_rows)
        return DataIdentity(self.name, kind, digest, rows)

    def find(self) -> Path | None:
        """Returns the path of the file; None if it is not found.

        Raises:
            DataNotFoundError: There is no file at the given ``path``.
        """
        if self.path is not None:
            path = user_path(self.path)
            if status_of(path) is None:
                raise DataNotFoundError(f"There is no file {path}; source.path must be an HDF5 file.")
            return path
        entry = catalog().get(self.name)
        if entry is None:
            return None
        places = (cache_dir() / entry.file_name, user_path(self.data_dir) / entry.file_name)
        return next((place for place in places if status_of(place) is not None), None)

    def _file(self) -> Path:
        file = self.find()
        if file is None:
            raise self._not_found()
        return file

    def _not_found(self) -> DataNotFoundError:
        entry = catalog().get(self.name)
        if entry is None:
            known = suggestion(self.name, tuple(catalog()))
            return DataNotFoundError(f"D4RL publishes no data set '{self.name}'; {self._other_ways()}; {known}")
        return DataNotFoundError(
            f"{entry.file_name} of '{self.name}' is neither in {cache_dir()} nor in {self.data_dir}; download it with "
            f"`diffplan data fetch {self.name}`, {self._other_ways()}."
        )

    def _other_ways(self) -> str:
        regenerate = f"regenerate it with `diffplan data generate {self.name}` and train with source=maze2d_source, or "
        return f"{regenerate if self.name.startswith('maze2d-') else ''}give a file with source.path=<file>"
