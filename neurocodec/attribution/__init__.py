"""`nc.contributions`: what hidden units contribute to a target, labelled.

- `between_layers`: one call of `nc.tension`, checked: one batch, labels
- `completeness`: how completely contributions explain their target
- `contributions`: `nc.contributions`, `nc.estimate`
- `own_labels`: which output each sample's own label is
- `plan`: one call of these, checked: what its numbers depend on, one batch, labels
- `point_vectors`: hidden vectors at single positions of images, and features that are clusters of
  them
- `ranked_maps`: maps of the stimuli that rules rank first: the second pass of `nc.tension(keep=)`
- `ranking`: `nc.rank_stimuli`
- `tension`: `nc.tension`
"""

__all__ = [
    "between_layers",
    "completeness",
    "contributions",
    "own_labels",
    "plan",
    "point_vectors",
    "ranked_maps",
    "ranking",
    "tension",
]
