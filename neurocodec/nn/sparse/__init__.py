"""Sparse decompositions of rows into modes: settings, models and how they are fitted."""
