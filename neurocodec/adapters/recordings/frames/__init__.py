"""When each frame of a stimulus was on: onsets, triggers, trials, pauses and dropped frames.

- `triggers`: onsets of frames from trigger pulses, one a frame or one in every few
- `schedule`: rows of a stimulus and their onsets in every trial, from what a laboratory has
- `axes`: whether time is the first axis of frames, as times and spikes tell
- `movies`: stimuli as (time, y, x), (time, color, y, x) or full-field light, labelled
"""

__all__ = ["axes", "movies", "schedule", "triggers"]
