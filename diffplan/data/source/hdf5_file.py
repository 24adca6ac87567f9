"""Opens HDF5 files that other people made. This is the only place that does.

An HDF5 file may name other files (external links, external storage, virtual arrays), demand code (filters that are
loaded as plugins), and declare more rows than it stores. Here, a file is read only if it stores everything itself. All
its objects are looked at before the first value is read.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from h5py import h5d, h5g, h5i, h5l, h5o, h5t, h5z
from jaxtyping import Shaped

from diffplan.config.memory import available_memory, readable_size
from diffplan.data.catalog import catalog
from diffplan.errors import DataError, DiffplanError
from diffplan.files import check_file

# Filters that are part of HDF5 and h5py. Others are loaded from whatever the environment names.
_FILTERS = {
    *(h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32, h5z.FILTER_SZIP),
    *(h5z.FILTER_NBIT, h5z.FILTER_SCALEOFFSET, h5z.FILTER_LZF),
}
_KINDS = {
    **{h5t.TIME: "a time", h5t.STRING: "text", h5t.BITFIELD: "a bit field", h5t.OPAQUE: "opaque bytes"},
    **{h5t.COMPOUND: "a compound", h5t.REFERENCE: "a reference", h5t.ENUM: "an enumeration"},
    **{h5t.VLEN: "a list of varying length", h5t.ARRAY: "an array in each place", h5t.INTEGER: "an unusual integer"},
    **{h5t.FLOAT: "an unusual float"},
}
MAX_OBJECTS = 1_000_000
MAX_DEPTH = 32
MAX_ATTRIBUTES = 1_000
MAX_TEXT_BYTES = 10_000
# Gzip makes an array at most 1,032 times smaller.
MAX_EXPANSION = 1_100
_OWN_DATA = "a data file must store all its data itself"

Value = str | int | float


@dataclass(frozen=True)
class ArrayInfo:
    """What a file says about one array.

    Attributes:
        shape: Its shape; empty for a single value, None for nothing at all.
        dtype: Its type, as NumPy writes it, or in words if NumPy has no such type.
        is_number: Whether its values are integers, floats or flags of an ordinary width.
    """

    shape: tuple[int, ...] | None
    dtype: str
    is_number: bool


class HDF5File:
    """An open file whose objects have all been found harmless.

    Args:
        file: The file, open for reading.
        path: Where it lies, for messages.

    Attributes:
        arrays: All arrays and single values by their path inside the file, in alphabetical order.
        names: Names at the top of the file.

    Raises:
        DataError: The file refers to other files or to code, or has too many objects.
    """

    def __init__(self, file: h5py.File, path: Path) -> None:
        self.path = path
        self._file = file
        found: dict[str, ArrayInfo] = {}
        self.names: list[str] = []
        self._claimed: set[str] = set()
        # An object is looked at once, however many names it has; groups may contain each other.
        seen = {h5o.get_info(file.id).addr}
        waiting: list[tuple[str, h5g.GroupID]] = [("", file["/"].id)]
        while waiting:
            prefix, group = waiting.pop()
            for name in self._names(prefix, group):
                item = h5o.open(group, name.removeprefix(prefix).encode("utf-8", "surrogateescape"))
                if not prefix:
                    self.names.append(name)
                if isinstance(item, h5d.DatasetID):
                    found[name] = self._look_at(name, item)
                elif h5i.get_type(item) == h5i.GROUP and (address := h5o.get_info(item).addr) not in seen:
                    seen.add(address)
                    waiting.append((f"{name}/", item))
                if len(found) + len(seen) > MAX_OBJECTS:
                    raise self._refused(f"holds more than {MAX_OBJECTS:,} objects")
        self.arrays = dict(sorted(found.items()))

    def __contains__(self, key: str) -> bool:
        return key in self.arrays

    def bytes_to_read(self, key: str) -> int:
        """Returns how much memory the values of a key take.

        Raises:
            DataError: The file declares values that it does not store, or values that are no numbers.
        """
        info, dataset = self.arrays[key], self._dataset(key)
        if info.shape is None or not info.is_number:
            raise self._refused(f"must hold numbers under '{key}', got {info.dtype}", because="")
        stored, layout = dataset.get_storage_size(), dataset.get_create_plist()
        width = dataset.get_type().get_size()
        declared = math.prod(info.shape) * width
        values = f"{' x '.join(f'{size:,}' for size in info.shape) or '1'} values under '{key}'"
        if declared and not stored:
            raise self._refused(f"declares {values} but stores none of them", because="")
        if layout.get_layout() != h5d.CHUNKED:
            complete = stored >= declared
        else:
            chunk = layout.get_chunk()
            needed = math.prod(-(-size // part) for size, part in zip(info.shape, chunk, strict=True))
            complete = dataset.get_num_chunks() >= needed
            declared = max(declared, needed * math.prod(chunk) * width)
        if not complete:
            raise self._refused(f"declares {values} but stores only a part of them", because="")
        if declared > MAX_EXPANSION * stored:
            raise self._refused(
                f"declares {values}, {declared:,} bytes, in {stored:,} bytes; more than {MAX_EXPANSION:,} times is no "
                "compression of real data",
                because="",
            )
        return declared

    def claim_memory(self, keys: Sequence[str]) -> None:
        """Checks that the values of several keys are all stored and fit into the memory together.

        Raises:
            DataError: They are not, or do not.
        """
        # One copy is made where values are converted.
        needs = {key: 2 * self.bytes_to_read(key) for key in keys}
        needed, available = sum(needs.values()), available_memory()
        if needed > available:
            largest = max(needs, key=lambda key: needs[key])
            raise self._refused(
                f"needs {readable_size(needed)} of memory, most of it for '{largest}', and "
                f"{readable_size(available)} are available",
                "",
            )
        self._claimed.update(keys)

    def numbers(self, key: str) -> Shaped[np.ndarray, "..."]:
        """Reads the values of a key.

        Raises:
            DataError: As ``claim_memory``.
        """
        if key not in self._claimed:
            self.claim_memory([key])
        return np.asarray(h5py.Dataset(self._dataset(key))[()])

    def metadata(self) -> dict[str, Value]:
        """Returns the file's attributes and its single values below ``metadata/``, by path.

        Numbers and short texts are metadata; values of other types and arrays are left out.

        Raises:
            DataError: A text is too long.
        """
        values: dict[str, Value] = {}
        for name, info in self.arrays.items():
            if info.shape == () and name.startswith("metadata/"):
                kind = self._dataset(name).get_type()
                if info.is_number or self._is_text(name, kind):
                    values[name.removeprefix("metadata/")] = self._plain(name, h5py.Dataset(self._dataset(name))[()])
        attributes = self._file.attrs
        if len(attributes) > MAX_ATTRIBUTES:
            raise self._refused(f"has {len(attributes):,} attributes; {MAX_ATTRIBUTES:,} are read at most", because="")
        for name in attributes:
            identifier = attributes.get_id(name)
            kind = identifier.get_type()
            self._refuse_references(f"attribute {name}", kind)
            if identifier.shape == () and (_is_number(kind) or self._is_text(name, kind)):
                values[name] = self._plain(name, attributes[name])
        return values

    def _names(self, prefix: str, group: h5g.GroupID) -> list[str]:
        """Returns the paths of a group's members, of which none is a link to elsewhere."""
        members: list[tuple[str, int]] = []
        if prefix.count("/") > MAX_DEPTH:
            raise self._refused(f"nests groups more than {MAX_DEPTH} deep")

        def visit(name: bytes, info: h5l.LinkInfo) -> bool | None:
            members.append((prefix + name.decode("utf-8", "surrogateescape"), info.type))
            # A damaged list of members may have no end; HDF5 stops at anything but None.
            return True if len(members) > MAX_OBJECTS else None

        group.links.iterate(visit, info=True)
        if len(members) > MAX_OBJECTS:
            raise self._refused(f"holds more than {MAX_OBJECTS:,} objects")
        for name, kind in members:
            if kind != h5l.TYPE_HARD:
                kinds = {h5l.TYPE_SOFT: "a soft link", h5l.TYPE_EXTERNAL: "an external link"}
                raise self._refused(f"holds {kinds.get(kind, 'a link of an unknown kind')} '{name}'")
        return [name for name, _ in members]

    def _look_at(self, name: str, dataset: h5d.DatasetID) -> ArrayInfo:
        """Describes an array; refuses one that lies elsewhere, before anything asks for its shape or values."""
        layout = dataset.get_create_plist()
        if layout.get_layout() == h5d.VIRTUAL:
            raise self._refused(f"holds a virtual array '{name}' made of other arrays")
        if layout.get_external_count():
            raise self._refused(f"keeps the values of '{name}' in external storage, another file")
        for number in range(layout.get_nfilters()):
            code, _, _, label = layout.get_filter(number)
            if code not in _FILTERS:
                label = label.decode(errors="replace") if isinstance(label, bytes) else label
                raise self._refused(
                    f"needs the filter {code} ({label}) to read '{name}', which is code that HDF5 loads as a plugin",
                    because="write the file again with gzip or without compression",
                )
        kind = dataset.get_type()
        self._refuse_references(name, kind)
        is_number = _is_number(kind)
        return ArrayInfo(dataset.shape, str(kind.dtype) if is_number else _KINDS[kind.get_class()], is_number)

    def _refuse_references(self, name: str, kind: h5t.TypeID) -> None:
        if kind.detect_class(h5t.REFERENCE):
            raise self._refused(f"holds references to other objects under '{name}'")

    def _is_text(self, name: str, kind: h5t.TypeID) -> bool:
        if kind.get_class() != h5t.STRING:
            return False
        if not kind.is_variable_str() and kind.get_size() > MAX_TEXT_BYTES:
            raise self._too_long(name, kind.get_size())
        return True

    def _plain(self, name: str, value: object) -> Value:
        if isinstance(value, bytes):
            value = value.decode("utf-8", errors="replace")
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, str) and len(value) > MAX_TEXT_BYTES:
            raise self._too_long(name, len(value))
        return value if isinstance(value, int | float) else str(value)

    def _dataset(self, key: str) -> h5d.DatasetID:
        # Every part of this path was found to be a link inside the file.
        return h5o.open(self._file.id, key.encode("utf-8", "surrogateescape"))

    def _too_long(self, name: str, size: int) -> DataError:
        return self._refused(f"has a text of {size:,} bytes under '{name}'; {MAX_TEXT_BYTES:,} are read at most", "")

    def _refused(self, what: str, because: str = _OWN_DATA) -> DataError:
        return DataError(f"{self.path} {what}{f'; {because}' if because else ''}.")


@contextmanager
def open_hdf5(path: Path) -> Iterator[HDF5File]:
    """Opens a file for reading and reports all that HDF5 may complain about as one sentence.

    Args:
        path: The file.

    Raises:
        DataNotFoundError: There is no such file.
        DataError: It is empty, not HDF5, truncated, damaged, may not be read, or does not store all its data itself.
    """
    size = check_file(path, "an HDF5 file in D4RL's layout")
    published = [entry.name for entry in catalog().values() if entry.file_name == path.name]
    # Only a published file is certain to be available again.
    remedy = "give the path of another file, or get this one again from where it came"
    if published:
        remedy = f"download it again with `diffplan data fetch {published[0]} --force`"
    if not h5py.is_hdf5(path):
        raise DataError(f"{path} is {'not an HDF5 file' if size else 'empty (0 bytes)'}; {remedy}.")
    try:
        with h5py.File(path, "r") as file:
            yield HDF5File(file, path)
    except DiffplanError:
        raise
    except MemoryError as error:
        raise DataError(f"{path} needs more memory than is free.") from error
    # h5py has no error class of its own, and raises most of Python's.
    except Exception as error:
        reason = "is truncated" if "truncated" in str(error) else "is damaged and cannot be read completely"
        raise DataError(f"{path} {reason} ({size:,} bytes are there); {remedy}.") from error


def _is_number(kind: h5t.TypeID) -> bool:
    """Returns whether a type is an integer, float or flag exactly as NumPy stores it."""
    if kind.get_class() not in (h5t.INTEGER, h5t.FLOAT, h5t.ENUM):
        return False
    try:
        dtype = np.dtype(kind.dtype)
    except TypeError:
        return False
    if dtype.kind not in "iufb" or dtype.itemsize > 8:
        return False
    # HDF5 has no flags; h5py writes an enumeration of FALSE and TRUE.
    is_flag = dtype == np.bool_
    return is_flag if kind.get_class() == h5t.ENUM else bool(h5t.py_create(dtype).equal(kind))
