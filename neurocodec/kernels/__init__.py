"""Numbers: ndarray in, ndarray out, `axis=`; numpy and scipy only; one formula a file.

- `averaging`: averages over cells of another grid, which keep the integral
- `bisecting`: clusters of directions by splitting the largest in two
- `boxes`: the box of pixels that holds most of a field, along each axis alone
- `ceiling`: how well the mean of repeated responses can be predicted at all
- `class_correlation`: correlation of columns with masks of few members, and what of it chance
  makes
- `class_means`: means of rows by class, and of rows drawn again within each class
- `correlation`: Pearson correlation of columns, at once or from blocks
- `coverage`: how much of each pixel a shape covers, exactly: discs and polygons on a grid of unit
  squares
- `dimensionality`: how many dimensions a cloud of rows has, from the variances along its
  principal axes
- `explained`: what predicted rates explain of responses: of the variance that repeats share, of
  every spike
- `field_regression`: regression of fields on a few variables, from the inner products of the
  fields alone
- `field_shape`: shape of receptive fields: centre, size, orientation, surround, and the time
  course's phases
- `intervals`: bootstrap intervals of means, many columns at a time
- `lagged`: traces against thousands of units at several lags, by halves of the time
- `lagged_features`: windows of a movie around a cell as regressors, and regularised filters from
  them
- `linear_control`: what one linear filter of a stimulus says of traces
- `localisation`: how well a map of pixels keeps inside of an object
- `map_pictures`: pictures of maps over the pixels of an image: signed, as a mask, and as the
  masked image
- `matching`: which modes of two dictionaries are the same; replication, consensus
- `output_nonlinearity`: static output nonlinearities of model cells
- `proportions`: proportions of images that are classified rightly: intervals, resampling, areas
  under curves
- `pursuit`: sparse codes of many rows at once: orthogonal matching pursuit
- `resampling`: rows drawn again, and rows whose columns no longer go together
- `scores`: coefficients of determination, at once or from blocks
- `separable`: space-time separable components of receptive fields, from the lag-by-lag Gram
  matrix
- `signs`: how the excitatory and the inhibitory parts of contributions go together
- `sparsity`: how few entries make a vector
- `spherical`: clusters of directions: k-means on the unit sphere, by the cosine
- `splits`: which rows are held out
- `temporal_basis`: smooth functions of the lag, of which time courses of filters are made
- `triggered`: sums of windows of frames weighted by responses, block by block: what triggered
  averages are
- `tuning`: how responses depend on what was shown: on light and dark, on directions
"""

__all__ = [
    "averaging",
    "bisecting",
    "boxes",
    "ceiling",
    "class_correlation",
    "class_means",
    "correlation",
    "coverage",
    "dimensionality",
    "explained",
    "field_regression",
    "field_shape",
    "intervals",
    "lagged",
    "lagged_features",
    "linear_control",
    "localisation",
    "map_pictures",
    "matching",
    "output_nonlinearity",
    "proportions",
    "pursuit",
    "resampling",
    "scores",
    "separable",
    "signs",
    "sparsity",
    "spherical",
    "splits",
    "temporal_basis",
    "triggered",
    "tuning",
]
