import inspect

import pytest

import diffplan.guide as folder
from diffplan.guide import AbstractGuide

GUIDES = [cls for name, cls in inspect.getmembers(folder, inspect.isclass) if not name.startswith("Abstract")]


@pytest.mark.parametrize("cls", GUIDES)
def test_every_guide_is_one(cls):
    assert issubclass(cls, AbstractGuide)
    assert not inspect.isabstract(cls)


def test_the_interface_cannot_be_built():
    with pytest.raises(TypeError):
        AbstractGuide(None)
