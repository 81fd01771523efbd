"""One page about an analysis that needs no other file.

- `description`: what a result is, in a few lines (`neurocodec info`)
- `images`: the page about a network that sees images
- `retina`: the page about a retina model
- `tension`: the page about tense images
"""

__all__ = ["description", "images", "retina", "tension"]
