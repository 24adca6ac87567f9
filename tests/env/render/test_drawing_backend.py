import os
import sys
from importlib import import_module

import pytest

from diffplan.env.make_env import choose_backend

# The package exports a function of the same name as the module.
drawing_backend = import_module("diffplan.env.make_env")
VARIABLES = ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY")
HAS_EGL = drawing_backend.find_library("EGL") is not None


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere MuJoCo always finds a way to draw")
@pytest.mark.parametrize(
    ("variables", "choice"),
    [
        ({}, "egl" if HAS_EGL else None),
        ({"MUJOCO_GL": "osmesa"}, "osmesa"),
        ({"MUJOCO_GL": ""}, ""),
        ({"DISPLAY": ":0"}, None),
        ({"WAYLAND_DISPLAY": "wayland-0"}, None),
        ({"DISPLAY": ""}, "egl" if HAS_EGL else None),
    ],
)
def test_egl_draws_where_there_is_no_display_and_nobody_chose(variables, choice, monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    choose_backend()
    assert os.environ.get("MUJOCO_GL") == choice


def test_egl_is_left_alone_where_it_is_not_installed(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(drawing_backend, "find_library", lambda name: None)
    choose_backend()
    assert "MUJOCO_GL" not in os.environ
