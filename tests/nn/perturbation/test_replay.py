"""Replays from a layer on, by hand."""

import torch
from torch import nn

from neurocodec.nn.capture.hooks import Capture
from neurocodec.nn.capture.layer import Layer
from neurocodec.nn.perturbation.replay import Remainder, mask_rows, starts


def test_a_replay_answers_for_activations():
    module = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU())
    x = torch.ones(3, 2)
    with Capture(module, {"a": Layer("0")}).attached() as capture:
        rest = Remainder.of(capture, "a", x)
        with rest.resumed():
            found = rest.answers(x[:1], {"a": torch.tensor([[-1.0, 2.0]])})
    assert rest.skipped
    assert found.tolist() == [[0.0, 2.0]]


def test_replays_start_at_the_parts_around_a_layer_the_smallest_first():
    found = [*starts(Layer("blocks.3.attn.proj"))]
    assert [start.module for start in found] == ["blocks.3.attn", "blocks.3", "blocks"]
    assert {start.at for start in found} == {"input"}


def test_rows_are_masked_in_place():
    rows, keep = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 1.0]])
    assert mask_rows(Layer("0"), rows, keep) is rows
    assert rows.tolist() == [[0.0, 2.0]]
    assert mask_rows(Layer("0"), rows, keep, torch.tensor([5.0, 6.0])).tolist() == [[5.0, 2.0]]
