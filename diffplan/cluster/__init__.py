"""Machines that run jobs when they like, and take them back when they must."""
