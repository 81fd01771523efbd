"""What a run could leave changed in a module that it borrowed."""

import torch


def state(module):
    """Everything of a module that a run could leave changed."""
    return (
        [m.training for m in module.modules()],
        [p.requires_grad for p in module.parameters()],
        [p.grad for p in module.parameters()],
        {k: x.clone() for k, x in module.state_dict().items()},
        [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules()],
        ["forward" in m.__dict__ for m in module.modules()],
        torch.get_rng_state(),
    )


def assert_same(before, after):
    for a, b in zip(before, after, strict=True):
        if isinstance(a, dict):
            assert all(torch.equal(a[k], b[k]) for k in a)
        elif isinstance(a, torch.Tensor):
            assert torch.equal(a, b)
        else:
            assert a == b
