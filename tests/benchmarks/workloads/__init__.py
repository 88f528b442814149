"""All workloads by name, in the order of the table."""

from tests.benchmarks.workloads import dense, factors, networks

WORKLOADS = {workload.name: workload for module in (networks, factors, dense) for workload in module.WORKLOADS}
