"""Networks that take video and return video: their axes, and which step answers for which frame.

- `answers`: which output step of a window is its answer, and for which frame
- `arrangement`: the order of a network's axes, in words
- `steps`: the axis of time, followed through every operation of one pass
- `windowed`: a video network as one that takes windows of frames and returns one answer each
"""

__all__ = ["answers", "arrangement", "steps", "windowed"]
