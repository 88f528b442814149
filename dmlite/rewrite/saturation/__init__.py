"""Equality saturation: all equal expressions of a region at once, and the cheapest of them."""
