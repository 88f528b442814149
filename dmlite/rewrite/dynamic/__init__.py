"""Rules that need sizes or non-zeros, by topic."""
