"""What becomes of the answer without some channels, or with these alone.

- `ablation`: `nc.ablate`, `nc.preserve`
- `better`: `nc.compare_rankings`
- `curve`: `nc.perturbation_curve`
- `doses`: `nc.steering_curve`
- `rankings`: `nc.rankings`; which images a ranking has seen
- `steering`: `nc.steering`, `nc.steer`
"""

__all__ = ["ablation", "better", "curve", "doses", "rankings", "steering"]
