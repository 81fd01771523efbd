"""Tensor in, tensor out: capture, targets, methods, training. torch only, never xarray."""
