"""Means and intervals over seeds and episodes."""
