import inspect

import pytest

from diffplan.method.guide import AbstractGuide

# Other tests bring classes of their own.
GUIDES = [cls for cls in AbstractGuide.__subclasses__() if cls.__module__.startswith("diffplan.")]


@pytest.mark.parametrize("cls", GUIDES)
def test_every_guide_is_one(cls):
    assert issubclass(cls, AbstractGuide)
    assert not inspect.isabstract(cls)


def test_the_interface_cannot_be_built():
    with pytest.raises(TypeError):
        AbstractGuide(None)
