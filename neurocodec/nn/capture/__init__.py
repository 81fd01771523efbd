"""Looking into a module that is borrowed, and giving it back as it was.

- `attention`: multi-head attention whose heads can be hooked: torch's own, written out as modules
- `axes`: which axis of an activation holds the channels: followed through every operation of one
  pass
- `borrowing`: a module borrowed: what is done to it is done to a copy, and it stays as it is
- `hooks`: a module borrowed, its layers hooked, everything given back
- `layer`: where in a module an activation is read, and how it is taken out of what the module
  returns
- `prefix`: a batch of samples, and what is affine before the first layer
- `shortcuts`: what the flow of a pass proves about modules: which may be folded, skipped, done at
  once
- `tracing`: one small pass that finds out how a network runs before anything long is started
- `twins`: a module copied, but not its numbers
"""

__all__ = [
    "attention",
    "axes",
    "borrowing",
    "hooks",
    "layer",
    "prefix",
    "shortcuts",
    "tracing",
    "twins",
]
