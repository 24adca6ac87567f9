"""From files to training windows."""
