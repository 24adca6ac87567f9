"""Checkpoints whose settings, entries, tensors or bytes are wrong."""

import itertools
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from fault import Fault, Inputs
from hostile import flipped, hostile_values, leaves, nested, removed, replaced
from torch import Tensor

GROUP = "checkpoints"
_PLAN = ("num_episodes=1", "num_videos=0", "logger=csv_logger", "num_threads=1")
# What models, environments and pages are made of.
_USED = (
    ("backbone",), ("backbone", "dim"), ("backbone", "dim_multipliers"), ("backbone", "kernel_size"),
    ("scheduler",), ("scheduler", "num_train_timesteps"), ("scheduler", "beta_schedule"), ("scheduler", "clip_sample"),
    ("scheduler", "prediction_type"), ("scheduler", "timestep_spacing"), ("scheduler", "variance_type"),
    ("normalizer",), ("normalizer", "transition_dim"), ("conditioning",), ("datamodule",), ("datamodule", "horizon"),
    ("datamodule", "stride"), ("datamodule", "action_dim"), ("datamodule", "observation_dim"), ("task",),
    ("task", "name"), ("task", "env_id"), ("task", "protocols"), ("task", "paper_scores"), ("task", "reference_min"),
    ("task", "guide_scale"), ("task", "t_stopgrad"), ("task", "diffusion_steps"), ("task", "max_episode_steps"),
    ("name",), ("seed",), ("prediction_type",), ("planner",), ("sampler",), ("critic",), ("critic", "backbone"),
    ("critic", "backbone", "horizon"), ("critic", "target"), ("critic", "target", "discount"), ("module",),
    ("trainer",),
)  # fmt: skip


def faults(rng: random.Random, inputs: Inputs, place: Path) -> Iterator[Fault]:
    """Yields broken checkpoints without end, written below ``place``, each made when it is asked for."""
    maker = _Maker(rng, inputs, place)
    yield from maker.first()
    yield from maker.known()
    kinds = (maker.setting, maker.setting, maker.used_setting, maker.entry, maker.tensor, maker.bit, maker.cut)
    while True:
        yield rng.choice(kinds)()


class _Maker:
    """Damages copies of the checkpoints of a finished run."""

    def __init__(self, rng: random.Random, inputs: Inputs, place: Path) -> None:
        self.rng, self.inputs, self.place = rng, inputs, place
        self.folder = inputs.hopper_run / "checkpoints"
        self.content = {name: torch.load(self.folder / f"{name}.ckpt") for name in ("last", "critic")}
        self.numbers = itertools.count()

    def first(self) -> Iterator[Fault]:
        """One of each kind."""
        create, variable = hostile_values(self.inputs)[3:5]
        yield self.changed(
            "scheduler.beta_schedule creates an object", self.set_in_config, ("scheduler", "beta_schedule"), create
        )
        yield self.changed("name is an environment variable", self.set_in_config, ("name",), variable)
        yield self.changed("backbone opens a file", self.set_in_config, ("backbone",), hostile_values(self.inputs)[1])
        yield self.changed(
            "scheduler has 1e9 timesteps", self.set_in_config, ("scheduler", "num_train_timesteps"), 10**9
        )
        yield self.tensor_fault("average.average.head.1.weight", "is NaN", lambda value: value * float("nan"))
        yield self.changed("global_step is missing", lambda content: removed(content, ("global_step",)))
        yield self.bit(inside=True)
        yield self.pipe()

    def known(self) -> Iterator[Fault]:
        """Every known kind once."""
        for path in _USED:
            yield self.missing(path)
            yield self.used_setting(path)
        for key in self.content["last"]:
            yield self.changed(
                f"{key} is missing", lambda content, key=key: removed(content, (key,)), expected="either"
            )
        for key, value in itertools.product(
            ("global_step", "state_dict", "diffplan"), (None, [], "x", -1, 10**30, float("nan"))
        ):
            yield self.changed(f"{key} is {value!r}", lambda content, key=key, value=value: content | {key: value})
        for path in leaves(self.content["last"]["diffplan"]["data"]):
            yield self.changed(
                f"data.{path[0]} is missing", lambda content, path=path: removed(content, ("diffplan", "data", *path))
            )
        for name in ("average.average.head.1.weight", "normalizer.offset", "normalizer.scale"):
            for what, change in _TENSOR_CHANGES.items():
                yield self.tensor_fault(name, what, change)
        for share in (0.0, 0.01, 0.5, 0.99):
            yield self.cut(share)
        yield from (self.other_file(kind) for kind in _OTHER_FILES)
        yield self.changed("deeply nested", self.set_in_config, ("window",), nested(200))

    def setting(self) -> Fault:
        """A hostile value anywhere in the config."""
        path = self.rng.choice(list(leaves(self.content["last"]["diffplan"]["config"])))
        value = self.rng.choice(hostile_values(self.inputs))
        if self.rng.random() < 0.15:
            return self.missing(path)
        return self.changed(f"{_name(path)} is {value!r:.60}", self.set_in_config, path, value, expected="either")

    def missing(self, path: tuple) -> Fault:
        """A missing setting; many have defaults."""
        return self.changed(f"{_name(path)} is missing", self.without_setting, path, expected="either")

    def used_setting(self, path: tuple | None = None) -> Fault:
        """A hostile value where something is built from it."""
        path = path or self.rng.choice(_USED)
        value = self.rng.choice(hostile_values(self.inputs))
        return self.changed(f"{_name(path)} is {value!r:.60}", self.set_in_config, path, value, expected="either")

    def entry(self) -> Fault:
        """A hostile value anywhere outside config and weights."""
        rest = {
            key: value
            for key, value in self.content["last"].items()
            if key in ("global_step", "epoch", "callbacks", "loops")
        }
        path = self.rng.choice(
            [
                *leaves(rest),
                ("diffplan", "format"),
                ("diffplan", "version"),
                ("diffplan", "data", "kind"),
                ("diffplan", "data", "name"),
                ("diffplan", "data", "sha256"),
                ("diffplan", "data", "num_transitions"),
            ]
        )
        value = self.rng.choice(hostile_values(self.inputs))
        return self.changed(
            f"{_name(path)} is {value!r:.60}", lambda content: replaced(content, path, value), expected="either"
        )

    def tensor(self) -> Fault:
        """A wrong tensor among those that planning uses."""
        which = self.rng.choice(["last", "critic"])
        names = [name for name in self.content[which]["state_dict"] if not name.startswith("backbone.")]
        what = self.rng.choice(list(_TENSOR_CHANGES))
        return self.tensor_fault(self.rng.choice(names), what, _TENSOR_CHANGES[what], which)

    def tensor_fault(self, name: str, what: str, change: Callable[[Tensor], Any], which: str = "last") -> Fault:
        """One changed or missing tensor."""

        def changed(content: dict[str, Any]) -> dict[str, Any]:
            state = dict(content["state_dict"])
            state[name] = change(state[name])
            if state[name] is None:
                del state[name]
            return content | {"state_dict": state}

        # An offset may have any sign.
        harmless = what == "is negative" and "scale" not in name
        return self.changed(
            f"{which}: {name} {what}", changed, which=which, expected="either" if harmless else "refused"
        )

    def bit(self, inside: bool = False) -> Fault:
        """A flipped bit, in a tensor or anywhere."""
        which = self.rng.choice(["last", "critic"])
        content = (self.folder / f"{which}.ckpt").read_bytes()
        name, first, last = f"{which}: a bit is flipped", 0, None
        if inside or self.rng.random() < 0.5:
            weights = (
                self.content[which]["state_dict"]["average.average.time_embedding.layers.0.weight"].numpy().tobytes()
            )
            first = content.index(weights)
            last, name = first + len(weights), f"{name} in the weights"
        return self.written(
            name, flipped(content, self.rng, first, last), which, "either" if last is None else "refused"
        )

    def cut(self, share: float | None = None) -> Fault:
        """A file that ends early."""
        which = self.rng.choice(["last", "critic"])
        content = (self.folder / f"{which}.ckpt").read_bytes()
        length = int((self.rng.random() if share is None else share) * len(content))
        return self.written(f"{which} ends after {length} of {len(content)} bytes", content[:length], which)

    def pipe(self) -> Fault:
        """A pipe that nobody writes to."""
        return self.other_file("pipe")

    def other_file(self, kind: str) -> Fault:
        """Another kind of file under the name of a checkpoint."""
        run = self.run_with(None)
        path = run / "checkpoints" / "last.ckpt"
        _OTHER_FILES[kind](path, self.inputs)
        words = ["plan", f"checkpoint={path}", *_PLAN, f"paths.run_dir={self.place}/plan"]
        return Fault(f"checkpoint is a {kind} {next(self.numbers)}", words)

    def changed(
        self,
        name: str,
        change: Callable[..., dict[str, Any]],
        *arguments: Any,
        which: str = "last",
        expected: str = "refused",
    ) -> Fault:
        """A checkpoint with changed content."""
        run = self.run_with(which)
        torch.save(change(self.content[which], *arguments), run / "checkpoints" / f"{which}.ckpt")
        return self.fault(name, run, which, expected)

    def written(self, name: str, content: bytes, which: str, expected: str = "refused") -> Fault:
        """A checkpoint of other bytes."""
        run = self.run_with(which)
        (run / "checkpoints" / f"{which}.ckpt").write_bytes(content)
        return self.fault(name, run, which, expected)

    def run_with(self, which: str | None) -> Path:
        """Makes a run without one of its checkpoints."""
        run = self.place / f"run{next(self.numbers)}"
        (run / "checkpoints").mkdir(parents=True)
        for name in ("last", "critic"):
            if which is not None and name != which:
                shutil.copy(self.folder / f"{name}.ckpt", run / "checkpoints")
        return run

    def fault(self, name: str, run: Path, which: str, expected: str) -> Fault:
        """A command that reads the run."""
        verbs = ["plan", "plan", "export", "schedulers", "train" if which == "critic" else "import"]
        verb = self.rng.choice(verbs)
        shown = [*_PLAN, "planner.num_candidates=2", f"paths.run_dir={self.place}/{verb}"]
        to = ["--to", str(self.place / verb)]
        words = {
            "plan": ["plan", f"checkpoint={run}", *shown, "sampler.num_inference_steps=2"],
            "schedulers": ["schedulers", f"checkpoint={run}", *shown, "schedulers=[ddim]", "steps=[1]"],
            "export": ["export", "--checkpoint", str(run), *to],
            "import": ["import", "--from", str(self.inputs.export), "--statistics", str(run), *to],
            "train": [*self.inputs.train_words(self.inputs.hopper_run, self.place / verb), f"critic.path={run}"],
        }[verb]
        return Fault(f"{verb}: {name} {next(self.numbers)}", words, expected, protects=[run])  # type: ignore[arg-type]

    @staticmethod
    def config(content: dict[str, Any], change: Callable[[Any], Any]) -> dict[str, Any]:
        """Copies a checkpoint with a changed config."""
        return content | {"diffplan": content["diffplan"] | {"config": change(content["diffplan"]["config"])}}

    def without_setting(self, content: dict[str, Any], path: tuple) -> dict[str, Any]:
        """Copies a checkpoint without one setting."""
        return self.config(content, lambda config: removed(config, path))

    def set_in_config(self, content: dict[str, Any], path: tuple, value: Any) -> dict[str, Any]:
        """Copies a checkpoint with one other setting."""
        return self.config(content, lambda config: replaced(config, path, value))


_TENSOR_CHANGES: dict[str, Callable[[Tensor], Any]] = {
    "is missing": lambda value: None,
    "is NaN": lambda value: value * float("nan"),
    "is infinite": lambda value: value.abs() + float("inf"),
    "has one entry NaN": lambda value: torch.where(
        torch.arange(value.numel()).view(value.shape) == 0, torch.nan, value
    ),
    "has another shape": lambda value: value.new_zeros(*value.shape, 2),
    "has as many numbers in another shape": lambda value: value.reshape(1, 1, -1, 1),
    "is a view of one number": lambda value: value.reshape(-1)[:1].clone().expand(10**9),
    "holds integers": lambda value: value.long(),
    "is complex": lambda value: value + 1j,
    "is sparse": lambda value: value.to_sparse(),
    "is a list": lambda value: value.tolist(),
    "is a number": lambda value: 1.0,
    "is negative": lambda value: -value.abs() - 1,
    "is empty": lambda value: value.new_zeros(0),
}


def _write(content: bytes) -> Callable[[Path, Inputs], object]:
    return lambda path, inputs: path.write_bytes(content)


_OTHER_FILES: dict[str, Callable[[Path, Inputs], object]] = {
    "pipe": lambda path, inputs: os.mkfifo(path),
    "folder": lambda path, inputs: path.mkdir(),
    "device": lambda path, inputs: path.symlink_to("/dev/zero"),
    "empty file": _write(b""),
    "text": lambda path, inputs: path.symlink_to(inputs.secret_file),
    "HDF5 file": lambda path, inputs: shutil.copy(inputs.data_file, path),
    "broken link": lambda path, inputs: path.symlink_to("nowhere"),
    "link to itself": lambda path, inputs: path.symlink_to(path.name),
    "bare ZIP end": _write(b"PK\x05\x06" + bytes(18)),
    "pickle that claims a huge memo": _write(b"\x80\x02r\xff\xff\xff\x7f."),
}


def _name(path: tuple) -> str:
    return ".".join(map(str, path))
