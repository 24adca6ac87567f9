"""HDF5 files in D4RL's layout: reading, checking, describing, hashing and writing."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Bool, Float32, Shaped

from diffplan.data.catalog import catalog
from diffplan.data.source.base import check_dimensions
from diffplan.errors import DataError, DataNotFoundError
from diffplan.files import write_file

REQUIRED_KEYS = ("observations", "actions", "rewards", "terminals")
# The arrays that this package writes, in the order in which their digest is taken.
WRITTEN_KEYS = (
    *("observations", "actions", "rewards", "terminals", "timeouts", "next_observations"),
    *("infos/goal", "infos/qpos", "infos/qvel", "infos/action_log_probs"),
)
_DIGEST = "metadata/arrays_sha256"


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
        DataError: The file is empty, not HDF5 or truncated, it lacks a key, or its rows are not numbers to train on.
        TaskMismatchError: Observations or actions have another width than the task declares.
    """
    with open_hdf5(path, REQUIRED_KEYS) as file:
        columns = {key: _column(file, key, path) for key in (*REQUIRED_KEYS, "timeouts") if key in file}
        metadata = _summary(file).metadata
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
        file.create_dataset(_DIGEST, data=np.bytes_(_digest(arrays).encode()), track_times=False)
        file.flush()
        content = file.id.get_file_image()
    write_file(path, content)


def verify_written_file(path: Path) -> None:
    """Checks that a file holds the arrays that ``write_d4rl_file`` wrote.

    Raises:
        DataError: It does not.
    """
    with open_hdf5(path) as file:
        arrays = {key: np.asarray(file[key][()]) for key in WRITTEN_KEYS if key in file}
        stored = file[_DIGEST][()] if _DIGEST in file else b""
    if stored.decode() != _digest(arrays):
        raise DataError(f"{path} was changed after it was written; move it away and rerun the same command.")


def _digest(arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> str:
    digest = hashlib.sha256()
    for key in (key for key in WRITTEN_KEYS if key in arrays):
        digest.update(f"{key} {arrays[key].dtype} {arrays[key].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[key]).data)
    return digest.hexdigest()


@contextmanager
def open_hdf5(path: Path, keys: Sequence[str] = ()) -> Iterator[h5py.File]:
    """Opens a file for reading and reports all that HDF5 may complain about as one sentence.

    Args:
        path: The file.
        keys: Arrays that it must hold.

    Raises:
        DataNotFoundError: There is no such file.
        DataError: The file is empty, not HDF5, truncated, damaged, lacks a key, or may not be read.
    """
    if not path.exists():
        raise DataNotFoundError(f"There is no file {path}; give the path of an HDF5 file in D4RL's layout.")
    if not path.is_file():
        raise DataError(f"{path} must be an HDF5 file but is a folder; name the file inside it.")
    published = [entry.name for entry in catalog().values() if entry.file_name == path.name]
    # Only a published file is certain to be available again.
    remedy = "give the path of another file, or get this one again from where it came"
    if published:
        remedy = f"download it again with `diffplan data fetch {published[0]} --force`"
    try:
        path.open("rb").close()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; check the file's permissions.") from error
    size = path.stat().st_size
    if not h5py.is_hdf5(path):
        raise DataError(f"{path} is {'not an HDF5 file' if size else 'empty (0 bytes)'}; {remedy}.")
    try:
        with h5py.File(path, "r") as file:
            for key in keys:
                _require(file, key, path)
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, MemoryError) as error:  # h5py has no error class of its own
        reason = "is truncated" if "truncated" in str(error) else "is damaged and cannot be read completely"
        raise DataError(f"{path} {reason} ({size:,} bytes are there); {remedy}.") from error


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
    with open_hdf5(path, keys) as file:
        return _summary(file)


def file_sha256(path: Path) -> str:
    """Hashes a file, which takes a second for a gigabyte. A file that has not changed is hashed once per process.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        stat = path.stat()
        return _file_sha256(path, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


@cache
def _file_sha256(path: Path, modified_ns: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require(file: h5py.File, key: str, path: Path) -> None:
    if isinstance(file.get(key), h5py.Dataset):
        return
    there = ", ".join(sorted(str(name) for name in file)) or "nothing"
    hint = "; this is a Minari file: read it with source=minari_source" if "episode_0" in file else ""
    raise DataError(f"{path} lacks the key '{key}' of D4RL's layout; it has {there}{hint}.")


def _column(file: h5py.File, key: str, path: Path) -> Shaped[np.ndarray, "rows ..."]:
    """Reads the values of one key: a matrix or a vector of finite float32, or a vector of bool for flags."""
    array = np.asarray(file[key][()])
    is_matrix, is_flag = key in ("observations", "actions"), key in ("terminals", "timeouts")
    if array.dtype.kind not in "fiub":
        raise DataError(f"{path} must hold numbers under '{key}', got dtype {array.dtype}.")
    if not is_matrix and array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != (2 if is_matrix else 1):
        form = "row" if is_matrix else "value"
        raise DataError(f"{path} must hold one {form} per transition under '{key}', got the shape {array.shape}.")
    # A float64 value beyond float32 becomes inf, which is reported with its row.
    with np.errstate(over="ignore"):
        values = array if is_flag else np.ascontiguousarray(array, dtype=np.float32)
    finite = np.isfinite(values)
    if not finite.all():
        position = np.argwhere(~finite)[0]
        raise DataError(
            f"{path} must hold finite numbers under '{key}', got {values[tuple(position)]} in row {position[0]} "
            f"({(~finite).sum()} such values in all)."
        )
    return values.astype(np.bool_) if is_flag else values


def _summary(file: h5py.File) -> FileSummary:
    arrays: dict[str, tuple[tuple[int, ...], str]] = {}
    metadata: dict[str, str | int | float] = {}

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset) and item.shape:
            arrays[name] = (item.shape, str(item.dtype))
        elif isinstance(item, h5py.Dataset) and item.shape == () and name.startswith("metadata/"):
            metadata[name.removeprefix("metadata/")] = _plain(item[()])

    file.visititems(visit)
    metadata |= {name: _plain(value) for name, value in file.attrs.items() if np.ndim(value) == 0}
    return FileSummary(arrays, metadata)


def _plain(value: object) -> str | int | float:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, int | float) else str(value)


def _timeouts_every(max_episode_steps: int | None, terminals: Bool[np.ndarray, " rows"]) -> Bool[np.ndarray, " rows"]:
    """Flags every ``max_episode_steps``-th row of an episode, or none. A terminal row ends an episode as well."""
    if max_episode_steps is None:
        return np.zeros_like(terminals)
    rows = np.arange(len(terminals))
    first_rows = np.zeros(len(terminals), dtype=np.int64)
    first_rows[1:] = np.where(terminals[:-1], rows[1:], 0)
    step = rows - np.maximum.accumulate(first_rows)
    return (step + 1) % max_episode_steps == 0
