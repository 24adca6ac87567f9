import sys
import textwrap
from typing import Any

import pytest

from diffplan.config.parts import part_targets
from diffplan.config.signatures import _imported, signature
from diffplan.config.validation import _check_value
from diffplan.errors import ConfigError


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module that is not to be imported; returns the start of its import paths."""

    def write(text, name):
        (tmp_path / f"{name}.py").write_text(f"raise RuntimeError('imported')\n{textwrap.dedent(text)}")
        return name

    monkeypatch.syspath_prepend(tmp_path)
    return write


@pytest.mark.parametrize("target", sorted(set(part_targets().values())))
def test_the_text_of_every_class_of_the_configuration_says_what_its_import_says(target):
    imported, read = _imported(target), signature(target)
    open_base = imported.open_ended and not imported.parameters
    assert list(read.parameters) == [] if open_base else list(read.parameters) == list(imported.parameters)
    for name, parameter in read.parameters.items():
        assert parameter.required == imported.parameters[name].required, name
        # A value that a YAML file can hold is judged alike.
        for value in (None, True, 1, 0.5, "some", [1, 2], ["a"]):
            assert takes(parameter.hint, value) >= takes(imported.parameters[name].hint, value), (name, value)
            if parameter.hint is not Any:
                assert takes(parameter.hint, value) == takes(imported.parameters[name].hint, value), (name, value)


def takes(hint, value):
    try:
        _check_value(value, hint, "some")
    except ConfigError:
        return False
    return True


def test_a_class_is_read_and_not_imported(module):
    name = module(
        """
        from dataclasses import dataclass, field
        from typing import Literal
        import torch

        Kind = Literal["a", "b"]

        class Base:
            def __init__(self, lr: "float | torch.Tensor", kind: Kind = "a", *, size: int, **others): ...

        class Child(Base): ...

        @dataclass(frozen=True)
        class Fields:
            first: int
            second: list[str] = field(default_factory=list)
            third: str = "x"
            hidden: int = field(init=False, default=3)
        """,
        "read_not_imported",
    )
    child = signature(f"{name}.Child")
    assert child.open_ended
    assert {key: each.required for key, each in child.parameters.items()} == {"lr": True, "kind": False, "size": True}
    assert takes(child.parameters["lr"].hint, 0.5)
    assert not takes(child.parameters["lr"].hint, "abc")
    assert takes(child.parameters["kind"].hint, "b")
    assert not takes(child.parameters["kind"].hint, "c")
    fields = signature(f"{name}.Fields")
    assert {key: each.required for key, each in fields.parameters.items()} == {
        "first": True,
        "second": False,
        "third": False,
    }
    assert not takes(fields.parameters["second"].hint, [1])
    assert name not in sys.modules


def test_what_the_text_does_not_tell_is_imported(module):
    name = module("Made = type('Made', (), {})", "made_by_a_call")
    with pytest.raises(Exception, match="imported"):
        signature(f"{name}.Made")


def test_an_annotation_that_cannot_be_read_takes_everything(module):
    name = module("def build(value: Unknown[int] = 1, other: callable(3) = 2): ...", "unreadable")
    assert [each.hint for each in signature(f"{name}.build").parameters.values()] == [Any, Any]
