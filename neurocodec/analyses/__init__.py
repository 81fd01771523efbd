"""Whole analyses in one call, and what they find.

- `inversions`: pictures of tense images: what excites, what inhibits, an atlas
- `options`: what can be asked for, known without torch: methods, steps, parts, targets, moments
- `tension`: `nc.analyse_tension`: tense images of a layer's channels, ranked, mapped and compared
- `retina/`: `nc.analyse_retina`: section 7 and figure 8 of CODEC
- `concepts/`: `nc.analyse_concepts`: concept vectors of layers, and which make which
- `images/`: `nc.analyse_images`: figures 3, 5, 6 and 7 of CODEC
"""

__all__ = ["concepts", "images", "inversions", "options", "retina", "tension"]
