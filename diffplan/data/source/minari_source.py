"""Reads Minari data sets from the disk or from Minari's server."""

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from diffplan.data.source.base import AbstractSource, DataIdentity, Episode, Transitions, check_dimensions
from diffplan.errors import ConfigError, DataError, DataNotFoundError, DownloadError

if TYPE_CHECKING:
    from minari import EpisodeData, MinariDataset

logger = logging.getLogger(__name__)


class MinariSource(AbstractSource):
    """Reads one Minari data set. It needs the optional package minari.

    Minari's data was generated again, so scores on it are not D4RL scores, although names contain "D4RL".

    Args:
        dataset_id: Minari id, for instance ``D4RL/pointmaze/umaze-v2``.
        data_dir: Minari's folder of data sets; ``$MINARI_DATASETS_PATH`` or ``~/.minari/datasets`` if None.
        download: Download the data set from Minari's server if it is not on the disk.
        observation_keys: Entries of a dictionary observation to join, in this order. Not used if observations are plain
            vectors.
        observation_dim: Width that the observations must have.
        action_dim: Width that the actions must have.

    Raises:
        ConfigError: The package minari is not installed, or there is no observation key.
    """

    def __init__(
        self,
        dataset_id: str,
        data_dir: str | None = None,
        download: bool = False,
        observation_keys: Sequence[str] = ("observation",),
        observation_dim: int | None = None,
        action_dim: int | None = None,
    ) -> None:
        try:
            import minari  # noqa: F401
        except ImportError as error:
            raise ConfigError(
                "source=minari_source needs the package minari; install it with `pip install diffplan[minari]`."
            ) from error
        if not observation_keys:
            raise ConfigError("source.observation_keys must name at least one entry, got none.")
        self.dataset_id = dataset_id
        self.data_dir = None if data_dir is None else Path(data_dir).expanduser()
        self.download = download
        self.observation_keys = tuple(observation_keys)
        self.observation_dim = observation_dim
        self.action_dim = action_dim
        self._identity: DataIdentity | None = None

    def prepare(self) -> None:
        if not self._folder().exists():
            if not self.download:
                raise self._not_found()
            self._fetch()
        dataset = self._load()
        logger.info("%s: %s rows in %s.", self.dataset_id, f"{dataset.total_steps:,}", self._folder())

    def read(self) -> Transitions:
        return Transitions.from_episodes(self.episodes())

    def episodes(self) -> Iterator[Episode]:
        """Yields the episodes one by one; an observation that has no action after it is left out."""
        dataset = self._load()
        with self._readable():
            for data in dataset.iterate_episodes():
                episode = self._episode(data)
                self._check(episode, int(data.id))
                yield episode

    def identity(self) -> DataIdentity:
        """Says which data this is; the hash is over all arrays, episode by episode."""
        if self._identity is None:
            digest = hashlib.sha256()
            rows = 0
            for episode in self.episodes():
                rows += len(episode)
                for array in (episode.observations, episode.actions, episode.rewards):
                    digest.update(np.ascontiguousarray(array).tobytes())
                digest.update(bytes((episode.terminated, episode.truncated)))
            self._identity = DataIdentity(self.dataset_id, "minari", digest.hexdigest(), rows)
        return self._identity

    def _folder(self) -> Path:
        root = self.data_dir or os.environ.get("MINARI_DATASETS_PATH") or Path.home() / ".minari" / "datasets"
        return Path(root) / self.dataset_id / "data"

    def _load(self) -> "MinariDataset":
        import minari

        if not self._folder().exists():
            raise self._not_found()
        with self._readable():
            return minari.MinariDataset(self._folder())

    def _fetch(self) -> None:
        import minari

        before = os.environ.get("MINARI_DATASETS_PATH")
        if self.data_dir is not None:
            os.environ["MINARI_DATASETS_PATH"] = str(self.data_dir)
        try:
            minari.download_dataset(self.dataset_id)
        except Exception as error:
            # The hosting services raise errors of many packages, which mean the same to the user.
            raise DownloadError(
                f"Minari could not download '{self.dataset_id}' ({type(error).__name__}: {error}); "
                "`minari list remote` shows what its server has."
            ) from error
        finally:
            if before is None:
                os.environ.pop("MINARI_DATASETS_PATH", None)
            else:
                os.environ["MINARI_DATASETS_PATH"] = before

    def _episode(self, data: "EpisodeData") -> Episode:
        observations = data.observations
        if isinstance(observations, dict):
            missing = [key for key in self.observation_keys if key not in observations]
            if missing:
                raise DataError(
                    f"Observations of '{self.dataset_id}' have no entry '{missing[0]}', they have "
                    f"{', '.join(observations)}; set source.observation_keys."
                )
            columns = [self._matrix(observations[key], f"observation '{key}'") for key in self.observation_keys]
            observations = np.concatenate(columns, axis=1)
        length = len(data.rewards)
        terminated = bool(data.terminations[-1])
        return Episode(
            observations=self._matrix(observations, "observation")[:length],
            actions=self._matrix(data.actions, "action"),
            rewards=np.asarray(data.rewards, dtype=np.float32),
            terminated=terminated,
            truncated=not terminated,
        )

    def _matrix(self, values: object, what: str) -> Float32[np.ndarray, "rows dim"]:
        array = np.asarray(values) if not isinstance(values, dict | tuple) else None
        if array is None or array.ndim != 2 or array.dtype.kind not in "fiub":
            raise DataError(f"Every {what} of '{self.dataset_id}' must be a vector of numbers; this one is not.")
        return array.astype(np.float32)

    def _check(self, episode: Episode, number: int) -> None:
        declared = (self.observation_dim, self.action_dim)
        found = (episode.observations.shape[1], episode.actions.shape[1])
        remedy = "Choose the task or the source.observation_keys that belong to it."
        check_dimensions("The task", declared, f"'{self.dataset_id}'", found, remedy)
        lengths = {len(episode.observations), len(episode.actions), len(episode.rewards)}
        if len(lengths) > 1:
            raise DataError(f"Episode {number} of '{self.dataset_id}' has arrays of {sorted(lengths)} rows.")
        for key in ("observations", "actions", "rewards"):
            if not np.isfinite(getattr(episode, key)).all():
                raise DataError(f"Episode {number} of '{self.dataset_id}' must hold finite {key}, got NaN or infinity.")

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            raise DataError(
                f"'{self.dataset_id}' in {self._folder()} is damaged ({error}); download it again with "
                f"`minari download --force {self.dataset_id}`."
            ) from error

    def _not_found(self) -> DataNotFoundError:
        return DataNotFoundError(
            f"There is no Minari data set '{self.dataset_id}' in {self._folder().parent}; fetch it with "
            f"`minari download {self.dataset_id}` or set source.download=true."
        )
