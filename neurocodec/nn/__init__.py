"""Tensors: torch in, torch out, never xarray; each wing is the tensor half of a room of its name.

- `arrays`: numbers of any strides, byte order, precision and layout: into tensors, and out of them
- `beside`: something made in a copy of this process, while this one goes on
- `checkpoint`: one safetensors file, replaced whole, JSON beside the tensors
- `device`: a device by name, or why not
- `settings`: what the process and a thread share: threads, digits, random states; given back
- `standardisation`: the stimulus in the units that a network was trained in
- `superposition`: toy networks of more features than hidden units, trained as one stack
- `fast/`: the same numbers, faster: convolutions rewritten, movies by Fourier transform
- `capture/`: looking into a module that is borrowed, and giving it back as it was
- `attribution/`: which hidden units made a number: targets, methods, passes along a path
- `maps/`: which part of the input acts through chosen channels
- `fields/`: gradients of responses with respect to windows of a movie
- `perturbation/`: a network with channels replaced, and run again from there on
- `retina/`: models of ganglion cells: the CNN, the LN model, their training, torch-deep-retina's
- `sparse/`: sparse decompositions of rows: settings, models, how they are fitted
- `synthesis/`: an image from numbers, robustly, towards an aim
- `video/`: networks that take video and return video
"""

__all__ = [
    "arrays",
    "attribution",
    "beside",
    "capture",
    "checkpoint",
    "device",
    "fast",
    "fields",
    "maps",
    "perturbation",
    "retina",
    "settings",
    "sparse",
    "standardisation",
    "superposition",
    "synthesis",
    "video",
]
