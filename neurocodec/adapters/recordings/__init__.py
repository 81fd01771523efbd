"""`nc.read_recording`: recordings of many kinds of files in one form.

- `read_recording`: `nc.read_recording`: recordings of many kinds of files, in one form
"""

__all__ = ["read_recording"]
