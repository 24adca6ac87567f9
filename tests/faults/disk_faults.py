"""Disks that are full or can only be read, and places where no folder can be made."""

import itertools
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from fault import TINY_MAZE, Fault, Inputs

GROUP = "disks"
_SIZE = 16 << 20
_LEFT = (0, 4096, 20_000, 100_000, 300_000, 900_000)


def faults(rng: random.Random, inputs: Inputs, place: Path) -> Iterator[Fault]:
    """Yields disks and places without end; disks only where this user may mount them."""
    disk = inputs.root / "mounted"
    disk.mkdir(exist_ok=True)
    mounts = _mounted(disk)
    try:
        if mounts:
            yield from _read_only(inputs, place, disk)
        for number in itertools.count():
            if mounts and rng.random() < 0.7:
                _emptied(disk)
                left = rng.choice(_LEFT)
                _fill(disk, left)
                name, words = rng.choice(_writing(inputs, place, disk / "new"))
                environment = {"TMPDIR": str(disk)} if rng.random() < 0.2 else {}
                expected = "either" if left or environment else "refused"
                yield Fault(f"{number} {left} bytes left, {name}", words, expected, environment=environment)
            else:
                target = rng.choice((_file, _loop, _long, _nowhere))(place)
                name, words = rng.choice(_writing(inputs, place, target))
                yield Fault(f"{number} {target.name[:20]}, {name}", words)
    finally:
        if mounts:
            subprocess.run(["umount", "-l", str(disk)], check=False)


def _read_only(inputs: Inputs, place: Path, disk: Path) -> Iterator[Fault]:
    """A finished run on a disk that can only be read is shown, and nothing new is begun there."""
    copied = inputs.copy_run(inputs.maze_run, disk / "out")[0]
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    results = ["--results", str(copied)]
    yield Fault("read only, finished run", inputs.train_words(inputs.maze_run, copied), "accepted")
    sweep = [*inputs.train_words(inputs.maze_run, copied), "-m"]
    yield Fault("read only, finished sweep", sweep, "accepted")
    yield Fault("read only, table", ["table", "1", *results, "--ablation", "all"], "accepted")
    yield Fault("read only, page elsewhere", ["dashboard", *results, "--to", str(place / "page.html")], "accepted")
    for name, words in _writing(inputs, place, disk / "new"):
        yield Fault(f"read only, {name}", words)
    yield Fault("read only, unfinished run", [*inputs.train_words(inputs.maze_run, copied), "trainer.max_steps=14"])
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


def _fill(disk: Path, left: int) -> None:
    """Leaves so many bytes of a disk free, about, or none."""
    with suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
        file.write(bytes(max(shutil.disk_usage(disk).free - left, 0)))


def _writing(inputs: Inputs, place: Path, target: Path) -> list[tuple[str, list[str]]]:
    """Commands that write to a place."""
    maze = [*TINY_MAZE, f"paths.data_dir={inputs.maze_data}", f"paths.output_dir={target}"]
    plan = ["plan", f"checkpoint={inputs.maze_run}", "num_episodes=1", "num_videos=0", f"paths.run_dir={target}"]
    results = ["--results", str(inputs.maze_run)]
    return [
        ("train", ["train", *maze]),
        ("sweep", ["train", "-m", "seed=0,1", *maze]),
        ("plan", plan),
        ("schedulers", ["schedulers", *plan[1:], "schedulers=[ddim]", "steps=[1]", "protocols=[multi2d]"]),
        ("export", ["export", "--checkpoint", str(inputs.hopper_run), "--to", str(target)]),
        ("import", ["import", "--from", str(inputs.export), "--to", str(target)]),
        ("table", ["table", "1", *results, "--ablation", "all", "--to", str(target / "table.md")]),
        ("dashboard", ["dashboard", *results, "--to", str(target / "page.html")]),
    ]


def _mounted(disk: Path) -> bool:
    words = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(disk)]
    try:
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _emptied(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _file(place: Path) -> Path:
    (place / "file").touch()
    return place / "file"


def _loop(place: Path) -> Path:
    (place / "loop").symlink_to("loop")
    return place / "loop" / "new"


def _long(place: Path) -> Path:
    return place / ("n" * 300)


def _nowhere(place: Path) -> Path:
    return Path("/proc/nowhere")
