"""Weights & Biases and CSV."""
