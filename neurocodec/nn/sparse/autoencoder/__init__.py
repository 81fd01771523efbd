"""The model whose loadings are predicted, and how it is trained."""
