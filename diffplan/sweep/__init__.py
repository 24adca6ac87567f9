"""Sweeps: one file for Hydra and W&B, cells that are launched once, and what they will cost."""
