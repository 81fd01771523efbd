"""Running a network over stimuli of any size: in memory, in a file, on many machines.

- `distributed`: carry out a plan on the workers of a Dask client
- `estimate`: what a run will take: time, memory, size of its file
- `memory`: batch size for a budget; refusal of what does not fit
- `plan`: what every call that runs over samples says of itself: facts, arrays of a batch, labels
- `respond`: `nc.respond`
- `run`: carry out a plan: into memory, or into a file that can be resumed
- `samples`: stimuli as tensors: Samples, Block, batches; checked, and at chosen times
- `session`: the one way to hook, trace and quicken a network for a run
- `stored`: stimuli that stay where they are stored, and the labels of those that could be read
"""

__all__ = [
    "distributed",
    "estimate",
    "memory",
    "plan",
    "respond",
    "run",
    "samples",
    "session",
    "stored",
]
