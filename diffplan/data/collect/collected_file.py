"""Writes collected data in D4RL's layout, whole or not at all."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Shaped

from diffplan.data.source.d4rl_file import open_hdf5
from diffplan.errors import DataError
from diffplan.files import write_file

_DIGEST = "metadata/arrays_sha256"


def write_collected_file(
    path: Path, arrays: Mapping[str, Shaped[np.ndarray, "rows ..."]], metadata: Mapping[str, str | int | float]
) -> None:
    """Writes a file that depends on nothing but its content.

    Args:
        path: File to write.
        arrays: D4RL's arrays by key.
        metadata: What the file says about itself; a slash in a name makes a group.

    Raises:
        DataError: The folder cannot be written or the disk is full; what was there is left.
    """
    # Put together in memory, because HDF5 leaves half a file, and errors of many kinds, where a disk is full.
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for key, array in arrays.items():
            # Time stamps would make two files of one recipe differ.
            file.create_dataset(key, data=array, compression="gzip", compression_opts=4, track_times=False)
        for key, value in metadata.items():
            scalar = np.bytes_(value.encode()) if isinstance(value, str) else value
            file.create_dataset(f"metadata/{key}", data=scalar, track_times=False)
        file.create_dataset(_DIGEST, data=np.bytes_(_digest(arrays).encode()), track_times=False)
    write_file(path, buffer.getvalue())


def verify_collected_file(path: Path) -> None:
    """Makes sure that a file holds the arrays it was written with.

    Raises:
        DataError: It does not.
    """
    arrays: dict[str, Shaped[np.ndarray, "..."]] = {}

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("metadata/"):
            arrays[name] = np.asarray(item[()])

    with open_hdf5(path) as file:
        file.visititems(visit)
        stored = file[_DIGEST][()] if _DIGEST in file else b""
    if stored.decode() != _digest(arrays):
        raise DataError(f"{path} is not what was collected there; delete it to have it collected again.")


def _digest(arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> str:
    digest = hashlib.sha256()
    for key in sorted(arrays):
        digest.update(f"{key} {arrays[key].dtype} {arrays[key].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[key]).data)
    return digest.hexdigest()
