"""The names of dimensions and variables, with their units: one concept, one name, one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

TIME: Final = "time"
SEGMENT: Final = "segment"
"""Coordinate of a movie that was put together from pieces: no window reaches over two."""
STIMULUS: Final = "stimulus"
LAG: Final = "lag"
Y: Final = "y"
X: Final = "x"
COLOR: Final = "color"
TOKEN: Final = "token"  # noqa: S105
FEATURE: Final = "feature"
CELL: Final = "cell"
CATEGORY: Final = "category"
CHANNEL: Final = "channel"
LAYER: Final = "layer"
MODE: Final = "mode"
SIGN: Final = "sign"
REPEAT: Final = "repeat"
INTERNEURON: Final = "interneuron"
COMPONENT: Final = "component"
COMBINATION: Final = "combination"
FIT: Final = "fit"
SEED: Final = "seed"
RANKING: Final = "ranking"
FRACTION: Final = "fraction"
GROUP: Final = "group"
DRAW: Final = "draw"
KIND: Final = "kind"
BOUND: Final = "bound"
POINTS: Final = "points"
CONCEPT: Final = "concept"
RANK: Final = "rank"
LABEL: Final = "label"
SOURCE: Final = "source"
WORDNET_ID: Final = "wordnet_id"
MAP: Final = "map"
ORDER: Final = "order"
RANKED_POSITION: Final = "ranked_position"
RANK_SCORE: Final = "rank_score"
VECTOR: Final = "vector"
DIRECTION: Final = "direction"
HIDDEN: Final = "hidden"
UNIT: Final = "unit"
INPUT: Final = "input"
ACTIVE: Final = "active"
SHOWN: Final = "shown"

ACTIVATION: Final = "activation"
COMPLETENESS_ERROR: Final = "completeness_error"
BYPASS: Final = "bypass"
CONTRIBUTION: Final = "contribution"
CONTRIBUTION_MAP: Final = "contribution_map"
MAP_ERROR: Final = "map_completeness_error"
TARGET: Final = "target"
EXCITATION: Final = "excitation"
INHIBITION: Final = "inhibition"
NORM: Final = "norm"
EXCITATION_MAP: Final = "excitation_map"
INHIBITION_MAP: Final = "inhibition_map"
IRF: Final = "irf"
TEMPORAL: Final = "temporal"
SPATIAL: Final = "spatial"
ENERGY_SHARE: Final = "energy_share"

EXCITATORY: Final = "excitatory"
INHIBITORY: Final = "inhibitory"
SIGNS: Final = (EXCITATORY, INHIBITORY)
Sign: TypeAlias = Literal["both", "excitatory", "inhibitory", "net"]
"""What is taken of contributions: one part, both parts apart, or their sum."""

BOUNDS: Final = ("low", "high")
"""Ends of an interval, along `bound`."""

VOLTAGES: Final = ("membrane_potential", "fluorescence")
"""What is recorded of an interneuron."""

SAMPLE_DIMS: Final = (TIME, STIMULUS)
"""A result has one of these: `time` for a movie, `stimulus` for still images."""

SECONDS: Final = "s"
HERTZ: Final = "Hz"
DIMENSIONLESS: Final = "1"
MILLIVOLTS: Final = "mV"
PIXEL: Final = "pixel"
BITS: Final = "bit"
ARBITRARY: Final = "arbitrary"
"""Of what a network has learned to scale as it likes."""

PLACES: Final = (Y, X, "y_center", "x_center")
"""Coordinates that are places in a movie or an image."""


@dataclass(frozen=True)
class Term:
    """A variable of the vocabulary.

    Parameters
    ----------
    name
        The variable's name in a Dataset.
    long_name
        What it is, in words.
    units
        UDUNITS string; None where the units are those of the network's target or layer.
    """

    name: str
    long_name: str
    units: str | None = None


VARIABLES: Final = {
    t.name: t
    for t in (
        Term(
            "above_chance",
            "whether a mode is stable, no accident, and unlike those of shuffled rows",
            DIMENSIONLESS,
        ),
        Term(
            "above_chance_share", "part of the consensus modes that are above chance", DIMENSIONLESS
        ),
        Term("accuracy", "part of the images that are classified rightly", DIMENSIONLESS),
        Term("accuracy_draw", "accuracy in one draw", DIMENSIONLESS),
        Term("accuracy_interval", "interval of the accuracy", DIMENSIONLESS),
        Term("area", "area between off-target and target curves", DIMENSIONLESS),
        Term("area_difference", "area minus that of the first ranking", DIMENSIONLESS),
        Term("area_difference_interval", "interval of the difference of areas", DIMENSIONLESS),
        Term("area_interval", "interval of the area", DIMENSIONLESS),
        Term("baseline_accuracy", "accuracy of the unperturbed network", DIMENSIONLESS),
        Term("category_area", "area between the curves of one category", DIMENSIONLESS),
        Term("channel_share", "part of the channels ablated or preserved", DIMENSIONLESS),
        Term("channel_score", "score by which channels are perturbed, the largest first"),
        Term(
            "mean_normalized_accuracy", "normalised accuracy, mean over categories", DIMENSIONLESS
        ),
        Term(
            "mean_normalized_accuracy_interval",
            "interval of the mean normalised accuracy",
            DIMENSIONLESS,
        ),
        Term("n_categories", "number of categories in a mean", DIMENSIONLESS),
        Term("n_channels", "number of channels ablated or preserved", DIMENSIONLESS),
        Term("normalized_accuracy", "accuracy over that of the unperturbed network", DIMENSIONLESS),
        Term("off_target_category", "category of the off-target images", DIMENSIONLESS),
        Term("shared_images", "part of the images that a ranking has seen", DIMENSIONLESS),
        Term("activation", "activation of a hidden channel", ARBITRARY),
        Term("active", "whether a mode is active", DIMENSIONLESS),
        Term(
            "active_share",
            "firing rate of the mode: part of the rows on which it is active",
            DIMENSIONLESS,
        ),
        Term("adjusted_rand_index", "adjusted Rand index", DIMENSIONLESS),
        Term("alive", "part of the modes that are active on some row", DIMENSIONLESS),
        Term("alive_share", "part of the modes that are active on some row", DIMENSIONLESS),
        Term("chance", "cosine of a mode with the closest mode of shuffled rows", DIMENSIONLESS),
        Term(
            "variance_ratio",
            "variance along a mode over that of independent channels",
            DIMENSIONLESS,
        ),
        Term(
            "chance_variance_ratio",
            "variance ratio that 97.5 % of the modes of shuffled rows stay below",
            DIMENSIONLESS,
        ),
        Term(
            "chance_replicated_share",
            "part of the modes of shuffled rows replicated across seeds",
            DIMENSIONLESS,
        ),
        Term("chance_uniqueness", "uniqueness of random choices", DIMENSIONLESS),
        Term("chance_uniqueness_interval", "interval of random choices", DIMENSIONLESS),
        Term("cluster", "cluster of a cell", DIMENSIONLESS),
        Term("co_clustering", "part of the resamples with both cells together", DIMENSIONLESS),
        Term("completeness_error", "sum of contributions minus change of the target"),
        Term("bypass", "change of the target that goes around the layer"),
        Term("contribution", "contribution of a hidden channel to the target"),
        Term("contribution_map", "part of a contribution that comes from a pixel"),
        Term("map_completeness_error", "sum of a map over its pixels minus the contribution"),
        Term("converged", "whether the completeness error met the tolerance"),
        Term("correlation", "Pearson correlation", DIMENSIONLESS),
        Term("correlation_ln", "Pearson correlation of the LN model", DIMENSIONLESS),
        Term("count", "number of times", DIMENSIONLESS),
        Term("dictionary", "channels of a contribution mode"),
        Term("direction", "direction of a feature in a layer", DIMENSIONLESS),
        Term("distance", "mean distance of summed contributions from the target"),
        Term("distance_interval", "interval of the mean distance"),
        Term("distinct_share", "part of the alive modes that are not near-copies", DIMENSIONLESS),
        Term("driven_share", "part of the times at which a cell is driven", DIMENSIONLESS),
        Term("excitation", "sum of the contributions of a layer that raise the target"),
        Term("excitation_map", "excitation by a position, summed over channels"),
        Term("expected_loss", "loss expected over inputs as they are drawn", DIMENSIONLESS),
        Term("explained", "cross-validated part of the variance explained", DIMENSIONLESS),
        Term("explained_variance", "loss of pooled R2 without the mode", DIMENSIONLESS),
        Term("firing_rate", "firing rate", HERTZ),
        Term(
            "found_in_shuffled_share",
            "part of the modes that a fit to shuffled rows has",
            DIMENSIONLESS,
        ),
        Term("energy_share", "part of a field's energy in a component", DIMENSIONLESS),
        Term("fluorescence", "fluorescence of an indicator, relative to its baseline"),
        Term("first_bias", "bias of a hidden unit", DIMENSIONLESS),
        Term("first_weight", "weight of an input in a hidden unit", DIMENSIONLESS),
        Term("gradient", "gradient of the target with respect to a hidden channel"),
        Term("held_out", "whether a sample was held out", DIMENSIONLESS),
        Term("hoyer", "Hoyer sparsity of the channels of a mode", DIMENSIONLESS),
        Term("inhibition", "size of the contributions of a layer that lower the target"),
        Term("inhibition_map", "inhibition by a position, summed over channels"),
        Term("input_loss", "mean loss of inputs with so many active features", DIMENSIONLESS),
        Term("irf", "instantaneous receptive field"),
        Term("l0", "mean number of active modes of a row", DIMENSIONLESS),
        Term("l0_share", "mean part of the modes that are active on a row", DIMENSIONLESS),
        Term("intensity", "light intensity inside of a stimulus", DIMENSIONLESS),
        Term("largest_error", "largest error of a feature over inputs", DIMENSIONLESS),
        Term("loading", "loading of a contribution mode", DIMENSIONLESS),
        Term("loss", "loss on held-out rows", DIMENSIONLESS),
        Term("off_diagonal", "share of E+ + E- of features that an input has not", DIMENSIONLESS),
        Term("second_bias", "bias of a feature", DIMENSIONLESS),
        Term("second_weight", "weight of a hidden unit in a feature", DIMENSIONLESS),
        Term("loss_train", "loss on training rows", DIMENSIONLESS),
        Term("matched_cosine", "cosine of a mode with that of all other fits", DIMENSIONLESS),
        Term("mean_rate", "mean firing rate", HERTZ),
        Term("membrane_potential", "membrane potential"),
        Term("n_clusters", "number of clusters", DIMENSIONLESS),
        Term("nearest_cosine", "largest cosine with another alive mode", DIMENSIONLESS),
        Term("norm", "norm of the contributions of a layer"),
        Term("offset", "what is added to loadings times dictionary"),
        Term(
            "pairwise_replicated", "part of the modes of a fit that another fit has", DIMENSIONLESS
        ),
        Term("r2", "R2 per feature on held-out rows, mean over features", DIMENSIONLESS),
        Term("r2_feature", "R2 of a channel on held-out rows", DIMENSIONLESS),
        Term("r2_feature_train", "R2 of a channel on training rows", DIMENSIONLESS),
        Term("r2_pooled", "R2 of all entries against their mean, held-out rows", DIMENSIONLESS),
        Term(
            "r2_pooled_train", "R2 of all entries against their mean, training rows", DIMENSIONLESS
        ),
        Term("r2_train", "R2 per feature on training rows, mean over features", DIMENSIONLESS),
        Term("rank_score", "number that stimuli are ranked by, the largest first"),
        Term("ranked_position", "place of a ranked stimulus among all", DIMENSIONLESS),
        Term("recorded_firing_rate", "recorded firing rate", HERTZ),
        Term(
            "relative_completeness_error",
            "completeness error divided by the change of the target",
            DIMENSIONLESS,
        ),
        Term("replicated", "part of the fits that have a mode", DIMENSIONLESS),
        Term("replicated_share", "part of the modes replicated across seeds", DIMENSIONLESS),
        Term("response", "output of the network"),
        Term("share", "part of all times", DIMENSIONLESS),
        Term("shuffled", "part of the variance explained by shifted loadings", DIMENSIONLESS),
        Term("cell_silhouette", "silhouette of a cell in its cluster", DIMENSIONLESS),
        Term("pattern", "pattern of a cell that was clustered", DIMENSIONLESS),
        Term("silhouette", "mean silhouette of a clustering", DIMENSIONLESS),
        Term("spatial", "spatial component of a receptive field"),
        Term("spike_count", "number of spikes in a bin", DIMENSIONLESS),
        Term("sta", "spike-triggered average"),
        Term("stability", "median over fits of the matched cosine of a mode", DIMENSIONLESS),
        Term("steps", "steps along the path from baseline to sample", DIMENSIONLESS),
        Term("stimulus", "light intensity"),
        Term("top_channel", "channels with the largest weights in a mode", DIMENSIONLESS),
        Term("top_sign", "signs of the channels with the largest weights in a mode", DIMENSIONLESS),
        Term("top_weight", "weights of the top channels"),
        Term("temporal", "temporal component of a receptive field, of norm 1", DIMENSIONLESS),
        Term("y_center", "centre of a receptive field, y", PIXEL),
        Term("x_center", "centre of a receptive field, x", PIXEL),
        Term("radius", "radius of a receptive field's centre, one standard deviation", PIXEL),
        Term("polarity", "ON or OFF", DIMENSIONLESS),
        Term("orientation", "preferred orientation: 0 along x, 90 along y", "degree"),
        Term("orientation_index", "orientation index: 0 round, 1 a grating", DIMENSIONLESS),
        Term("surround_strength", "part of the centre that the rest cancels", DIMENSIONLESS),
        Term("biphasic_index", "smaller over larger phase of a time course", DIMENSIONLESS),
        Term("pearson", "Pearson correlation with the target", DIMENSIONLESS),
        Term("pearson_interval", "interval of the Pearson correlation", DIMENSIONLESS),
        Term("spearman", "Spearman correlation with the target", DIMENSIONLESS),
        Term("spearman_interval", "interval of the Spearman correlation", DIMENSIONLESS),
        Term("uniqueness", "different stimuli over all that features chose", DIMENSIONLESS),
        Term("uniqueness_interval", "interval of the uniqueness", DIMENSIONLESS),
        Term("on_response", "peak response to light"),
        Term("off_response", "peak response to dark"),
        Term("on_off_index", "(ON - OFF) / (ON + OFF)", DIMENSIONLESS),
        Term("transience", "1 - mean / peak of the response to a flash", DIMENSIONLESS),
        Term("diameter_response", "peak response to a disc"),
        Term("preferred_diameter", "diameter of the disc with the largest response", PIXEL),
        Term("direction_response", "peak response to a moving bar"),
        Term("direction_selectivity", "vector sum over directions, 1 for one", DIMENSIONLESS),
        Term("preferred_direction", "counterclockwise from rightwards", "degree"),
        Term("direction_p_value", "p-value of the direction selectivity", DIMENSIONLESS),
        Term("orientation_selectivity", "vector sum over orientations, 1 for one", DIMENSIONLESS),
        Term("preferred_orientation", "axis of motion, from rightwards", "degree"),
        Term("orientation_p_value", "p-value of the orientation selectivity", DIMENSIONLESS),
        Term("speed_response", "peak response to bars of a speed"),
        Term("preferred_speed", "speed of the bars with the largest response", "pixel s-1"),
        Term("peak_lag", "lag at which a time course is largest"),
        Term("target", "scalar that the network's output is reduced to"),
        Term("best_channel", "channel of the best unit", DIMENSIONLESS),
        Term("best_lag", "time of the recording after the best unit", SECONDS),
        Term("best_layer", "layer of the best unit", DIMENSIONLESS),
        Term("best_mode", "mode whose loading goes best with it", DIMENSIONLESS),
        Term("best_pooling", "width over which the best unit's channel is pooled", "position"),
        Term("best_x", "column of the best unit in its map", DIMENSIONLESS),
        Term("best_y", "row of the best unit in its map", DIMENSIONLESS),
        Term("ceiling", "highest correlation that the repeats allow", DIMENSIONLESS),
        Term("ceiling_interval", "interval of the ceiling, over repeats", DIMENSIONLESS),
        Term(
            "signal_explained", "part of the variance that repeats share explained", DIMENSIONLESS
        ),
        Term("signal_explained_interval", "interval of the part explained", DIMENSIONLESS),
        Term("signal_explained_ln", "part explained by the LN model", DIMENSIONLESS),
        Term(
            "signal_explained_ln_interval",
            "interval of the part explained by the LN model",
            DIMENSIONLESS,
        ),
        Term("bits_per_spike", "Poisson log likelihood beyond the mean rate, a spike", BITS),
        Term("bits_per_spike_interval", "interval of the bits per spike", BITS),
        Term("bits_per_spike_ln", "bits per spike of the LN model", BITS),
        Term("bits_per_spike_ln_interval", "interval of the bits of the LN model", BITS),
        Term("chance_correlation", "correlation reached by chance", DIMENSIONLESS),
        Term("correlation_map", "correlation with every unit, all time", DIMENSIONLESS),
        Term("correlation_selected", "correlation where the unit was chosen", DIMENSIONLESS),
        Term("fold_correlation", "correlation on each held-out half", DIMENSIONLESS),
        Term("mode_correlation", "correlation with every loading, all time", DIMENSIONLESS),
        Term("normalized_correlation", "correlation divided by its ceiling", DIMENSIONLESS),
        Term(
            "normalized_correlation_ln",
            "correlation of the LN model over the ceiling",
            DIMENSIONLESS,
        ),
        Term("null_correlation", "correlation of shifted recordings", DIMENSIONLESS),
        Term("p_value", "p-value", DIMENSIONLESS),
        Term("control_correlation", "correlation that a null reaches, its mean", DIMENSIONLESS),
        Term("control_interval", "interval of the correlation of a null", DIMENSIONLESS),
        Term("exceeds", "whether the correlation is above the interval of a null", DIMENSIONLESS),
        Term("exceeds_all", "whether it is above the interval of every null", DIMENSIONLESS),
        Term("n_cells", "number of cells", DIMENSIONLESS),
        Term("n_interneurons", "number of interneurons", DIMENSIONLESS),
        Term("n_modes", "modes that are in use", DIMENSIONLESS),
        Term("n_returning", "modes that another model has too, beyond chance", DIMENSIONLESS),
        Term("n_exceed_all", "number of interneurons that exceed every null", DIMENSIONLESS),
        Term("inhibitory_share", "part of the contributions that is inhibitory", DIMENSIONLESS),
        Term("interneuron_correlation", "median correlation of interneurons", DIMENSIONLESS),
        Term("model_agreement", "agreement with clusters of other models", DIMENSIONLESS),
        Term("n_above_chance", "number of modes above chance", DIMENSIONLESS),
        Term("n_modes", "number of modes in use", DIMENSIONLESS),
        Term("type_agreement", "agreement of clusters with the known types", DIMENSIONLESS),
        Term("permuted_correlation", "correlation of permuted networks", DIMENSIONLESS),
        Term("best_concept", "concepts with the largest correlation", DIMENSIONLESS),
        Term("best_correlation", "correlation with the best concepts", DIMENSIONLESS),
        Term("bootstrap_bias", "mean of the resampled values minus the value", DIMENSIONLESS),
        Term("chance_maximum", "largest correlation of any unit by chance", DIMENSIONLESS),
        Term("components", "principal components for a share of the variance", DIMENSIONLESS),
        Term("components_interval", "interval of the number of components", DIMENSIONLESS),
        Term("cumulative_variance", "part of the variance in the first components", DIMENSIONLESS),
        Term("difference", "difference, contribution minus activation", DIMENSIONLESS),
        Term("difference_interval", "interval of the difference", DIMENSIONLESS),
        Term("hoyer_interval", "interval of the mean Hoyer sparsity", DIMENSIONLESS),
        Term("images_per_class", "images of a class", DIMENSIONLESS),
        Term("max_correlation", "largest correlation with a concept", DIMENSIONLESS),
        Term("median", "median over units of the largest correlation", DIMENSIONLESS),
        Term("median_interval", "interval of the median", DIMENSIONLESS),
        Term("member", "whether a sample is a member", DIMENSIONLESS),
        Term("n", "number of samples", DIMENSIONLESS),
        Term("n_above", "units whose largest correlation is above the threshold", DIMENSIONLESS),
        Term("n_classes", "number of classes", DIMENSIONLESS),
        Term("n_units", "units that vary", DIMENSIONLESS),
        Term("participation_ratio", "participation ratio of the variances", DIMENSIONLESS),
        Term("participation_ratio_interval", "interval of the participation ratio", DIMENSIONLESS),
        Term("sign_correlation", "correlation of excitatory with inhibitory sizes", DIMENSIONLESS),
        Term("sign_correlation_interval", "interval of the sign correlation", DIMENSIONLESS),
        Term("stimulus_shift_x", "shift of the stimulus to the right", "pixel"),
        Term("stimulus_shift_y", "shift of the stimulus downwards", "pixel"),
        Term("unit_x_center", "centre of the best unit's receptive field, x", "pixel"),
        Term("unit_y_center", "centre of the best unit's receptive field, y", "pixel"),
        Term("energy_inside", "part of a map's energy inside of a mask", DIMENSIONLESS),
        Term("localisation", "energy inside of a mask over its area, 1 by chance", DIMENSIONLESS),
        Term("pointing", "whether the largest pixel is inside of a mask", DIMENSIONLESS),
        Term("mask", "whether a pixel is inside of an object", DIMENSIONLESS),
        Term("mask_area", "part of the pixels inside of a mask", DIMENSIONLESS),
        Term("curve_area", "area under a curve over the part of the pixels"),
        Term("random_target", "target with pixels replaced in random order"),
        Term("random_curve_area", "area under the curve of a random order"),
        Term("mean_energy_inside", "mean part of a map's energy inside of a mask", DIMENSIONLESS),
        Term("mean_energy_inside_interval", "interval of the mean energy inside", DIMENSIONLESS),
        Term("mean_localisation", "mean energy inside of a mask over its area", DIMENSIONLESS),
        Term("mean_localisation_interval", "interval of the mean localisation", DIMENSIONLESS),
        Term("mean_pointing", "part of the maps whose largest pixel is inside", DIMENSIONLESS),
        Term("mean_pointing_interval", "interval of the mean of pointing", DIMENSIONLESS),
        Term("localisation_difference", "difference of localisation, map - against", DIMENSIONLESS),
        Term(
            "localisation_difference_interval",
            "interval of the difference of localisation",
            DIMENSIONLESS,
        ),
        Term("mode_contribution", "contribution of the channels of a mode"),
        Term("mode_difference", "localisation of a mode minus that of a control", DIMENSIONLESS),
        Term("mode_difference_interval", "interval of the difference of a mode", DIMENSIONLESS),
        Term("mode_localisation", "localisation of the maps of a mode", DIMENSIONLESS),
        Term("n_images", "images that a mode contributes to", DIMENSIONLESS),
        Term("picture", "image as people see it, from 0 (black) to 1", DIMENSIONLESS),
    )
}
