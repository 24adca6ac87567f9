"""Broken data files: HDF5 in every way that is known to hurt, names that are none, Minari folders, then chance."""

import itertools
import json
import os
import random
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
from fault import TINY_HOPPER, Fault, Inputs
from h5py import h5d, h5p, h5s, h5t
from hostile import flipped

GROUP = "data files"

Change = Callable[[h5py.File, Inputs], object]
_ROWS, _WIDTHS = 1200, {"observations": 11, "actions": 3, "rewards": 0, "terminals": 0, "timeouts": 0}


def faults(rng: random.Random, inputs: Inputs, place: Path) -> Iterator[Fault]:
    """Yields all known kinds under each command, then random mutations."""
    for command in ("verify", "train", "inspect"):
        for name, change in _changes().items():
            file = _copy(inputs, place)
            with h5py.File(file, "r+") as opened:
                change(opened, inputs)
            yield _fault(f"{name}, {command}", command, file, place)
        for name, make in _OTHER_FILES.items():
            yield _fault(f"{name}, {command}", command, make(inputs, place), place)
        yield from _words(command, place)
    yield from _minari_faults(rng, inputs, place)
    kinds = [_bits_flipped, _cut, _overwritten, _mutated]
    for number in itertools.count():
        command = rng.choice(("verify", "inspect", "train"))
        file = rng.choice(kinds)(rng, inputs, place)
        yield _fault(f"chance {number}, {command}", command, file, place, "either")


def _fault(name: str, command: str, file: Path | str, place: Path, expected: str = "refused") -> Fault:
    words = ["data", command, str(file)]
    if command == "train":
        words = ["train", *TINY_HOPPER, f"source.path='{file}'", f"paths.output_dir={place / 'runs'}"]
    # A pipe or a folder has no content to protect.
    protects = [Path(file)] if os.path.isfile(file) else []
    return Fault(name, words, expected, protects, {"D4RL_DATASET_DIR": str(place / "cache")})  # type: ignore[arg-type]


def _copy(inputs: Inputs, place: Path, name: str = "hopper.hdf5") -> Path:
    file = place / name
    shutil.copyfile(inputs.data_file, file)
    return file


def _changes() -> dict[str, Change]:
    """Changes of a healthy file, by name; each must be refused."""
    changes: dict[str, Change] = {
        "external storage in metadata": _external_metadata,
        "virtual array of a file that is gone": _virtual,
        "filter of a plugin": _plugin,
        "reference in an attribute": lambda file, _: file.attrs.update(reference=file["rewards"].regionref[:3]),
        "references": lambda file, _: file.update({"infos": file["rewards"].ref}),
        "endless groups": _deep,
        "text of a megabyte": lambda file, _: file.update({"metadata/text": "a" * (1 << 20)}),
        "observations without columns": lambda file, _: _replace(file, "observations", np.zeros((_ROWS, 0))),
        "no rows": lambda file, _: [_replace(file, key, file[key][:0]) for key in _WIDTHS],
        "nothing at all": lambda file, _: file.clear(),
        "flags of seven": lambda file, _: _replace(file, "terminals", np.full(_ROWS, 7, "u1")),
    }
    types = {
        "bit field": h5t.STD_B8LE,
        "time": h5t.UNIX_D32LE,
        "enumeration": h5t.py_create(h5py.enum_dtype({"a": 0}, "i1"), logical=True),
        "compound": h5t.py_create(np.dtype([("a", "f4")])),
        "lists": h5t.py_create(h5py.vlen_dtype("f4"), logical=True),
        "opaque bytes": h5t.py_create(np.dtype("V3")),
        "text": h5t.py_create(np.dtype("S4")),
        "texts of any length": h5t.py_create(h5py.string_dtype(), logical=True),
        "complex": h5t.py_create(np.dtype("c8")),
        "references": h5t.STD_REF_OBJ,
    }
    for key in _WIDTHS:
        for name, kind in types.items():
            changes[f"{name} in {key}"] = lambda file, _, key=key, kind=kind: _typed(file, key, kind)
        changes |= {
            f"external link in {key}": lambda file, _, key=key: _replace(file, key, h5py.ExternalLink("x.hdf5", "/a")),
            f"soft link in {key}": lambda file, _, key=key: _replace(file, key, h5py.SoftLink("/rewards2")),
            f"external storage in {key}": lambda file, inputs, key=key: _external(file, key, inputs),
            f"2e9 rows in {key}": lambda file, _, key=key: _many(file, key),
            f"2e9 rows of gzip in {key}": lambda file, _, key=key: _many(file, key, compression="gzip"),
            f"group in {key}": lambda file, _, key=key: _replace(file, key, None),
            f"one number in {key}": lambda file, _, key=key: _replace(file, key, 1.0),
            f"nothing in {key}": lambda file, _, key=key: _replace(file, key, h5py.Empty("f4")),
            f"NaN in {key}": lambda file, _, key=key: _replace(file, key, file[key][:] * np.nan),
            f"1e300 in {key}": lambda file, _, key=key: _replace(file, key, file[key][:] + np.float64(1e300)),
            f"rows missing in {key}": lambda file, _, key=key: _replace(file, key, file[key][:-1]),
            f"a rank too many in {key}": lambda file, _, key=key: _replace(file, key, file[key][:][..., None, None]),
        }
        if key != "timeouts":
            changes[f"no {key}"] = lambda file, _, key=key: file.pop(key)
    return changes


def _replace(file: h5py.File, key: str, value: object) -> None:
    del file[key]
    if value is None:
        file.create_group(key)
    else:
        file[key] = value


def _shape(key: str, rows: int = _ROWS) -> tuple[int, ...]:
    return (rows, _WIDTHS[key]) if _WIDTHS[key] else (rows,)


def _typed(file: h5py.File, key: str, kind: h5t.TypeID) -> None:
    del file[key]
    h5d.create(file.id, key.encode(), kind, h5s.create_simple(_shape(key)))


def _many(file: h5py.File, key: str, **options: object) -> None:
    del file[key]
    file.create_dataset(key, _shape(key, 2_000_000_000), "f4", chunks=_shape(key, 1000), **options)


def _external(file: h5py.File, key: str, inputs: Inputs) -> None:
    del file[key]
    file.create_dataset(key, _shape(key), "u1", external=[(str(inputs.secret_file), 0, h5py.h5f.UNLIMITED)])


def _external_metadata(file: h5py.File, inputs: Inputs) -> None:
    made = h5p.create(h5p.DATASET_CREATE)
    made.set_external(str(inputs.secret_file).encode(), 0, 100)
    group = file.create_group("metadata")
    h5d.create(group.id, b"note", h5t.py_create(np.dtype("S100")), h5s.create(h5s.SCALAR), made)


def _virtual(file: h5py.File, inputs: Inputs) -> None:
    del file["rewards"]
    layout = h5py.VirtualLayout((_ROWS,), "f4")
    layout[:] = h5py.VirtualSource("gone.hdf5", "rewards", (_ROWS,))
    file.create_virtual_dataset("rewards", layout)


def _plugin(file: h5py.File, inputs: Inputs) -> None:
    del file["rewards"]
    made = h5p.create(h5p.DATASET_CREATE)
    made.set_chunk((_ROWS,))
    made.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, ())
    h5d.create(file.id, b"rewards", h5t.IEEE_F32LE, h5s.create_simple((_ROWS,)), made)


def _deep(file: h5py.File, inputs: Inputs) -> None:
    group = file
    for _ in range(2000):
        group = group.create_group("g")


def _pipe(inputs: Inputs, place: Path) -> Path:
    os.mkfifo(place / "pipe.hdf5")
    return place / "pipe.hdf5"


def _socket(inputs: Inputs, place: Path) -> Path:
    listener, here = socket.socket(socket.AF_UNIX), Path.cwd()
    os.chdir(place)  # The path of a socket must be short.
    listener.bind("s.hdf5")
    os.chdir(here)
    listener.close()
    return place / "s.hdf5"


def _written(content: bytes) -> Callable[[Inputs, Path], Path]:
    def write(inputs: Inputs, place: Path) -> Path:
        (place / "file.hdf5").write_bytes(content)
        return place / "file.hdf5"

    return write


def _circle(inputs: Inputs, place: Path) -> Path:
    (place / "circle.hdf5").symlink_to(place / "circle.hdf5")
    return place / "circle.hdf5"


def _escape_in_metadata(inputs: Inputs, place: Path) -> Path:
    (place / "[").mkdir()
    file = _copy(inputs, place, f"[/x]{inputs.escape}.hdf5")
    with h5py.File(file, "r+") as opened:
        opened[f"metadata/[/y]{inputs.escape}"] = f"[red]{inputs.escape}\n"
        opened[f"infos/{inputs.escape}"] = np.zeros(3)
        opened.attrs[b"\xff\xfe"] = np.bytes_(b"\xff")
        opened["rewards"][3] = np.nan
    return file


_OTHER_FILES: dict[str, Callable[[Inputs, Path], Path]] = {
    "a pipe": _pipe,
    "a socket": _socket,
    "a device": lambda inputs, place: Path("/dev/zero"),
    "a folder": lambda inputs, place: place,
    "an empty file": _written(b""),
    "a page": _written(b"<html></html>"),
    "an archive": _written(b"PK\x03\x04" + bytes(4000)),
    "the first bytes alone": _written(b"\x89HDF\r\n\x1a\n"),
    "a circle of links": _circle,
    "markup and escapes": _escape_in_metadata,
}


def _words(command: str, place: Path) -> Iterator[Fault]:
    """Names that are no files."""
    names = {
        "an unknown user": "~nobody-has-this-name/file.hdf5",
        "a long name": "a" * 5000 + ".hdf5",
        "a long part of a name": str(place / ("a" * 300) / "file.hdf5"),
        "markup": "[/x].hdf5",
        "no UTF-8": os.fsdecode(b"\xff\xfe.hdf5"),
        "an escape": "\x1b]0;owned\x07.hdf5",
        "a file as folder": "/etc/passwd/file.hdf5",
    }
    for name, word in names.items():
        yield _fault(f"{name} as a name, {command}", command, word, place)


def _minari_faults(rng: random.Random, inputs: Inputs, place: Path) -> Iterator[Fault]:
    def words() -> list[str]:
        given = ["source=minari_source", "source.dataset_id=test/hopper-v0", f"source.data_dir={place / 'minari'}"]
        return ["train", *TINY_HOPPER, *given, f"paths.output_dir={place / 'runs'}"]

    evil = {"id": "Evil-v0", "entry_point": "builtins:open", "kwargs": {"file": str(inputs.marker), "mode": "w"}}
    metadata = [
        ({}, "accepted"), ({"observation_space": None, "env_spec": json.dumps(evil)}, "accepted"),
        ({"total_episodes": 10**9}, "refused"), ({"total_episodes": "a"}, "refused"),
        ({"total_episodes": inputs.escape}, "refused"), ({"data_format": inputs.escape}, "refused"),
    ]  # fmt: skip
    for number, (changes, expected) in enumerate(metadata):
        _minari_folder(inputs, place, changes)
        yield Fault(f"Minari's metadata {number}", words(), expected)  # type: ignore[arg-type]
    for name, change in _changes().items():
        if name.startswith(("no ", "rows missing", "flags", "text of", "reference in")) or "timeouts" in name:
            continue
        file = _minari_folder(inputs, place, {})
        with h5py.File(file, "r+") as opened:
            episode = opened["episode_0"]
            episode["rewards2"] = np.zeros(3)
            for key in _WIDTHS:
                episode.move("terminations" if key == "terminals" else key, key) if key == "terminals" else None
            change(episode, inputs)
            if "terminals" in episode:
                episode.move("terminals", "terminations")
        yield Fault(f"Minari: {name}", words(), "either", [file])
    for number in range(10):
        file = _minari_folder(inputs, place, {})
        file.write_bytes(flipped(file.read_bytes(), rng))
        yield Fault(f"Minari: bit {number}", words(), "either", [file])


def _minari_folder(inputs: Inputs, place: Path, changes: dict[str, object]) -> Path:
    folder = place / "minari" / "test" / "hopper-v0" / "data"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    metadata = {"total_episodes": 2, "total_steps": _ROWS, "data_format": "hdf5", **changes}
    (folder / "metadata.json").write_text(json.dumps(metadata))
    with h5py.File(inputs.data_file) as given, h5py.File(folder / "main_data.hdf5", "w") as file:
        for number in range(2):
            for key in ("observations", "actions", "rewards", "timeouts"):
                file[f"episode_{number}/{key}"] = given[key][:]
            file[f"episode_{number}/terminations"] = given["terminals"][:]
    return folder / "main_data.hdf5"


def _bits_flipped(rng: random.Random, inputs: Inputs, place: Path) -> Path:
    file = _copy(inputs, place)
    if rng.random() < 0.5:
        _compress(file)
    content = file.read_bytes()
    # Most bytes are rows; the structure lies at the beginning and around the ends of arrays.
    for _ in range(rng.choice((1, 1, 3, 30))):
        content = flipped(content, rng, 0, rng.choice((100, 3000, len(content))))
    file.write_bytes(content)
    return file


def _cut(rng: random.Random, inputs: Inputs, place: Path) -> Path:
    file = _copy(inputs, place)
    content = file.read_bytes()
    file.write_bytes(content[: rng.randrange(len(content))] + bytes(rng.choice((0, 0, 1, 5000))))
    return file


def _overwritten(rng: random.Random, inputs: Inputs, place: Path) -> Path:
    file = _copy(inputs, place)
    _compress(file)
    content = bytearray(file.read_bytes())
    first, length = rng.randrange(min(len(content), 20_000)), rng.choice((1, 4, 8, 64))
    content[first : first + length] = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))
    file.write_bytes(content)
    return file


def _mutated(rng: random.Random, inputs: Inputs, place: Path) -> Path:
    """Makes one to three of the known changes and others that may be harmless."""
    file = _copy(inputs, place)
    known = list(_changes().values())
    dtypes = ("i1", "u8", ">f8", "f2", "?", "i4")
    with h5py.File(file, "r+") as opened:
        for _ in range(rng.randint(1, 3)):
            key = rng.choice(list(_WIDTHS))
            try:
                if rng.random() < 0.3:
                    rng.choice(known)(opened, inputs)
                elif rng.random() < 0.5:
                    _replace(opened, key, opened[key][:].astype(rng.choice(dtypes)))
                else:
                    opened[f"{rng.choice(('infos', 'metadata', key))}/{inputs.escape}{rng.random()}"] = inputs.escape
            except (KeyError, ValueError, TypeError, OSError, AttributeError, RuntimeError):
                continue  # An earlier change has taken what this one needs.
    return file


def _compress(file: Path) -> None:
    with h5py.File(file, "r+") as opened:
        for key in _WIDTHS:
            array = opened[key][:]
            del opened[key]
            opened.create_dataset(key, data=array, compression="gzip", fletcher32=key == "rewards")
