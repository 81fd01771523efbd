"""Numerical kernels: ndarray in, ndarray out, with `axis`; numpy and scipy only."""
