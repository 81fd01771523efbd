"""nn, sparse, autoencoder."""
