"""How MuJoCo draws: decided before it is imported, for it reads ``MUJOCO_GL`` only then."""

import logging
import os
import sys
from ctypes.util import find_library


def choose_backend() -> None:
    """Has MuJoCo draw without a display where there is none; does nothing where ``MUJOCO_GL`` says how to draw.

    MuJoCo told to use EGL cannot be imported where EGL is not installed, and episodes are to be played there too.
    """
    has_display = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if sys.platform == "linux" and not has_display and "MUJOCO_GL" not in os.environ and find_library("EGL"):
        os.environ["MUJOCO_GL"] = "egl"
    # It tells every log, as information, that an optional part of it is not installed.
    logging.getLogger("OpenGL.acceleratesupport").setLevel(logging.WARNING)
