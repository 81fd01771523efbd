"""Networks that take video and return video: their axes, and which step answers for which frame.

- `answers`: which output step of a window is its answer, and for which frame
- `arrangement`: the order of a network's axes, in words
- `needed`: how many frames an answer depends on
- `one_pass`: one pass over a movie in place of one for each window
- `steps`: the axis of time, followed through every operation of one pass
- `spans`: where time is in a tensor, and which steps before it each step depends on
- `windowed`: a video network as one that takes windows of frames and returns one answer each
"""

__all__ = ["answers", "arrangement", "needed", "one_pass", "spans", "steps", "windowed"]
