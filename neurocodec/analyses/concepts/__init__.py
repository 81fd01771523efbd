"""`nc.analyse_concepts`: concept vectors of layers, and which make which, up to an answer.

- `analyse`: `nc.analyse_concepts`, what it finds, and what it takes (`nc.estimate_concepts`)
"""

__all__ = ["analyse"]
