"""Factorisations of large sparse matrices."""

WORKLOADS = ()
