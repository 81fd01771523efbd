"""`nc.analyse_retina`: section 7 and figure 8 of CODEC.

- `analyse`: `nc.analyse_retina`
- `compare`: `nc.compare_models`
- `ensemble`: `nc.analyse_ensemble`: several models of one retina
- `findings`: RetinaAnalysis, and its files
"""

__all__ = ["analyse", "compare", "ensemble", "findings"]
