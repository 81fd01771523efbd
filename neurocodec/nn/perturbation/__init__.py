"""nn, perturbation."""
