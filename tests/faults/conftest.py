"""Lets the files of this folder import each other, as they do when ``run_faults.py`` is run as a script."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
