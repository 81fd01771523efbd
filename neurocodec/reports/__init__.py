"""One page about an analysis that needs no other file.

- `atlas`: `nc.atlas_page`
- `concepts`: `nc.concept_page`
- `description`: what a result is, in a few lines (`neurocodec info`)
- `images`: the page about a network that sees images
- `retina/`: the page about a retina model
- `tension`: the page about tense images
"""

__all__ = ["atlas", "concepts", "description", "images", "retina", "tension"]
