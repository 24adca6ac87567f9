"""HDF5 files in D4RL's layout: reading, checking, describing, hashing and writing."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Bool, Float32, Shaped

from diffplan.data.source.base import check_dimensions
from diffplan.data.source.hdf5_file import HDF5File, open_hdf5
from diffplan.errors import DataError
from diffplan.files import check_file, status_of, write_file

logger = logging.getLogger(__name__)

REQUIRED_KEYS = ("observations", "actions", "rewards", "terminals")
# The arrays that this package writes, in the order in which their digest is taken.
WRITTEN_KEYS = (
    *("observations", "actions", "rewards", "terminals", "timeouts", "next_observations"),
    *("infos/goal", "infos/qpos", "infos/qvel", "infos/action_log_probs"),
)
# Metadata of such a file: the digest of its arrays.
ARRAYS_DIGEST = "arrays_sha256"


@dataclass(frozen=True, repr=False)
class D4RLArrays:
    """All rows of one file in file order, in raw units. Row ``i`` holds the observation before action ``i``.

    Attributes:
        observations: Observations before each action.
        actions: Actions as recorded.
        rewards: Reward of each action.
        terminals: Whether the action ended the task.
        timeouts: Whether the recording stopped after the action for another reason, as the file says.
        metadata: The file's attributes and its single values below ``metadata/``, by path. Arrays (policy weights) are
            left out.
    """

    observations: Float32[np.ndarray, "rows observation"]
    actions: Float32[np.ndarray, "rows action"]
    rewards: Float32[np.ndarray, " rows"]
    terminals: Bool[np.ndarray, " rows"]
    timeouts: Bool[np.ndarray, " rows"]
    metadata: Mapping[str, str | int | float]

    def __len__(self) -> int:
        return len(self.observations)

    def first(self, num_rows: int | None) -> "D4RLArrays":
        """Returns the first ``num_rows`` rows; all rows if None."""
        columns = ("observations", "actions", "rewards", "terminals", "timeouts")
        return replace(self, **{column: getattr(self, column)[:num_rows] for column in columns})

    def __repr__(self) -> str:
        return f"D4RLArrays(rows={len(self)}, observations={self.observations.shape}, actions={self.actions.shape})"


def read_d4rl_file(
    path: Path,
    observation_dim: int | None = None,
    action_dim: int | None = None,
    max_episode_steps: int | None = None,
    task_name: str | None = None,
) -> D4RLArrays:
    """Reads and checks a whole file. Numbers become float32, flags become bool, and columns of width one become flat.

    Args:
        path: The HDF5 file.
        observation_dim: Width that the observations must have; any width if None.
        action_dim: Width that the actions must have; any width if None.
        max_episode_steps: Episode length for files without ``timeouts`` (kitchen), which are cut there. If None, such a
            file is cut at its terminals only.
        task_name: Name of the task with these dimensions, for the message about a mismatch.

    Raises:
        DataNotFoundError: There is no such file.
        DataError: The file is empty, not HDF5, truncated or refers to other files, it lacks a key, or its rows are not
            numbers to train on.
        TaskMismatchError: Observations or actions have another width than the task declares.
    """
    with open_hdf5(path) as file:
        keys = [*REQUIRED_KEYS, *(key for key in ("timeouts",) if key in file.names)]
        _require(file, keys)
        columns = {key: _column(file, key) for key in keys}
        metadata = file.metadata()
    declared, found = (observation_dim, action_dim), (columns["observations"].shape[1], columns["actions"].shape[1])
    task = task_name or "<id>"
    remedy = f"Fix conf/task/{task}.yaml (or the body that it names) or give the file that belongs to this task."
    check_dimensions(f"task '{task}'", declared, str(path), found, remedy)
    if len({len(array) for array in columns.values()}) > 1:
        counts = ", ".join(f"{key} {len(array)}" for key, array in columns.items())
        raise DataError(f"{path} must hold equally many rows under every key, got {counts}.")
    if len(columns["observations"]) == 0:
        raise DataError(f"{path} holds no rows.")
    if "timeouts" not in columns:
        columns["timeouts"] = _timeouts_every(max_episode_steps, columns["terminals"])
    _warn_of_zeros(path, columns["observations"])
    return D4RLArrays(**columns, metadata=metadata)


def write_d4rl_file(
    path: Path, arrays: Mapping[str, Shaped[np.ndarray, "rows ..."]], metadata: Mapping[str, str | int | float]
) -> None:
    """Writes a file in D4RL's layout, completely or not at all. Its bytes depend on its content only.

    Args:
        path: File to write.
        arrays: Arrays by key; every key is one of ``WRITTEN_KEYS``.
        metadata: What the file says about itself; a slash in a name makes a group.

    Raises:
        DataError: The folder cannot be written or the disk is full. The file that was there stays.
    """
    # The file is built in memory, because HDF5 leaves half a file and raises errors of many kinds if a disk is full.
    with h5py.File(path.name, "w", driver="core", backing_store=False) as file:
        # Time stamps would make two files with the same content differ.
        for key, array in arrays.items():
            file.create_dataset(key, data=array, compression="gzip", compression_opts=4, track_times=False)
        for key, value in metadata.items():
            scalar = np.bytes_(value.encode()) if isinstance(value, str) else value
            file.create_dataset(f"metadata/{key}", data=scalar, track_times=False)
        file.create_dataset(f"metadata/{ARRAYS_DIGEST}", data=np.bytes_(_digest(arrays).encode()), track_times=False)
        file.flush()
        content = file.id.get_file_image()
    write_file(path, content)


def verify_written_file(path: Path) -> None:
    """Checks that a file holds the arrays that ``write_d4rl_file`` wrote.

    Raises:
        DataError: It does not.
    """
    with open_hdf5(path) as file:
        arrays = {key: file.numbers(key) for key in WRITTEN_KEYS if key in file}
        stored = file.metadata().get(ARRAYS_DIGEST)
    if stored != _digest(arrays):
        raise DataError(f"{path} was changed after it was written; move it away and rerun the same command.")


def _digest(arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> str:
    digest = hashlib.sha256()
    for key in (key for key in WRITTEN_KEYS if key in arrays):
        digest.update(f"{key} {arrays[key].dtype} {arrays[key].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[key]).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class FileSummary:
    """What a file holds.

    Attributes:
        arrays: Shape and dtype of every array by its path inside the file. Single values are left out.
        metadata: As in ``D4RLArrays``.
    """

    arrays: Mapping[str, tuple[tuple[int, ...], str]]
    metadata: Mapping[str, str | int | float]

    @property
    def num_rows(self) -> int:
        """Number of observations."""
        return self.arrays["observations"][0][0]


def summarize(path: Path, keys: Sequence[str] = REQUIRED_KEYS) -> FileSummary:
    """Describes a file without reading its rows.

    Args:
        path: The file.
        keys: Arrays that it must hold.

    Raises:
        DataError: As ``read_d4rl_file``, for all problems that show without reading the rows.
    """
    with open_hdf5(path) as file:
        _require(file, keys)
        if "observations" in file and not file.arrays["observations"].shape:
            raise DataError(f"{path} must hold one row per transition under 'observations', got a single value.")
        arrays = {name: (info.shape, info.dtype) for name, info in file.arrays.items() if info.shape}
        return FileSummary(arrays, file.metadata())


def file_sha256(path: Path) -> str:
    """Hashes a file, which takes a second for a gigabyte. A file that has not changed is hashed once per process.

    Raises:
        DataError: The file cannot be read.
    """
    if status_of(path) is not None:
        check_file(path, "a file")
    try:
        stat = path.stat()
        return _file_sha256(path, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


@cache
def _file_sha256(path: Path, modified_ns: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require(file: HDF5File, keys: Sequence[str]) -> None:
    for key in keys:
        if key not in file:
            there = ", ".join(sorted(file.names)) or "nothing"
            hint = "; this is a Minari file: read it with source=minari_source" if "episode_0" in file.names else ""
            raise DataError(f"{file.path} lacks the key '{key}' of D4RL's layout; it has {there}{hint}.")


def _column(file: HDF5File, key: str) -> Shaped[np.ndarray, "rows ..."]:
    """Reads the values of one key: a matrix or a vector of finite float32, or a vector of bool for flags."""
    is_matrix, is_flag = key in ("observations", "actions"), key in ("terminals", "timeouts")
    shape = file.arrays[key].shape or ()
    if not (len(shape) == (2 if is_matrix else 1) or (not is_matrix and len(shape) == 2 and shape[1] == 1)):
        form = "row" if is_matrix else "value"
        raise DataError(f"{file.path} must hold one {form} per transition under '{key}', got the shape {shape}.")
    if is_matrix and shape[1] == 0:
        raise DataError(f"{file.path} must hold at least one number per transition under '{key}', got none.")
    array = file.numbers(key)
    if not is_matrix and array.ndim == 2:
        array = array[:, 0]
    # A float64 value beyond float32 becomes inf, which is reported with its row.
    with np.errstate(over="ignore"):
        values = array if is_flag else np.ascontiguousarray(array, dtype=np.float32)
    finite = np.isfinite(values)
    if not finite.all():
        position = np.argwhere(~finite)[0]
        raise DataError(
            f"{file.path} must hold finite numbers under '{key}', got {values[tuple(position)]} in row {position[0]} "
            f"({(~finite).sum()} such values in all)."
        )
    return _flags(values, key, file.path) if is_flag else values


def _flags(values: Shaped[np.ndarray, " rows"], key: str, path: Path) -> Bool[np.ndarray, " rows"]:
    # A damaged flag is stored as a number other than 0 and 1, which NumPy does not notice.
    numbers = values.view(np.uint8) if values.dtype == np.bool_ else values
    if values.dtype == np.bool_ and numbers.max(initial=0) <= 1:
        return values
    flags = numbers != 0
    if not np.array_equal(numbers, flags):
        row = int(np.flatnonzero(numbers != flags)[0])
        raise DataError(f"{path} must hold 0 or 1 under '{key}', got {numbers[row]} in row {row}.")
    return flags


def _warn_of_zeros(path: Path, observations: Float32[np.ndarray, "rows observation"]) -> None:
    """Says which observations never were anything but zero, as values that were lost are."""
    columns = [column for column in np.flatnonzero(observations[0] == 0) if not observations[:, column].any()]
    if columns:
        shown = ", ".join(map(str, columns[:20])) + (", ..." if len(columns) > 20 else "")
        logger.warning("%s: the observations are 0 in every row in column %s.", path, shown)


def _timeouts_every(max_episode_steps: int | None, terminals: Bool[np.ndarray, " rows"]) -> Bool[np.ndarray, " rows"]:
    """Flags every ``max_episode_steps``-th row of an episode, or none. A terminal row ends an episode as well."""
    if max_episode_steps is None:
        return np.zeros_like(terminals)
    rows = np.arange(len(terminals))
    first_rows = np.zeros(len(terminals), dtype=np.int64)
    first_rows[1:] = np.where(terminals[:-1], rows[1:], 0)
    step = rows - np.maximum.accumulate(first_rows)
    return (step + 1) % max_episode_steps == 0
