"""The page that every run leaves."""
