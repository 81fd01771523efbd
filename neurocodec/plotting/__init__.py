"""Figures of labelled results; matplotlib is here and in reports only.

- `atlas`: attribution atlases
- `attribution`: contributions, and how completely they explain their target
- `categories`: how modes and channels go with classes (fig. 5)
- `cells`: figures of cells: which modes they go with, and their clusters
- `combinations`: figures of combinations of modes: the fields of cells while they are active
  (CODEC fig. 8D)
- `concept_curves`: curves of concept vectors that are put into a layer, and taken out (GIG fig. 4
  and 5)
- `concept_graphs`: which concept vectors make which
- `effective_fields`: effective fields in their context: what the nearest vectors of a concept
  vector saw
- `fields`: figures of receptive fields: a map in space and a time course, one field or a grid of
  them
- `fitting`: how well fitted models predict held-out responses
- `interneurons`: figures of recorded interneurons against the units and modes of a model
- `inversions`: what excites and what inhibits in tense images, as pictures (Tense Images fig. 5)
- `modes`: figures of contribution modes
- `moments`: the field of a cell at chosen moments, beside its rate and the active modes (CODEC
  fig. 8B)
- `mosaic`: where all cells look: the centres of their receptive fields, by type
- `overview`: the whole analysis in one figure, in the spirit of CODEC fig. 8B
- `perturbation`: figures of networks whose channels are ablated or preserved (CODEC fig. 6 and
  11)
- `pictures`: pictures made by ascent, beside the images
- `responses`: figures of firing rates
- `silence`: when cells are silent, and why: excitation and inhibition over time
- `stability`: stability of modes across fits, and grids of settings
- `statistics`: sparsity, signs, dimensionality by layer (fig. 3)
- `steering`: figures of networks that are steered: dose and response
- `stimulus`: figures of stimuli
- `style`: one look for all figures: colours, sizes, and the parts that every figure is made of
- `superposition`: figures of toy models of superposition (Tense Images fig. 7 and 15)
- `tension`: excitation and inhibition: tense images, their maps, how far both tell the target
- `timeline`: times of samples: which range they cover, parts of them, the liveliest part
- `maps/`: figures of maps in the pixels of images and movies
"""

from neurocodec.plotting.atlas import plot_atlas
from neurocodec.plotting.attribution import plot_completeness, plot_contributions
from neurocodec.plotting.categories import plot_concept_scores
from neurocodec.plotting.cells import plot_dendrogram, plot_mode_correlation, plot_silhouette
from neurocodec.plotting.combinations import plot_combinations
from neurocodec.plotting.concept_curves import plot_concept_curve
from neurocodec.plotting.concept_graphs import plot_concept_graph
from neurocodec.plotting.effective_fields import plot_effective_fields
from neurocodec.plotting.fields import plot_field, plot_fields
from neurocodec.plotting.fitting import plot_fit
from neurocodec.plotting.interneurons import (
    plot_interneuron_maps,
    plot_interneuron_matrix,
    plot_interneurons,
)
from neurocodec.plotting.inversions import plot_inversions
from neurocodec.plotting.maps.gallery import plot_gallery
from neurocodec.plotting.maps.images import plot_maps, plot_mode_images
from neurocodec.plotting.maps.localisation import plot_localisation, plot_pixel_curves
from neurocodec.plotting.maps.movies import plot_movie_maps
from neurocodec.plotting.modes import plot_modes
from neurocodec.plotting.moments import plot_moments
from neurocodec.plotting.mosaic import plot_mosaic
from neurocodec.plotting.overview import plot_overview
from neurocodec.plotting.perturbation import (
    plot_channel_scores,
    plot_class_perturbation,
    plot_perturbation,
    plot_perturbation_areas,
)
from neurocodec.plotting.pictures import plot_pictures
from neurocodec.plotting.responses import plot_responses
from neurocodec.plotting.silence import plot_silence
from neurocodec.plotting.stability import plot_stability, plot_sweep
from neurocodec.plotting.statistics import plot_layer_statistics
from neurocodec.plotting.steering import plot_steering
from neurocodec.plotting.stimulus import plot_stimulus
from neurocodec.plotting.superposition import plot_toys
from neurocodec.plotting.tension import (
    plot_attribution_correlation,
    plot_tension,
    plot_tension_maps,
    plot_uniqueness,
)
from neurocodec.plotting.timeline import excerpt

__all__ = [
    "excerpt",
    "plot_atlas",
    "plot_attribution_correlation",
    "plot_channel_scores",
    "plot_class_perturbation",
    "plot_combinations",
    "plot_completeness",
    "plot_concept_curve",
    "plot_concept_graph",
    "plot_concept_scores",
    "plot_contributions",
    "plot_dendrogram",
    "plot_effective_fields",
    "plot_field",
    "plot_fields",
    "plot_fit",
    "plot_gallery",
    "plot_interneuron_maps",
    "plot_interneuron_matrix",
    "plot_interneurons",
    "plot_inversions",
    "plot_layer_statistics",
    "plot_localisation",
    "plot_maps",
    "plot_mode_correlation",
    "plot_mode_images",
    "plot_modes",
    "plot_moments",
    "plot_mosaic",
    "plot_movie_maps",
    "plot_overview",
    "plot_perturbation",
    "plot_perturbation_areas",
    "plot_pictures",
    "plot_pixel_curves",
    "plot_responses",
    "plot_silence",
    "plot_silhouette",
    "plot_stability",
    "plot_steering",
    "plot_stimulus",
    "plot_sweep",
    "plot_tension",
    "plot_tension_maps",
    "plot_toys",
    "plot_uniqueness",
]
