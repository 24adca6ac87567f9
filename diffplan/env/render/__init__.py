"""Pictures and films of environments."""
