"""A simulated retina with known answers: real photographs, a known circuit, spikes."""

from neurocodec.simulation.circuit import Parameters
from neurocodec.simulation.stimuli import NaturalScenes, WhiteNoise
from neurocodec.simulation.world import simulate_retina

__all__ = ["NaturalScenes", "Parameters", "WhiteNoise", "simulate_retina"]
