"""Maps of the whole network: input times gradient, and integrated gradients, of the input."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from neurocodec.errors import CaptureError
from neurocodec.nn.attribution.integration import IntegratedGradients, fixed_target
from neurocodec.nn.attribution.method import Method
from neurocodec.nn.attribution.methods import ActGrad, InputGrad
from neurocodec.nn.attribution.passes import Passes, Point
from neurocodec.nn.attribution.tangents import differentiable_attention
from neurocodec.nn.attribution.target import Target
from neurocodec.nn.capture.hooks import gradients
from neurocodec.nn.capture.prefix import Batch
from neurocodec.nn.device import widest
from neurocodec.nn.maps.through_channels import (
    Mapped,
    Trial,
    line,
    not_decomposed,
    refined,
)


@dataclass(frozen=True)
class Saliency:
    """Maps of a target through all of the network, to set those through some channels beside."""

    passes: Passes

    def mapped(self, method: Method, batch: Batch) -> Mapped:
        """Maps (x - x') dy/dx (CODEC eq. 6) or integrated (7, 13); they sum to y(x) - y(x')."""
        with differentiable_attention():
            if isinstance(method, InputGrad | ActGrad):
                gradient = self._gradient(batch.x, self.passes.target)
                maps = gradient * (batch.x - self.passes.baseline)
                return self._known(batch)._replace(maps=maps[:, None, None])
            if not isinstance(method, IntegratedGradients):
                raise not_decomposed(method)

            return refined(method, batch, self, Saliency._integrated)

    def _integrated(self, method: IntegratedGradients, batch: Batch) -> Trial:
        target, total = fixed_target(self.passes, batch), torch.zeros_like(batch.x)
        for weight, x in line(self.passes, batch, int(method.steps), method.rule):
            total.add_(self._gradient(x, target), alpha=weight)
        maps = total.mul_(batch.x - self.passes.baseline)
        found = self._known(batch)._replace(maps=maps[:, None, None])
        return found, found.misses(method.tolerance)

    def _known(self, batch: Batch) -> Mapped:
        done = self.passes.look(batch.x)
        value = self.passes.value(done, self.passes.target)
        change = self.passes.change(Point(done.outputs, value, done.hidden, {}))
        return Mapped(value.new_empty(0), change.to(widest(change.device))[:, None, None], value)

    def _gradient(self, x: Tensor, target: Target) -> Tensor:
        with torch.enable_grad():
            leaf = x.detach().clone().requires_grad_()
            value = self.passes.value(self.passes.capture.run(leaf), target)
        found = None
        if value.requires_grad:
            found = gradients(value.sum(), leaf)[0]
        if found is None:
            raise CaptureError(
                came="a target that does not depend on the input",
                expected="a target of the outputs, or of a layer",
            )
        return found
