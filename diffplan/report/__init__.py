"""Pictures, videos and pages that people look at."""
