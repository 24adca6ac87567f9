"""Planning with diffusion models: Diffuser's networks, data, planners and experiments."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Loads ``diffplan.results`` at its first use, so that importing the package loads nothing."""
    if name == "results":
        from diffplan.report.results import results

        return results
    raise AttributeError(f"module 'diffplan' has no attribute {name!r}")
