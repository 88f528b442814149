"""Rules that need no sizes, by topic."""
