"""All workloads by name, in the order of the table."""

from tests.benchmarks.workloads import algorithms, dense, factors, networks

WORKLOADS = {workload.name: workload for module in (networks, factors, dense, algorithms) for workload in module.WORKLOADS}
