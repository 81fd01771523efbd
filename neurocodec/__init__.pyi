"""The public names, once, room by room: the map of the house.

`__init__.py` reads this file, and loads a name when it is first used; type checkers and editors
read the same. Each line says which file a name lives in.
"""

# The words: names of dims and variables, makers and checks of labelled arrays, errors.
from neurocodec import adapters as adapters
from neurocodec import errors as errors
from neurocodec import labels as labels

# Figures and files.
from neurocodec import plot as plot
from neurocodec import plotting as plotting

# Sparsity, signs and dimensionality, layer by layer.
from neurocodec import statistics as statistics
from neurocodec import stimuli as stimuli
from neurocodec import vocabulary as vocabulary
from neurocodec.adapters.images.images import images as images
from neurocodec.adapters.recordings.read_recording import read_recording as read_recording
from neurocodec.adapters.recordings.recording import recording as recording
from neurocodec.analyses.concepts.analyse import analyse_concepts as analyse_concepts
from neurocodec.analyses.concepts.analyse import estimate_concepts as estimate_concepts
from neurocodec.analyses.images.analyse import analyse_images as analyse_images

# Whole analyses in one call.
from neurocodec.analyses.retina.analyse import analyse_retina as analyse_retina
from neurocodec.analyses.retina.compare import compare_models as compare_models
from neurocodec.analyses.retina.ensemble import analyse_ensemble as analyse_ensemble
from neurocodec.analyses.tension import analyse_tension as analyse_tension
from neurocodec.attribution.contributions import (
    contributions as contributions,
)
from neurocodec.attribution.contributions import (
    estimate as estimate,
)
from neurocodec.attribution.point_vectors import cluster_vectors as cluster_vectors
from neurocodec.attribution.point_vectors import point_vectors as point_vectors
from neurocodec.attribution.ranking import rank_stimuli as rank_stimuli
from neurocodec.attribution.tension import estimate_tension as estimate_tension
from neurocodec.attribution.tension import tension as tension

# Which images belong to which category, and which modes follow them.
from neurocodec.categories.masks import class_masks as class_masks
from neurocodec.categories.masks import concept_masks as concept_masks
from neurocodec.categories.scores import (
    concept_scores as concept_scores,
)
from neurocodec.categories.scores import (
    describe_modes as describe_modes,
)
from neurocodec.categories.top_samples import top_samples as top_samples

# Cells, recorded or modelled: what drives them, their clusters, when modes combine.
from neurocodec.cells.as_cells import as_cells as as_cells
from neurocodec.cells.cluster_stability import (
    cluster_stability as cluster_stability,
)
from neurocodec.cells.cluster_stability import (
    label_cells as label_cells,
)
from neurocodec.cells.clustering import cluster_agreement as cluster_agreement
from neurocodec.cells.clustering import cluster_cells as cluster_cells
from neurocodec.cells.combinations import (
    combination_times as combination_times,
)
from neurocodec.cells.combinations import (
    mode_combinations as mode_combinations,
)
from neurocodec.cells.correlate import correlate as correlate
from neurocodec.cells.tuning import tuning as tuning

# Which concept vectors make which, and whether that is true.
from neurocodec.concept_graphs.contributions import (
    concept_contributions as concept_contributions,
)
from neurocodec.concept_graphs.curve import concept_curve as concept_curve
from neurocodec.concept_graphs.examples import concept_examples as concept_examples
from neurocodec.concept_graphs.exports import export_graph as export_graph
from neurocodec.concept_graphs.graph import concept_graph as concept_graph
from neurocodec.concept_graphs.interventions import (
    concept_interventions as concept_interventions,
)

# What the network answers, and which hidden units made it answer so.
from neurocodec.engine.respond import respond as respond
from neurocodec.fields.describe import describe_fields as describe_fields
from neurocodec.fields.effective_fields import effective_fields as effective_fields

# Receptive fields.
from neurocodec.fields.receptive_fields import receptive_fields as receptive_fields
from neurocodec.fields.spike_triggered import spike_triggered_average as spike_triggered_average
from neurocodec.fields.variance import field_variance as field_variance
from neurocodec.fitting.fit_retina import fit_retina as fit_retina

# Recorded interneurons against hidden units; models fitted to recordings.
from neurocodec.interneurons.compare import compare_interneurons as compare_interneurons
from neurocodec.maps.compare_localisation import compare_localisation as compare_localisation

# Maps in the input, and whether they are the object.
from neurocodec.maps.contribution_maps import contribution_maps as contribution_maps
from neurocodec.maps.deletion_curve import deletion_curve as deletion_curve
from neurocodec.maps.localisation import localisation as localisation
from neurocodec.maps.masks import box_masks as box_masks
from neurocodec.maps.mosaics import mosaics as mosaics
from neurocodec.modes.baselines import BaselineModes as BaselineModes

# Which channels act together.
from neurocodec.modes.concept_vectors.stability import concept_stability as concept_stability
from neurocodec.modes.concept_vectors.vectors import ConceptVectors as ConceptVectors
from neurocodec.modes.decomposition import Decomposition as Decomposition
from neurocodec.modes.fit_modes import fit_modes as fit_modes
from neurocodec.modes.merge import merge_modes as merge_modes
from neurocodec.modes.sparse import SparseModes as SparseModes
from neurocodec.modes.stability import mode_stability as mode_stability
from neurocodec.modes.sweep import sweep as sweep

# Sources: networks, stimuli, recordings, and worlds with known answers.
from neurocodec.network import Network as Network
from neurocodec.nn.attribution import methods as methods
from neurocodec.nn.attribution import targets as targets
from neurocodec.nn.capture.layer import Layer as Layer

# The network without some of its channels, or with these alone.
from neurocodec.perturbation import rankings as rankings
from neurocodec.perturbation import steering as steering
from neurocodec.perturbation.ablation import ablate as ablate
from neurocodec.perturbation.ablation import preserve as preserve
from neurocodec.perturbation.better import compare_rankings as compare_rankings
from neurocodec.perturbation.curve import perturbation_curve as perturbation_curve
from neurocodec.perturbation.doses import steering_curve as steering_curve
from neurocodec.perturbation.steering import steer as steer
from neurocodec.reports.atlas import atlas_page as atlas_page
from neurocodec.reports.concepts import concept_page as concept_page
from neurocodec.reports.image_explorer.write_explorer import write_explorer as write_explorer
from neurocodec.simulation import simulate_retina as simulate_retina
from neurocodec.simulation import superposition as superposition
from neurocodec.storage import open as open  # noqa: A004
from neurocodec.storage import save as save

# Pictures of what excites and what inhibits.
from neurocodec.synthesis.atlas import attribution_atlas as attribution_atlas
from neurocodec.synthesis.invert import invert as invert
from neurocodec.synthesis.visualise import visualise as visualise
from neurocodec.zoo import (
    datasets_available as datasets_available,
)
from neurocodec.zoo import (
    load_dataset as load_dataset,
)
from neurocodec.zoo import (
    load_model as load_model,
)
from neurocodec.zoo import (
    models_available as models_available,
)
from neurocodec.zoo import (
    save_model as save_model,
)

__version__: str
