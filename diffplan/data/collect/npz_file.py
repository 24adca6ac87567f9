"""Reads archives of arrays that may be damaged or made by someone else."""

import math
import zipfile
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from diffplan.config.memory import available_memory

# Deflate makes bytes at most 1,032 times smaller.
_MAX_EXPANSION = 1_100


def read_npz(path: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Reads numbers and flags from an archive; nothing in it is unpickled.

    Args:
        path: An existing file.

    Raises:
        ValueError: The archive holds something else, or more than it stores or the memory takes.
        Exception: Damaged archives raise errors of every kind.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        for entry in entries:
            if entry.file_size > _MAX_EXPANSION * max(entry.compress_size, 1):
                raise ValueError(f"{entry.filename} expands more than a real array")
        if 2 * sum(entry.file_size for entry in entries) > available_memory():
            raise ValueError("the arrays are larger than the memory")
        for entry in entries:
            with archive.open(entry) as file:
                # The memory that an array takes is what its header says, which must be what follows.
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
                if dtype.kind not in "biuf" or math.prod(shape) * dtype.itemsize != entry.file_size - file.tell():
                    raise ValueError(f"{entry.filename} is no array of numbers")
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)
