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
STEP: Final = "step"
ICON: Final = "icon"
CAUSE: Final = "cause"

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
IMAGE: Final = "image"
OPACITY: Final = "opacity"
OBJECTIVE: Final = "objective"
TARGET_BY_STEP: Final = "target_by_step"
TARGET_SCORE: Final = "target_score"
CONFIRMED: Final = "confirmed"
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


_WITHOUT_UNITS: Final = {
    "above_chance": "whether a mode is stable, no accident, and unlike those of shuffled rows",
    "above_chance_share": "part of the consensus modes that are above chance",
    "accuracy": "part of the images that are classified rightly",
    "accuracy_draw": "accuracy in one draw",
    "accuracy_interval": "interval of the accuracy",
    "area": "area between off-target and target curves",
    "area_difference": "area minus that of the first ranking",
    "area_difference_interval": "interval of the difference of areas",
    "area_interval": "interval of the area",
    "baseline_accuracy": "accuracy of the unperturbed network",
    "category_area": "area between the curves of one category",
    "channel_share": "part of the channels ablated or preserved",
    "mean_normalized_accuracy": "normalised accuracy, mean over categories",
    "mean_normalized_accuracy_interval": "interval of the mean normalised accuracy",
    "n_categories": "number of categories in a mean",
    "n_channels": "number of channels ablated or preserved",
    "normalized_accuracy": "accuracy over that of the unperturbed network",
    "off_target_category": "category of the off-target images",
    "shared_images": "part of the images that a ranking has seen",
    "active": "whether a mode is active",
    "active_share": "firing rate of the mode: part of the rows on which it is active",
    "adjusted_rand_index": "adjusted Rand index",
    "alive": "part of the modes that are active on some row",
    "alive_share": "part of the modes that are active on some row",
    "confirmed": "whether a picture does what it is for",
    "target_score": "target minus its mean over natural pictures, in standard deviations",
    "chance": "cosine of a mode with the closest mode of shuffled rows",
    "variance_ratio": "variance along a mode over that of independent channels",
    "chance_variance_ratio": "variance ratio that 97.5 % of the modes of shuffled rows stay below",
    "chance_replicated_share": "part of the modes of shuffled rows replicated across seeds",
    "chance_silent_count": "silent_count where inhibition is shifted in time",
    "chance_uniqueness": "uniqueness of random choices",
    "chance_uniqueness_interval": "interval of random choices",
    "cluster": "cluster of a cell",
    "co_clustering": "part of the resamples with both cells together",
    "correlation": "Pearson correlation",
    "correlation_ln": "Pearson correlation of the LN model",
    "count": "number of times",
    "direction": "direction of a feature in a layer",
    "distinct_share": "part of the alive modes that are not near-copies",
    "driven_share": "part of the times at which a cell is driven",
    "expected_loss": "loss expected over inputs as they are drawn",
    "explained": "cross-validated part of the variance explained",
    "explained_variance": "loss of pooled R2 without the mode",
    "found_in_shuffled_share": "part of the modes that a fit to shuffled rows has",
    "energy_share": "part of a field's energy in a component",
    "first_bias": "bias of a hidden unit",
    "first_weight": "weight of an input in a hidden unit",
    "held_out": "whether a sample was held out",
    "hoyer": "Hoyer sparsity of the channels of a mode",
    "input_loss": "mean loss of inputs with so many active features",
    "l0": "mean number of active modes of a row",
    "l0_share": "mean part of the modes that are active on a row",
    "intensity": "light intensity inside of a stimulus",
    "largest_error": "largest error of a feature over inputs",
    "loading": "loading of a contribution mode",
    "loss": "loss on held-out rows",
    "off_diagonal": "share of E+ + E- of features that an input has not",
    "second_bias": "bias of a feature",
    "silent": "whether a cell is silent, by cause",
    "silent_count": "number of times at which a cell is silent, by cause",
    "second_weight": "weight of a hidden unit in a feature",
    "loss_train": "loss on training rows",
    "matched_cosine": "cosine of a mode with that of all other fits",
    "n_clusters": "number of clusters",
    "nearest_cosine": "largest cosine with another alive mode",
    "pairwise_replicated": "part of the modes of a fit that another fit has",
    "r2": "R2 per feature on held-out rows, mean over features",
    "r2_feature": "R2 of a channel on held-out rows",
    "r2_feature_train": "R2 of a channel on training rows",
    "r2_pooled": "R2 of all entries against their mean, held-out rows",
    "r2_pooled_train": "R2 of all entries against their mean, training rows",
    "r2_train": "R2 per feature on training rows, mean over features",
    "ranked_position": "place of a ranked stimulus among all",
    "relative_completeness_error": "completeness error divided by the change of the target",
    "replicated": "part of the fits that have a mode",
    "replicated_share": "part of the modes replicated across seeds",
    "share": "part of all times",
    "shuffled": "part of the variance explained by shifted loadings",
    "cell_silhouette": "silhouette of a cell in its cluster",
    "pattern": "pattern of a cell that was clustered",
    "silhouette": "mean silhouette of a clustering",
    "spike_count": "number of spikes in a bin",
    "stability": "median over fits of the matched cosine of a mode",
    "steps": "steps along the path from baseline to sample",
    "top_channel": "channels with the largest weights in a mode",
    "top_sign": "signs of the channels with the largest weights in a mode",
    "temporal": "temporal component of a receptive field, of norm 1",
    "polarity": "ON or OFF",
    "orientation_index": "orientation index: 0 round, 1 a grating",
    "surround_strength": "part of the centre that the rest cancels",
    "biphasic_index": "smaller over larger phase of a time course",
    "pearson": "Pearson correlation with the target",
    "pearson_interval": "interval of the Pearson correlation",
    "spearman": "Spearman correlation with the target",
    "spearman_interval": "interval of the Spearman correlation",
    "uniqueness": "different stimuli over all that features chose",
    "uniqueness_interval": "interval of the uniqueness",
    "on_off_index": "(ON - OFF) / (ON + OFF)",
    "transience": "1 - mean / peak of the response to a flash",
    "direction_selectivity": "vector sum over directions, 1 for one",
    "direction_p_value": "p-value of the direction selectivity",
    "orientation_selectivity": "vector sum over orientations, 1 for one",
    "orientation_p_value": "p-value of the orientation selectivity",
    "best_channel": "channel of the best unit",
    "best_layer": "layer of the best unit",
    "best_mode": "mode whose loading goes best with it",
    "best_x": "column of the best unit in its map",
    "best_y": "row of the best unit in its map",
    "ceiling": "highest correlation that the repeats allow",
    "ceiling_interval": "interval of the ceiling, over repeats",
    "signal_explained": "part of the variance that repeats share explained",
    "signal_explained_interval": "interval of the part explained",
    "signal_explained_ln": "part explained by the LN model",
    "signal_explained_ln_interval": "interval of the part explained by the LN model",
    "chance_correlation": "correlation reached by chance",
    "correlation_map": "correlation with every unit, all time",
    "correlation_selected": "correlation where the unit was chosen",
    "fold_correlation": "correlation on each held-out half",
    "mode_correlation": "correlation with every loading, all time",
    "normalized_correlation": "correlation divided by its ceiling",
    "normalized_correlation_ln": "correlation of the LN model over the ceiling",
    "null_correlation": "correlation of shifted recordings",
    "p_value": "p-value",
    "control_correlation": "correlation that a null reaches, its mean",
    "control_interval": "interval of the correlation of a null",
    "exceeds": "whether the correlation is above the interval of a null",
    "exceeds_all": "whether it is above the interval of every null",
    "n_cells": "number of cells",
    "n_interneurons": "number of interneurons",
    "n_returning": "modes that another model has too, beyond chance",
    "n_exceed_all": "number of interneurons that exceed every null",
    "inhibitory_share": "part of the contributions that is inhibitory",
    "interneuron_correlation": "median correlation of interneurons",
    "model_agreement": "agreement with clusters of other models",
    "n_above_chance": "number of modes above chance",
    "n_modes": "number of modes in use",
    "type_agreement": "agreement of clusters with the known types",
    "permuted_correlation": "correlation of permuted networks",
    "best_concept": "concepts with the largest correlation",
    "best_correlation": "correlation with the best concepts",
    "bootstrap_bias": "mean of the resampled values minus the value",
    "chance_maximum": "largest correlation of any unit by chance",
    "components": "principal components for a share of the variance",
    "components_interval": "interval of the number of components",
    "cumulative_variance": "part of the variance in the first components",
    "difference": "difference, contribution minus activation",
    "difference_interval": "interval of the difference",
    "hoyer_interval": "interval of the mean Hoyer sparsity",
    "images_per_class": "images of a class",
    "max_correlation": "largest correlation with a concept",
    "median": "median over units of the largest correlation",
    "median_interval": "interval of the median",
    "member": "whether a sample is a member",
    "n": "number of samples",
    "n_above": "units whose largest correlation is above the threshold",
    "n_classes": "number of classes",
    "n_units": "units that vary",
    "participation_ratio": "participation ratio of the variances",
    "participation_ratio_interval": "interval of the participation ratio",
    "sign_correlation": "correlation of excitatory with inhibitory sizes",
    "sign_correlation_interval": "interval of the sign correlation",
    "energy_inside": "part of a map's energy inside of a mask",
    "localisation": "energy inside of a mask over its area, 1 by chance",
    "pointing": "whether the largest pixel is inside of a mask",
    "mask": "whether a pixel is inside of an object",
    "mask_area": "part of the pixels inside of a mask",
    "mean_energy_inside": "mean part of a map's energy inside of a mask",
    "mean_energy_inside_interval": "interval of the mean energy inside",
    "mean_localisation": "mean energy inside of a mask over its area",
    "mean_localisation_interval": "interval of the mean localisation",
    "mean_pointing": "part of the maps whose largest pixel is inside",
    "mean_pointing_interval": "interval of the mean of pointing",
    "localisation_difference": "difference of localisation, map - against",
    "localisation_difference_interval": "interval of the difference of localisation",
    "mode_difference": "localisation of a mode minus that of a control",
    "mode_difference_interval": "interval of the difference of a mode",
    "mode_localisation": "localisation of the maps of a mode",
    "n_images": "number of images",
    "atlas_x": "place of an image in an atlas, from left to right",
    "atlas_y": "place of an image in an atlas, from bottom to top",
    "icon_of_image": "icon of the place of an image, -1 for none",
    "row": "row of a place in the grid of an atlas",
    "column": "column of a place in the grid of an atlas",
    "picture": "image as people see it, from 0 (black) to 1",
}
"""Name -> long name."""

VARIABLES: Final = {
    **{name: Term(name, text, DIMENSIONLESS) for name, text in _WITHOUT_UNITS.items()},
    **{
        t.name: t
        for t in (
            Term("channel_score", "score by which channels are perturbed, the largest first"),
            Term("activation", "activation of a hidden channel", ARBITRARY),
            Term("completeness_error", "sum of contributions minus change of the target"),
            Term("bypass", "change of the target that goes around the layer"),
            Term("contribution", "contribution of a hidden channel to the target"),
            Term("contribution_map", "part of a contribution that comes from a pixel"),
            Term("map_completeness_error", "sum of a map over its pixels minus the contribution"),
            Term("converged", "whether the completeness error met the tolerance"),
            Term("dictionary", "channels of a contribution mode"),
            Term("distance", "mean distance of summed contributions from the target"),
            Term("distance_interval", "interval of the mean distance"),
            Term("excitation", "sum of the contributions of a layer that raise the target"),
            Term("excitation_map", "excitation by a position, summed over channels"),
            Term("firing_rate", "firing rate", HERTZ),
            Term("fluorescence", "fluorescence of an indicator, relative to its baseline"),
            Term("gradient", "gradient of the target with respect to a hidden channel"),
            Term("image", "image made by ascent"),
            Term("opacity", "size of the gradient at a position, summed over steps"),
            Term("mean_target", "mean target of the images of a place"),
            Term("objective", "what an ascent climbs, through its transforms"),
            Term("target_by_step", "target on the way, through the transforms"),
            Term("inhibition", "size of the contributions of a layer that lower the target"),
            Term("inhibition_map", "inhibition by a position, summed over channels"),
            Term("irf", "instantaneous receptive field"),
            Term("mean_rate", "mean firing rate", HERTZ),
            Term("membrane_potential", "membrane potential"),
            Term("norm", "norm of the contributions of a layer"),
            Term("offset", "what is added to loadings times dictionary"),
            Term("rank_score", "number that stimuli are ranked by, the largest first"),
            Term("recorded_firing_rate", "recorded firing rate", HERTZ),
            Term("response", "output of the network"),
            Term("spatial", "spatial component of a receptive field"),
            Term("sta", "spike-triggered average"),
            Term("stimulus", "light intensity"),
            Term("top_weight", "weights of the top channels"),
            Term("y_center", "centre of a receptive field, y", PIXEL),
            Term("x_center", "centre of a receptive field, x", PIXEL),
            Term("radius", "radius of a receptive field's centre, one standard deviation", PIXEL),
            Term("orientation", "preferred orientation: 0 along x, 90 along y", "degree"),
            Term("on_response", "peak response to light"),
            Term("off_response", "peak response to dark"),
            Term("diameter_response", "peak response to a disc"),
            Term("preferred_diameter", "diameter of the disc with the largest response", PIXEL),
            Term("direction_response", "peak response to a moving bar"),
            Term("preferred_direction", "counterclockwise from rightwards", "degree"),
            Term("preferred_orientation", "axis of motion, from rightwards", "degree"),
            Term("speed_response", "peak response to bars of a speed"),
            Term("preferred_speed", "speed of the bars with the largest response", "pixel s-1"),
            Term("peak_lag", "lag at which a time course is largest"),
            Term("target", "scalar that the network's output is reduced to"),
            Term("best_lag", "time of the recording after the best unit", SECONDS),
            Term("best_pooling", "width over which the best unit's channel is pooled", "position"),
            Term("bits_per_spike", "Poisson log likelihood beyond the mean rate, a spike", BITS),
            Term("bits_per_spike_interval", "interval of the bits per spike", BITS),
            Term("bits_per_spike_ln", "bits per spike of the LN model", BITS),
            Term("bits_per_spike_ln_interval", "interval of the bits of the LN model", BITS),
            Term("stimulus_shift_x", "shift of the stimulus to the right", "pixel"),
            Term("stimulus_shift_y", "shift of the stimulus downwards", "pixel"),
            Term("unit_x_center", "centre of the best unit's receptive field, x", "pixel"),
            Term("unit_y_center", "centre of the best unit's receptive field, y", "pixel"),
            Term("curve_area", "area under a curve over the part of the pixels"),
            Term("random_target", "target with pixels replaced in random order"),
            Term("random_curve_area", "area under the curve of a random order"),
            Term("mode_contribution", "contribution of the channels of a mode"),
        )
    },
}
