"""Receptive fields: of cells, from moment to moment; of vectors of a layer, by shares of pixels.

- `describe`: `nc.describe_fields`
- `effective_fields`: `nc.effective_fields`
- `receptive_fields`: `nc.receptive_fields`
- `spike_triggered`: `nc.spike_triggered_average`
- `variance`: `nc.field_variance`
"""

__all__ = ["describe", "effective_fields", "receptive_fields", "spike_triggered", "variance"]
