"""Collecting locomotion data with SAC."""
