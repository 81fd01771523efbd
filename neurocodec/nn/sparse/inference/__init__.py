"""The model whose loadings are solved for, and how its dictionary is learned."""
