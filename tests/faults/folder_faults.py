"""Breaks exported folders, states of the original repository, statistics, and the runs that are exported."""

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from fault import Fault, Inputs
from hostile import flipped, hostile_values, leaves, nested, removed, replaced
from safetensors.torch import load_file, save_file

from diffplan.interop.network_layers import parameter_names, translate

GROUP = "imported folders"
_SETTINGS = (
    "scheduler/scheduler_config.json", "trajectory/config.json", "unet/config.json", "value_function/config.json",
)  # fmt: skip
_PARTS = ("unet", "value_function", "trajectory")
_WEIGHTS = "diffusion_pytorch_model.safetensors"
_TASK = "hopper-medium-v2"


def faults(rng: random.Random, inputs: Inputs, place: Path) -> Iterator[Fault]:
    """Yields broken inputs without end, written below ``place``."""
    maker = _Maker(rng, inputs, place)
    yield maker.imported("nothing", lambda folder: None, "accepted")
    yield maker.exported("nothing", lambda run: None, "accepted")
    yield from _known(maker)
    kinds = (_settings, _settings, _settings, _files, _weights, _pickles, _states, _statistics, _runs)
    while True:
        yield rng.choice(kinds)(maker)


class _Maker:
    """Copies healthy material, damages it, and names the command that reads it."""

    def __init__(self, rng: random.Random, inputs: Inputs, place: Path) -> None:
        self.rng, self.inputs, self.place, self.number = rng, inputs, place, 0
        self.hostile = hostile_values(inputs)

    def imported(self, name: str, damage: Callable[[Path], Any], expected: Any = "refused", *words: str) -> Fault:
        folder = self.copy(self.inputs.export)
        damage(folder)
        return self.fault(f"import: {name}", ["import", "--from", str(folder), *words], folder, expected)

    def exported(self, name: str, damage: Callable[[Path], Any], expected: Any = "refused", *words: str) -> Fault:
        run = self.copy(self.inputs.hopper_run)
        damage(run)
        return self.fault(f"export: {name}", ["export", "--checkpoint", str(run), *words], run, expected)

    def state(self, name: str, damage: Callable[[dict], Any], expected: Any = "refused") -> Fault:
        state = original_state(self.inputs.export)
        damage(state)
        path = self.new() / "state_0.pt"
        torch.save(state, path)
        words = ["import", "--from", str(path), "--task", _TASK, "--statistics", str(self.inputs.export)]
        return self.fault(f"original: {name}", words, path, expected)

    def fault(self, name: str, words: list[str], source: Path, expected: Any) -> Fault:
        target = [] if "--to" in words else ["--to", str(self.place / f"made{self.number}")]
        return Fault(name, [*words, *target], expected, protects=[source])

    def copy(self, source: Path) -> Path:
        folder = self.new()
        shutil.copytree(source, folder, dirs_exist_ok=True)
        return folder

    def new(self) -> Path:
        self.number += 1
        folder = self.place / f"case{self.number}"
        folder.mkdir(parents=True)
        return folder


def original_state(export: Path) -> dict[str, Any]:
    """Returns the denoiser of an exported folder in the layout of the original repository."""
    weights = translate(load_file(export / "unet" / _WEIGHTS), "denoiser", "diffusers", export)
    levels = len(json.loads((export / "unet" / "config.json").read_text())["block_out_channels"])
    names = {ours: theirs for theirs, ours in parameter_names("denoiser", levels, "original").items()}
    state = {f"model.{names[name]}": value.clone() for name, value in weights.items()}
    return {"step": 12, "model": state, "ema": {name: value.clone() for name, value in state.items()}}


def _known(maker: _Maker) -> Iterator[Fault]:
    """Yields the kinds of damage that were once answered wrongly."""
    code = maker.hostile[0]
    for file, key, value in [
        ("scheduler/scheduler_config.json", "clip_sample", code),
        ("trajectory/config.json", "stride", code),
        ("trajectory/config.json", "returns", {"discount": code}),
        ("trajectory/config.json", "normalizer", {"part": "gaussian_normalizer", "settings": {"transition_dim": code}}),
        ("trajectory/config.json", "task", "hopper-medium-v2,+trainer.callbacks=x"),
        ("scheduler/scheduler_config.json", "_class_name", "SchedulerMixin"),
        ("scheduler/scheduler_config.json", "_class_name", "KarrasDiffusionSchedulers"),
        ("unet/config.json", "_class_name", "AutoencoderKL"),
        *[("scheduler/scheduler_config.json", key, 10**9) for key in ("num_train_timesteps",)],
        *[("trajectory/config.json", key, 10**9) for key in ("horizon", "stride", "action_dim", "num_train_timesteps")],
        *[("unet/config.json", key, [10**9]) for key in ("block_out_channels", "in_channels")],
        ("value_function/config.json", "sample_size", {}),
    ]:
        yield maker.imported(f"{key} of {file} is {str(value)[:60]}", _set(file, key, value))
    for file in _SETTINGS:
        for text in ("", "null", "[]", "{}", "[" * 100_000, '{"a":' * 100_000, '{"horizon": 1e999}', "\udcff"):
            name, content = f"{file} is {text[:20]!r}", text.encode(errors="surrogateescape")
            yield maker.imported(name, lambda folder, file=file, content=content: (folder / file).write_bytes(content))
    for part in _PARTS:
        for name, damage in _TENSORS.items():
            yield maker.imported(f"{name} in {part}", _tensors(part, damage))
    yield maker.imported("statistics without tensors", _tensors("trajectory", lambda tensors, rng: tensors.clear()))
    for name, content in _PICKLES.items():
        yield _pickled(maker, name, content(maker.inputs))
    for target in ("", "/dev/null", "/dev/null/x", "/proc/x/y", "a" * 300, str(maker.inputs.data_file)):
        yield maker.imported(f"written to {target[:20]!r}", lambda folder: None, "refused", "--to", target)
        yield maker.exported(f"written to {target[:20]!r}", lambda run: None, "refused", "--to", target)
    for source in ("/dev/zero", "/dev/null", "/proc/self/mem", "a" * 5000, "", str(maker.inputs.secret_file), "/root"):
        words = ["import", "--from", source, "--task", _TASK, "--statistics", source]
        yield maker.fault(f"import from {source[:20]!r}", words, maker.inputs.secret_file, "refused")
    pipe = maker.new() / "state_0.pt"
    os.mkfifo(pipe)
    yield maker.fault("import from a pipe", ["import", "--from", str(pipe), "--task", _TASK], pipe.parent, "refused")
    for key in ("ablation", "name", "task"):
        for value in (maker.inputs.escape, "</script><script>alert(1)</script>", "|` ![x](y)"):
            yield maker.exported(f"{key} of the result is {value!r}", _result(key, value), "either")


def _set(file: str, key: str, value: Any) -> Callable[[Path], Any]:
    def damage(folder: Path) -> None:
        content = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps(content | {key: value}))

    return damage


def _result(key: str, value: Any) -> Callable[[Path], Any]:
    return _set("results.json", key, value)


def _tensors(part: str, damage: Callable[[dict[str, torch.Tensor], random.Random], Any]) -> Callable[[Path], Any]:
    def change(folder: Path) -> None:
        tensors = {name: value.clone() for name, value in load_file(folder / part / _WEIGHTS).items()}
        damage(tensors, random.Random(0))
        save_file(tensors, folder / part / _WEIGHTS)

    return change


def _any(tensors: dict[str, torch.Tensor], rng: random.Random) -> str:
    return rng.choice(sorted(tensors))


_TENSORS: dict[str, Callable[[dict[str, torch.Tensor], random.Random], Any]] = {
    "NaN": lambda tensors, rng: tensors[_any(tensors, rng)].fill_(float("nan")),
    "infinity": lambda tensors, rng: tensors[_any(tensors, rng)].view(-1)[:1].fill_(float("-inf")),
    "a missing tensor": lambda tensors, rng: tensors.pop(_any(tensors, rng)),
    "one more tensor": lambda tensors, rng: tensors.update(more=torch.zeros(3)),
    "a longer tensor": lambda tensors, rng: tensors.update({_any(tensors, rng): torch.zeros(7, 7)}),
    "an empty tensor": lambda tensors, rng: tensors.update({_any(tensors, rng): torch.zeros(0)}),
    "whole numbers": lambda tensors, rng: tensors.update({name: tensors[name].long() for name in [_any(tensors, rng)]}),
}
_PICKLES: dict[str, Callable[[Inputs], Any]] = {
    "a list": lambda inputs: [1, 2],
    "a number": lambda inputs: 3,
    "code": lambda inputs: _Touch(inputs.marker),
    "lists of lists": lambda inputs: {"a": nested(50)},
    "numbers for names": lambda inputs: {1: torch.zeros(2)},
    "a view of one number": lambda inputs: {"a": torch.zeros(1).expand(10**5, 10**6)},
    "a sparse tensor": lambda inputs: {"a": torch.sparse_coo_tensor([[0]], [1.0], (10**12,), check_invariants=True)},
    "a tensor without memory": lambda inputs: {"a": torch.zeros(10**6, 10**6, device="meta")},
}


class _Touch:
    """Pickled, this makes the marker when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mknod, (str(self.marker),)


def _pickled(maker: _Maker, name: str, content: Any) -> Fault:
    def damage(folder: Path) -> None:
        (folder / "unet" / _WEIGHTS).unlink()
        torch.save(content, folder / "unet" / "diffusion_pytorch_model.bin")

    return maker.imported(f"pickled weights are {name}", damage)


def _settings(maker: _Maker) -> Fault:
    """Replaces or removes one value of a file of settings."""
    file = maker.rng.choice(_SETTINGS)
    content = json.loads((maker.inputs.export / file).read_text())
    path, value = maker.rng.choice(list(leaves(content))), maker.rng.choice(maker.hostile)
    is_gone = maker.rng.random() < 0.15
    changed = removed(content, path) if is_gone else replaced(content, path, value)
    name = f"{'.'.join(map(str, path))} of {file} is {'gone' if is_gone else str(value)[:60]}"
    words = ("--task", _TASK) if maker.rng.random() < 0.5 else ()
    return maker.imported(name, lambda folder: (folder / file).write_text(json.dumps(changed)), "either", *words)


def _files(maker: _Maker) -> Fault:
    """Removes, cuts, replaces or flips one file."""
    rng, inputs = maker.rng, maker.inputs
    names = sorted(str(path.relative_to(inputs.export)) for path in inputs.export.rglob("*"))
    name, kind = rng.choice(names), rng.choice(["gone", "cut", "flipped", "folder", "pipe", "loop", "link", "device"])

    def damage(folder: Path) -> None:
        path = folder / name
        content = path.read_bytes() if path.is_file() else b""
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        if kind == "cut":
            path.write_bytes(content[: rng.randrange(len(content) + 1)])
        elif kind == "flipped":
            path.write_bytes(flipped(content, rng) if content else b"")
        elif kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind != "gone":
            targets = {"loop": path, "link": inputs.secret_file, "device": Path("/dev/zero")}
            path.symlink_to(targets[kind])

    return maker.imported(f"{name}: {kind}", damage, "either")


def _weights(maker: _Maker) -> Fault:
    """Changes one tensor, or one bit of the head of a file of weights."""
    part, rng = maker.rng.choice(_PARTS), maker.rng
    if rng.random() < 0.5:
        name, damage = rng.choice(sorted(_TENSORS.items()))
        return maker.imported(f"{name} in {part}", _tensors(part, lambda tensors, _: damage(tensors, rng)))

    def flip(folder: Path) -> None:
        content = (folder / part / _WEIGHTS).read_bytes()
        head = 8 + int.from_bytes(content[:8], "little")
        (folder / part / _WEIGHTS).write_bytes(flipped(content, rng, last=head))

    return maker.imported(f"a flipped bit in the head of {part}", flip, "either")


def _pickles(maker: _Maker) -> Fault:
    """Gives a hostile value in place of a tensor of pickled weights."""
    value = maker.rng.choice(maker.hostile)
    weights = load_file(maker.inputs.export / "unet" / _WEIGHTS)
    name = maker.rng.choice(sorted(weights))
    content = weights | {name: value} if maker.rng.random() < 0.7 else value
    return _pickled(maker, f"{str(value)[:60]} at {name}", content)


def _states(maker: _Maker) -> Fault:
    """Replaces or removes one entry of a state of the original repository."""
    rng, value = maker.rng, maker.rng.choice(maker.hostile)
    part = rng.choice(["step", "model", "ema", "inside", "more"])

    def damage(state: dict) -> None:
        if part == "inside":
            state["ema"][rng.choice(sorted(state["ema"]))] = value
        elif part == "more":
            state["ema"][rng.choice(["alphas_cumprod", "loss_fn.weights", "model.more"])] = rng.choice(
                [value, torch.full((4,), float("nan")), torch.zeros(4, 4), torch.ones(10**6)]
            )
        elif rng.random() < 0.2:
            del state[part]
        else:
            state[part] = value

    return maker.state(f"{part} is {str(value)[:60]}", damage, "either")


def _statistics(maker: _Maker) -> Fault:
    """Gives statistics of hostile values."""
    value = maker.rng.choice([*maker.hostile, [0.0] * 14, [1e300] * 14, [1e-300] * 14, [float("inf")] * 14])
    key = maker.rng.choice(["offset", "scale", "more"])
    path = maker.new() / "statistics.json"
    path.write_text(json.dumps({"offset": [0.0] * 14, "scale": [1.0] * 14} | {key: value}))
    return maker.imported(f"{key} is {str(value)[:60]}", lambda folder: None, "either", "--statistics", str(path))


def _runs(maker: _Maker) -> Fault:
    """Replaces one value of what the model card of an export tells."""
    rng, value = maker.rng, maker.rng.choice(maker.hostile)
    if rng.random() < 0.3:
        return maker.exported(
            f"overrides are {str(value)[:60]}",
            lambda run: (run / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump([value, f"a={value}"])),
            "either",
        )
    result = json.loads((maker.inputs.hopper_run / "results.json").read_text())
    path = rng.choice([path for path in leaves(result) if path[0] != "config"])
    changed = json.dumps(replaced(result, path, value))
    name = f"{'.'.join(map(str, path))} of the result is {str(value)[:60]}"
    return maker.exported(name, lambda run: (run / "results.json").write_text(changed), "either")
