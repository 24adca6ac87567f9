"""Damaged run folders whose training is then continued, shown or repeated."""

import copy
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from fault import Fault, Inputs
from hostile import flipped, hostile_values, leaves, removed, replaced

GROUP = "damaged run folders, then resumed"
_NEWEST = "checkpoints/last.ckpt"
# What Lightning writes and nobody reads, so that damage there changes nothing.
_UNUSED = {"epoch", "validate_loop", "test_loop", "predict_loop"}


def faults(rng: random.Random, inputs: Inputs, place: Path) -> Iterator[Fault]:
    """Yields broken inputs without end, written below ``place``, each made when it is asked for."""
    for name, damage in _KNOWN.items():
        yield _checkpoint_fault(inputs, place, name, damage)
    yield from _folder_faults(inputs, place)
    while True:
        yield rng.choice([_flip, _cut, _remove, _replace, _scale])(rng, inputs, place)


def _stopped(inputs: Inputs, place: Path) -> tuple[list[str], Path]:
    output_dir, run = inputs.copy_run(inputs.stopped_run, place / "stopped")
    return inputs.train_words(inputs.stopped_run, output_dir), run


def _checkpoint_fault(
    inputs: Inputs, place: Path, name: str, damage: Callable[[dict], Any], expected: Any = "refused"
) -> Fault:
    """Saves a changed checkpoint whose archive is sound."""
    words, run = _stopped(inputs, place)
    content = torch.load(run / _NEWEST, weights_only=True)
    torch.save(damage(content) or content, run / _NEWEST)
    return Fault(name, words, expected, protects=[run / _NEWEST] if expected == "refused" else [])


def _with(*path: Any, value: Any) -> Callable[[dict], dict]:
    return lambda content: replaced(content, path, value)


def _without(*path: Any) -> Callable[[dict], dict]:
    return lambda content: removed(content, path)


def _spoil(*path: Any, number: float) -> Callable[[dict], None]:
    def damage(content: dict) -> None:
        node: Any = content
        for key in path:
            node = next(iter(node.values())) if key is None else node[key]
        node.view(-1)[0] = number

    return damage


_OPTIMIZER = ("optimizer_states", 0)
_LOOP = ("loops", "fit_loop")
_BATCHES = (*_LOOP, "epoch_loop.batch_progress")
_RANDOM = ("callbacks", "RandomState", "processes")
_KNOWN: dict[str, Callable[[dict], Any]] = {
    "no optimiser states": _with("optimizer_states", value=[]),
    "no optimiser entry": _without("optimizer_states"),
    "an empty optimiser": _with(*_OPTIMIZER, value={}),
    "no state of any parameter": _with(*_OPTIMIZER, "state", value={}),
    "no state of one parameter": _without(*_OPTIMIZER, "state", 3),
    "an average of another shape": _with(*_OPTIMIZER, "state", 0, "exp_avg", value=torch.zeros(2)),
    "a square of another type": lambda content: _as_half(content),
    "a missing square": _without(*_OPTIMIZER, "state", 0, "exp_avg_sq"),
    "a step count of another step": _with(*_OPTIMIZER, "state", 0, "step", value=torch.tensor(3.0)),
    "an infinite average": _spoil(*_OPTIMIZER, "state", 0, "exp_avg", number=float("inf")),
    "no parameter groups": _with(*_OPTIMIZER, "param_groups", value=[]),
    "another learning rate": _with(*_OPTIMIZER, "param_groups", 0, "lr", value=1e30),
    "other betas": _with(*_OPTIMIZER, "param_groups", 0, "betas", value=(0.5, 0.5)),
    "fewer parameters": _with(*_OPTIMIZER, "param_groups", 0, "params", value=[0]),
    "no schedules": _with("lr_schedulers", value=[]),
    "an empty schedule": _with("lr_schedulers", 0, value={}),
    "a schedule of another step": _with("lr_schedulers", 0, "last_epoch", value=2),
    "a method in the schedule": _with("lr_schedulers", 0, "step", value=3),
    "no loops": _without("loops"),
    "empty loops": _with("loops", value={}),
    "an empty loop": _with(*_LOOP, value={}),
    "no place in the data": _with(*_LOOP, "state_dict", value={}),
    "another place in the data": _with(*_LOOP, "state_dict", "combined_loader", value=[{"number": 5}]),
    "two streams of data": _with(*_LOOP, "state_dict", "combined_loader", value=[{"number": 16}] * 2),
    "a count of batches that contradicts": _with(*_BATCHES, "total", "ready", value=3),
    "no global step": _without("global_step"),
    "another global step": _with("global_step", value=7),
    "a global step in words": _with("global_step", value="8"),
    "a negative global step": _with("global_step", value=-8),
    "no Lightning version": _without("pytorch-lightning_version"),
    "a Lightning version in words": _with("pytorch-lightning_version", value="latest"),
    "no callbacks": _with("callbacks", value={}),
    "no random state": _with("callbacks", "RandomState", value={}),
    "no processes": _with(*_RANDOM, value=[]),
    "a random state of another size": _with(*_RANDOM, 0, "torch", value=torch.zeros(3, dtype=torch.uint8)),
    "a random state in words": _with(*_RANDOM, 0, "numpy", value=["MT19937", "words", 0, 0, 0.0]),
    "a position beyond the random state": lambda content: _beyond(content),
    "no weights": _with("state_dict", value={}),
    "weights in words": _with("state_dict", value="weights"),
    "infinite weights": _spoil("state_dict", None, number=float("nan")),
    "no data identity": _without("diffplan", "data"),
    "an empty data identity": _with("diffplan", "data", value={}),
    "other data": _with("diffplan", "data", "sha256", value="0" * 64),
    "gradients that nobody asked for": _with("accumulated_gradients", value=[{"backbone.x": torch.zeros(1)}]),
    "costs in words": _with("callbacks", "SpeedMonitor", value={"seconds": "many"}),
    "an evaluation before time": _with("callbacks", "RolloutCallback", "evaluated_step", value=-3),
}


def _as_half(content: dict) -> None:
    state = content["optimizer_states"][0]["state"][0]
    state["exp_avg_sq"] = state["exp_avg_sq"].half()


def _beyond(content: dict) -> None:
    content["callbacks"]["RandomState"]["processes"][0]["numpy"][2] = 10**6


def _folder_faults(inputs: Inputs, place: Path) -> Iterator[Fault]:
    """Yields files that are cut, are folders, or are gone."""
    for name in ("metrics.jsonl", "metrics.csv", "events.jsonl", "files.jsonl", "config.yaml", "train.log", ".lock"):
        for kind in ("cut", "gone", "garbage", "folder"):
            words, run = _stopped(inputs, place)
            path = run / name
            content = path.read_bytes() if path.is_file() else b"1,2,3\n"
            path.unlink(missing_ok=True)
            if kind == "folder":
                path.mkdir()
            elif kind != "gone":
                path.write_bytes(content[: len(content) // 2] if kind == "cut" else b"\xff\x00{[" * 9)
            yield Fault(f"{name}: {kind}", words, "either")
    for name in (_NEWEST, "checkpoints/critic.ckpt"):
        words, run = _stopped(inputs, place)
        (run / name).unlink()
        (run / name).mkdir()
        yield Fault(f"a folder as {name}", words)
        words, run = _stopped(inputs, place)
        (run / name).write_bytes(b"")
        yield Fault(f"an empty {name}", words, protects=[run / name])
    words, run = _stopped(inputs, place)
    shutil.copy(run / "checkpoints/critic.ckpt", run / _NEWEST)
    yield Fault("the critic as last.ckpt", words, protects=[run / _NEWEST])
    words, run = _stopped(inputs, place)
    (run / "checkpoints" / "last.previous.ckpt").unlink(missing_ok=True)
    (run / "checkpoints" / "last.previous.ckpt").mkdir()
    yield Fault("a folder as last.previous.ckpt", words, "either")
    yield from _finished_faults(inputs, place)


def _finished_faults(inputs: Inputs, place: Path) -> Iterator[Fault]:
    """Yields finished runs of which something is gone; their command is typed again."""
    for name in ("metrics.csv", "index.html", "results.json", "events.jsonl"):
        for kind in ("cut", "gone"):
            output_dir, run = inputs.copy_run(inputs.hopper_run, place / "finished")
            content = (run / name).read_bytes()
            (run / name).unlink()
            if kind == "cut":
                (run / name).write_bytes(content[: len(content) // 2])
            yield Fault(f"finished, {name}: {kind}", inputs.train_words(inputs.hopper_run, output_dir), "accepted")


def _flip(rng: random.Random, inputs: Inputs, place: Path) -> Fault:
    """Flips a bit in the bytes of an entry."""
    words, run = _stopped(inputs, place)
    path = run / rng.choice([_NEWEST, "checkpoints/critic.ckpt"])
    with zipfile.ZipFile(path) as archive:
        entry = rng.choice([entry for entry in archive.infolist() if entry.file_size > 0])
    first = entry.header_offset + 30 + len(entry.filename)
    content = path.read_bytes()
    # The name is followed by padding that nobody reads.
    first += int.from_bytes(content[entry.header_offset + 28 : entry.header_offset + 30], "little")
    path.write_bytes(flipped(content, rng, first, first + entry.file_size))
    return Fault(f"a flipped bit in {entry.filename} of {path.name}", words, protects=[path])


def _cut(rng: random.Random, inputs: Inputs, place: Path) -> Fault:
    words, run = _stopped(inputs, place)
    path = run / rng.choice([_NEWEST, "checkpoints/critic.ckpt"])
    content = path.read_bytes()
    length = rng.randrange(len(content))
    path.write_bytes(content[:length])
    return Fault(f"{path.name} cut to {length} bytes", words, protects=[path])


def _any_path(rng: random.Random, content: dict) -> tuple:
    """Chooses a place in a checkpoint of which the run makes use."""
    chosen = copy.copy(content)
    chosen["diffplan"] = {key: value for key, value in content["diffplan"].items() if key != "config"}
    paths = [path for path in leaves(chosen) if not _UNUSED & set(path)]
    group = rng.choice(sorted({path[0] for path in paths}))
    return rng.choice([path for path in paths if path[0] == group])


def _remove(rng: random.Random, inputs: Inputs, place: Path) -> Fault:
    content = torch.load(inputs.stopped_run / _NEWEST, weights_only=True)
    path = _any_path(rng, content)
    # A flag that torch adds, or the words of a format that did not have the entry yet.
    expected = "either" if path[0] in ("diffplan", "optimizer_states", "lr_schedulers") else "refused"
    return _checkpoint_fault(inputs, place, f"without {'/'.join(map(str, path))}", _without(*path), expected)


def _replace(rng: random.Random, inputs: Inputs, place: Path) -> Fault:
    content = torch.load(inputs.stopped_run / _NEWEST, weights_only=True)
    path, value = _any_path(rng, content), rng.choice(hostile_values(inputs))
    name = f"{str(value)[:40]!r} as {'/'.join(map(str, path))}"
    return _checkpoint_fault(inputs, place, name, _with(*path, value=value), "either")


def _scale(rng: random.Random, inputs: Inputs, place: Path) -> Fault:
    """Makes a number of a tensor infinite, or gives the tensor another shape or type."""
    content = torch.load(inputs.stopped_run / _NEWEST, weights_only=True)
    tensors = [path for path in leaves(content) if _is_floating(content, path)]
    path = rng.choice(tensors)
    tensor = _at(content, path).clone()
    kind = rng.choice(["infinite", "shape", "type"])
    if kind == "infinite":
        tensor.view(-1)[rng.randrange(tensor.numel())] = float("inf")
    tensor = tensor.unsqueeze(0) if kind == "shape" else tensor.to(torch.float64) if kind == "type" else tensor
    return _checkpoint_fault(inputs, place, f"{kind}: {'/'.join(map(str, path))}", _with(*path, value=tensor))


def _at(content: Any, path: tuple) -> Any:
    for key in path:
        content = content[key]
    return content


def _is_floating(content: dict, path: tuple) -> bool:
    value = _at(content, path)
    return isinstance(value, torch.Tensor) and value.is_floating_point() and value.numel() > 0
