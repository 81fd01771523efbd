"""Files of named arrays that hold spike times: MATLAB's, and `.npz`.

- `bundle`: what the arrays of such a file mean, by their names
- `matlab`: MAT files of version 5 and 7.3
- `owners`: cells of all spikes in one array
- `parts`: a part of a recording from such a file
- `stored`: arrays of an `.npz` by name
"""

__all__ = ["bundle", "matlab", "owners", "parts", "stored"]
