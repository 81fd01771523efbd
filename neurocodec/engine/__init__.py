"""Running a network over stimuli of any size: in memory, in a file, on many machines.

- `accepted`: which stimuli a network accepts
- `distributed`: carry out a plan on the workers of a Dask client
- `estimate`: what a run will take: time, memory, size of its file
- `forward`: forward passes without gradients, of a movie the short way
- `memory`: batch size for a budget; refusal of what does not fit
- `plan`: what every call that runs over samples says of itself: facts, arrays of a batch, labels
- `respond`: `nc.respond`
- `run`: carry out a plan: into memory, or into a file that can be resumed
- `samples`: stimuli as tensors: Samples, Block, batches; checked, and at chosen times
- `session`: the one way to hook, trace and quicken a network for a run
- `stored`: stimuli that stay where they are stored: blocks of rows, read when they are needed
"""

__all__ = [
    "accepted",
    "distributed",
    "estimate",
    "forward",
    "memory",
    "plan",
    "respond",
    "run",
    "samples",
    "session",
    "stored",
]
