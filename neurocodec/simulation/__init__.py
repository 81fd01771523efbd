"""Worlds with known answers: a retina, planted modes.

- `circuit`: the circuit of the simulated retina: who drives whom, and how it answers a movie
- `planted`: simulated rows with known modes: sparse, non-negative, overcomplete, correlated,
  noisy
- `stimuli`: stimuli of the simulated retina: photographs under fixational eye movements, and
  white noise
- `superposition`: toy models of superposition: what interference alone excites and inhibits
- `world`: the simulated retina's recordings, labelled: stimulus, rates, spikes and interneurons
"""

from neurocodec.simulation.circuit import Parameters
from neurocodec.simulation.stimuli import NaturalScenes, WhiteNoise
from neurocodec.simulation.world import simulate_retina

__all__ = ["NaturalScenes", "Parameters", "WhiteNoise", "simulate_retina"]
