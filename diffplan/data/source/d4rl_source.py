"""Reads HDF5 files in D4RL's layout: a given file, one in D4RL's cache, or a downloaded one."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from diffplan.data.catalog import cache_dir, catalog, dataset_url, provenance, suggestion
from diffplan.data.download import download as download_file
from diffplan.data.segmentation import segment_by_flags, segment_by_goal_departure
from diffplan.data.source.base import AbstractSource, DataIdentity, Transitions
from diffplan.data.source.d4rl_file import count_rows, file_sha256, read_d4rl_file, read_metadata
from diffplan.errors import ConfigError, DataNotFoundError, DownloadError

logger = logging.getLogger(__name__)


class D4RLSource(AbstractSource):
    """Reads one D4RL data set or any file in D4RL's layout. It never uses another data set instead.

    If ``path`` is given, only that file is used. Otherwise the source looks in D4RL's cache (``$D4RL_DATASET_DIR`` or
    ``~/.d4rl/datasets``, shared with an installation of d4rl), then in ``data_dir``, then downloads to the cache.

    Args:
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

    def __init__(
        self,
        name: str,
        path: str | None = None,
        num_transitions: int | None = None,
        data_dir: str = "datasets",
        download: bool = True,
        segmentation: Literal["flags", "goal_departure"] = "flags",
        target: Sequence[float] | None = None,
        observation_dim: int | None = None,
        action_dim: int | None = None,
        max_episode_steps: int | None = None,
        include_unfinished: bool = True,
    ) -> None:
        if segmentation not in ("flags", "goal_departure"):
            raise ConfigError(f"source.segmentation must be flags or goal_departure, got {segmentation!r}.")
        if num_transitions is not None and num_transitions < 1:
            raise ConfigError(f"source.num_transitions must be at least 1 or null, got {num_transitions}.")
        if segmentation == "goal_departure" and (target is None or len(target) != 2):
            raise ConfigError(f"source.segmentation=goal_departure needs source.target=[x,y], got {target}.")
        self.name = name
        self.path = None if path is None else Path(path).expanduser()
        self.num_transitions = num_transitions
        self.data_dir = Path(data_dir).expanduser()
        self.download = download
        self.segmentation = segmentation
        self.target = target
        self.observation_dim = observation_dim
        self.action_dim = action_dim
        self.max_episode_steps = max_episode_steps
        self.include_unfinished = include_unfinished

    def prepare(self) -> None:
        """Finds the file or downloads it, and checks that it opens.

        Raises:
            DataNotFoundError: The file is not found and cannot be downloaded. The message names the commands.
            DownloadError: The download failed.
            DataError: The file is broken.
        """
        file = self.find()
        if file is None:
            entry = catalog().get(self.name)
            if entry is None or not self.download:
                raise self._not_found()
            file = cache_dir() / entry.file_name
            try:
                download_file(
                    dataset_url(entry), file, num_bytes=entry.num_bytes, sha256=entry.sha256, keys=entry.keys, wait=True
                )
            except DownloadError as error:
                raise DownloadError(f"{str(error).rstrip('.')}; instead, {self._other_ways()}.") from error
        rows = count_rows(file)
        logger.info("%s: %s rows in %s.", self.name, f"{rows:,}", file)

    def read(self) -> Transitions:
        """Reads all episodes in file order.

        Raises:
            DataNotFoundError: The file is nowhere.
            DataError: It is broken or holds values nobody can train on.
            TaskMismatchError: Its dimensions are not the task's.
        """
        arrays = read_d4rl_file(
            self._file(),
            observation_dim=self.observation_dim,
            action_dim=self.action_dim,
            max_episode_steps=self.max_episode_steps,
            task_name=self.name,
        ).first(self.num_transitions)
        if self.segmentation == "flags" or self.target is None:
            return segment_by_flags(arrays, self.include_unfinished)
        target = (float(self.target[0]), float(self.target[1]))
        return segment_by_goal_departure(arrays, target, include_unfinished=self.include_unfinished)

    def identity(self) -> DataIdentity:
        """Says which data this is. The kind is ``d4rl`` only if ``provenance`` confirms it."""
        file = self._file()
        rows = count_rows(file)
        digest = file_sha256(file)
        kind = provenance(
            digest,
            rows,
            read_metadata(file),
            catalog().get(self.name),
            from_d4rl=self.path is None and file.parent == cache_dir(),
        )
        return DataIdentity(self.name, kind, digest, num_transitions=min(rows, self.num_transitions or rows))

    def find(self) -> Path | None:
        """Returns the path of the file; None if it is not found.

        Raises:
            DataNotFoundError: There is no file at the given ``path``.
        """
        if self.path is not None:
            if not self.path.exists():
                raise DataNotFoundError(f"There is no file {self.path}; source.path must be an HDF5 file.")
            return self.path
        entry = catalog().get(self.name)
        if entry is None:
            return None
        places = (cache_dir() / entry.file_name, self.data_dir / entry.file_name)
        return next((place for place in places if place.exists()), None)

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
        regenerate = ""
        if self.name.startswith("maze2d-"):
            regenerate = (
                f"regenerate it with `diffplan data generate {self.name}` and train with source=maze2d_source, "
            )
        return f"{regenerate}{'or ' if regenerate else ''}give a file with source.path=<file>"
