"""Receptive fields of cells: from moment to moment, triggered by spikes, described.

- `describe`: `nc.describe_fields`
- `receptive_fields`: `nc.receptive_fields`
- `spike_triggered`: `nc.spike_triggered_average`
- `variance`: `nc.field_variance`
"""

__all__ = ["describe", "receptive_fields", "spike_triggered", "variance"]
