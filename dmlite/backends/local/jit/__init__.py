"""Generated loops: Numba compiles them in a process of its own, their object code is kept on disk and loaded without Numba."""
