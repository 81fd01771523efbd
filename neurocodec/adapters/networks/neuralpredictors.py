"""Models of neuralpredictors (github.com/sinzlab/neuralpredictors) as networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch import nn

from neurocodec.adapters.networks.core_readout import network_of
from neurocodec.errors import InputError
from neurocodec.network import Network
from neurocodec.nn.capture.layer import Layer


def neuralpredictors(
    model: nn.Module,
    session: str | None = None,
    *,
    input_shape: Sequence[int],
    layers: Mapping[str, str | Layer] | Iterable[str] | None = None,
    history: int | None = None,
    outputs: Iterable[str] | None = None,
    frame_rate: float | None = None,
    name: str | None = None,
) -> Network:
    """Take one session of a model with a `core` and a `readout` of neuralpredictors.

    Parameters
    ----------
    model
        A module with `core`, which takes video (sample, color, time, y, x), and `readout`, alone
        or a dictionary by session.
    session
        Whose readout (its `data_key`); None where there is one.
    input_shape
        (color, y, x) of a frame.
    layers
        As for `nc.Network`, in the names ``"core. ..."``; by default `layer1`, `layer2`, ... are
        what the core's convolutions make.
    history
        Frames in a window; None takes those that an answer depends on.
    outputs
        Names of the cells; numbers where None.
    frame_rate
        Frames per second of the movies that the model was made for.
    name
        For provenance; by default the class of the model and the session.

    Returns
    -------
    Network
        In evaluation mode, with `y_center` and `x_center` of its cells where the readout says
        where they look.

    Raises
    ------
    InputError
        Where the model has no core, no readout, or no such session.

    Examples
    --------
    >>> class Readout(nn.Module):
    ...     def forward(self, maps):
    ...         return maps.flatten(3)[:, 0]
    >>> model = nn.Module()
    >>> model.core, model.readout = nn.Conv3d(2, 1, (5, 3, 3)), Readout()
    >>> net = neuralpredictors(model, input_shape=(2, 3, 4))
    >>> net.history, list(net.layers)
    (5, ['core'])
    """
    if not isinstance(model, nn.Module):
        raise InputError(
            came=f"model={model!r:.60}",
            expected="a torch.nn.Module with a core and a readout",
            hint="model.load_state_dict(torch.load(path, weights_only=True))",
        )
    return network_of(
        model,
        session=session,
        frame=input_shape,
        history=history,
        layers=layers,
        outputs=outputs,
        frame_rate=frame_rate,
        standardisation=None,
        name=name or f"{type(model).__name__} {session or ''}".strip(),
        coords={},
    )
