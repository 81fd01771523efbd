"""`nc.read_recording` and `nc.recording`: recordings of many kinds in one form.

- `read_recording`: `nc.read_recording`: recordings of many kinds of files
- `recording`: `nc.recording`: a stimulus, spike times and the times of its frames, from memory
- `frames/`: when each frame of a stimulus was on: onsets, triggers, trials, pauses
- `spikes/`: spike times of cells, by name: from memory, sorters, text and arrays
- `dandi/`: NWB files: frames, units, trials, epochs, potentials, imaged cells
- `arrayed/`: files of named arrays that hold spike times: MATLAB's, and `.npz`
"""

__all__ = ["arrayed", "dandi", "frames", "read_recording", "recording", "spikes"]
