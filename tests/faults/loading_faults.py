"""Loads the broken folders of ``folder_faults`` from Python, as a pipeline that plans without an environment."""

import dataclasses
import random
from collections.abc import Iterator
from pathlib import Path

import folder_faults
from fault import Fault, Inputs

GROUP = "folders loaded as pipelines"
# Says in the way of a command what the error of the library says.
_LOAD = """
import sys
from diffplan.errors import DiffplanError
from diffplan.interop import DiffuserPipeline
try:
    DiffuserPipeline.from_pretrained({folder!r})
except DiffplanError as error:
    sys.exit(f"diffplan: {{error}}")
sys.exit(0)
"""
# A pipeline does not need the task, so what is wrong in its name may stay unnoticed. Weights are needed.
_REFUSED = ("NaN in", "infinity in", "a missing tensor in", "a longer tensor in", "an empty tensor in")


def faults(rng: random.Random, inputs: Inputs, place: Path) -> Iterator[Fault]:
    """Yields broken folders without end, written below ``place``, each made when it is asked for."""
    for fault in folder_faults.faults(rng, inputs, place):
        folder = fault.words[2]
        if fault.words[0] != "import" or not folder.startswith(f"{place}/") or "--to" in fault.words[3:5]:
            continue
        hook = place / "hook.py"
        hook.write_text(_LOAD.format(folder=folder))
        name = fault.name.removeprefix("import: ")
        expected = "accepted" if name == "nothing" else "refused" if name.startswith(_REFUSED) else "either"
        yield dataclasses.replace(fault, name=name, words=[], expected=expected, hook=hook)
