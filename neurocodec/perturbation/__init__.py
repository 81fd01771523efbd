"""What becomes of the answer without some channels, or with these alone.

- `ablation`: `nc.ablate`, `nc.preserve`
- `better`: `nc.compare_rankings`
- `curve`: `nc.perturbation_curve`
- `rankings`: `nc.rankings`; which images a ranking has seen
"""

__all__ = ["ablation", "better", "curve", "rankings"]
