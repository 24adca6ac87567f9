"""Reads Minari data sets from the disk or from Minari's server."""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from diffplan.data.source.base import AbstractSource, DataIdentity, Episode, Transitions, check_dimensions
from diffplan.data.source.hdf5_file import HDF5File, open_hdf5
from diffplan.errors import ConfigError, DataError, DataNotFoundError, DownloadError
from diffplan.files import check_file, status_of, user_path

logger = logging.getLogger(__name__)

_MOST_METADATA_BYTES = 10_000_000


class MinariSource(AbstractSource):
    """Reads one Minari data set in Minari's HDF5 format. It needs the optional package minari.

    The files are read here and not by minari, which makes the environments that a data set names, and with them runs
    whatever code the data set names. Minari's data was generated again, so scores on it are not D4RL scores, although
    names contain "D4RL".

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
        self.data_dir = None if data_dir is None else user_path(data_dir)
        self.download = download
        self.observation_keys = tuple(observation_keys)
        self.observation_dim = observation_dim
        self.action_dim = action_dim
        self._identity: DataIdentity | None = None

    def prepare(self) -> None:
        if status_of(self._folder()) is None:
            if not self.download:
                raise self._not_found()
            self._fetch()
        logger.info("%s: %s episodes in %s.", self.dataset_id, f"{self._num_episodes():,}", self._folder())

    def read(self) -> Transitions:
        return Transitions.from_episodes(self.episodes())

    def episodes(self) -> Iterator[Episode]:
        """Yields the episodes one by one; an observation that has no action after it is left out."""
        numbers = range(self._num_episodes())
        with ExitStack() as stack:
            with self._readable():
                file = stack.enter_context(open_hdf5(self._folder() / "main_data.hdf5"))
                stored = sum(name.startswith("episode_") for name in file.names)
                if stored != len(numbers):
                    raise DataError(f"it declares {len(numbers):,} episodes but stores {stored:,}")
            keys = [self._keys(file, number) for number in numbers]
            with self._readable():
                file.claim_memory([key for of_episode in keys for key in of_episode])
            for number, (*observations, actions, rewards, terminations) in zip(numbers, keys, strict=True):
                with self._readable():
                    parts = [file.numbers(key) for key in observations]
                    values = [file.numbers(key) for key in (actions, rewards, terminations)]
                length = len(values[1])
                is_terminated = bool(values[2][-1])
                episode = Episode(
                    observations=np.concatenate(parts, axis=1, dtype=np.float32, casting="unsafe")[:length],
                    actions=values[0].astype(np.float32),
                    rewards=values[1].astype(np.float32),
                    terminated=is_terminated,
                    truncated=not is_terminated,
                )
                self._check(episode, number)
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

    def _num_episodes(self) -> int:
        """Returns how many episodes the data set has, according to its metadata."""
        if status_of(self._folder()) is None:
            raise self._not_found()
        path = self._folder() / "metadata.json"
        with self._readable():
            if check_file(path, "the metadata of a Minari data set") > _MOST_METADATA_BYTES:
                raise DataError(f"{path} has more than {_MOST_METADATA_BYTES:,} bytes")
            try:
                metadata: Any = json.loads(path.read_bytes())
            except (OSError, ValueError, RecursionError) as error:
                raise DataError(f"{path} is no JSON") from error
            known = metadata if isinstance(metadata, dict) else {}
            number, kind = known.get("total_episodes"), known.get("data_format", "hdf5")
            if kind != "hdf5":
                raise DataError(f"its data_format must be hdf5, got {kind}")
            if type(number) is not int or not 0 < number < 1_000_000:
                raise DataError(f"its total_episodes must be a number from 1 to 1,000,000, got {number}")
            return number

    def _keys(self, file: HDF5File, number: int) -> list[str]:
        """Returns the arrays of an episode: observations, actions, rewards and terminations."""
        episode = f"episode_{number}"
        # A plain observation is an array, a dictionary is a group of arrays.
        observations = {f"{episode}/observations": "observation"}
        if f"{episode}/observations" not in file:
            there = [name for name in file.arrays if name.startswith(f"{episode}/observations/")]
            observations = {f"{episode}/observations/{key}": f"observation '{key}'" for key in self.observation_keys}
            missing = [key for key in self.observation_keys if f"{episode}/observations/{key}" not in file]
            if missing and there:
                entries = ", ".join(name.removeprefix(f"{episode}/observations/") for name in there)
                raise DataError(
                    f"Observations of '{self.dataset_id}' have no entry '{missing[0]}', they have {entries}; set "
                    "source.observation_keys."
                )
        matrices = observations | {f"{episode}/actions": "action"}
        vectors = [f"{episode}/rewards", f"{episode}/terminations"]
        for key in [*matrices, *vectors]:
            if key not in file:
                with self._readable():
                    raise DataError(f"it lacks {key}")
            info = file.arrays[key]
            if key in matrices and not (info.is_number and len(info.shape or ()) == 2):
                raise DataError(
                    f"Every {matrices[key]} of '{self.dataset_id}' must be a vector of numbers; this one is not."
                )
        lengths = {file.arrays[key].shape for key in vectors}
        if len(lengths) > 1 or len(shape := lengths.pop() or ()) != 1 or shape[0] == 0:
            raise DataError(
                f"Episode {number} of '{self.dataset_id}' must hold one reward and one termination for each step."
            )
        return [*matrices, *vectors]

    def _fetch(self) -> None:
        import minari

        before = os.environ.get("MINARI_DATASETS_PATH")
        if self.data_dir is not None:
            os.environ["MINARI_DATASETS_PATH"] = str(self.data_dir)
        try:
            minari.download_dataset(self.dataset_id)
        except Exception as error:
            # The hosting services raise errors of many packages, which mean the same to the user.
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise DownloadError(
                f"Minari could not download '{self.dataset_id}' ({reason}); "
                "`minari list remote` shows what its server has."
            ) from error
        finally:
            if before is None:
                os.environ.pop("MINARI_DATASETS_PATH", None)
            else:
                os.environ["MINARI_DATASETS_PATH"] = before

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
        """Names the data set in an error about its files, and the command that gets it again."""
        try:
            yield
        except DataError as error:
            reason = str(error).rstrip(".")
            raise DataError(
                f"'{self.dataset_id}' in {self._folder()} is damaged ({reason}); download it again with "
                f"`minari download --force {self.dataset_id}`."
            ) from error

    def _not_found(self) -> DataNotFoundError:
        return DataNotFoundError(
            f"There is no Minari data set '{self.dataset_id}' in {self._folder().parent}; fetch it with "
            f"`minari download {self.dataset_id}` or set source.download=true."
        )
