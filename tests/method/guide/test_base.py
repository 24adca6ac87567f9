import inspect

import pytest

from diffplan.method.guide import AbstractGuide


def guides(cls=AbstractGuide):
    """The classes that nothing inherits from; other tests bring classes of their own."""
    below = [each for each in cls.__subclasses__() if each.__module__.startswith("diffplan.")]
    return [guide for each in below for guide in guides(each)] if below else [cls]


GUIDES = guides()


@pytest.mark.parametrize("cls", GUIDES)
def test_every_guide_is_one(cls):
    assert issubclass(cls, AbstractGuide)
    assert not inspect.isabstract(cls)


def test_the_interface_cannot_be_built():
    with pytest.raises(TypeError):
        AbstractGuide(None)
