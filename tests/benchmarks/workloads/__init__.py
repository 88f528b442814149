"""All rows by name, in the order of the table."""

from tests.benchmarks.workload import Processes, Workload
from tests.benchmarks.workloads import algorithms, dense, distributed, factors, networks, processes

_WORKLOADS: list[Workload] = [workload for module in (networks, factors, dense, algorithms, distributed) for workload in module.WORKLOADS]
WORKLOADS: dict[str, Workload | Processes] = {row.name: row for row in (*_WORKLOADS, *processes.ROWS, *processes.first_runs(_WORKLOADS))}
