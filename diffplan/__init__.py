"""Planning with diffusion models: Diffuser's networks, data, planners and experiments."""

__version__ = "0.1.0"
