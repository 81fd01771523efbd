"""Random networks, whose every number the plain reference gives too; more: ``python run.py``."""

import numpy as np
import pytest
import torch
from random_cases import Case, case_of
from run import main
from trials import one_thread, run_case

CASES, TOGETHER = 240, 12
AGAIN = "python tests/witness/run.py --show --cases 1 --first"


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(first, marks=pytest.mark.slow if first >= CASES // 4 else ())
        for first in range(0, CASES, TOGETHER)
    ],
)
def test_the_toolkit_agrees_with_the_plain_reference(first) -> None:
    done = [run_case(seed) for seed in range(first, first + TOGETHER)]
    wrong = [o for o in done if o.kind in ("differs", "crashed")]
    told = [f"seed {o.seed} {o.kind}, {o.detail} ({AGAIN} {o.seed})" for o in wrong]
    assert not wrong, "\n".join(told)
    refused = [f"seed {o.seed} {o.detail} ({AGAIN} {o.seed})" for o in done if o.kind == "refused"]
    assert len(refused) <= TOGETHER // 4, "\n".join(refused)
    assert sum(o.kind == "kink" for o in done) <= 1


def smooth_cases(count: int) -> list[Case]:
    """Cases without a way that autograd does not see; finite differences would see it."""
    found = map(case_of, range(10_000, 10_000 + 2 * count))
    return [c for c in found if "detach" not in str(c.built.module)][:count]


def test_the_reference_agrees_with_finite_differences() -> None:
    step = 1e-6
    with one_thread():
        for case in smooth_cases(15):
            x, start = case.inputs[-1], case.start
            value = case.explained.at(case.reference.run(x)[0].detach())
            point = case.reference.point(x, value)
            generator = torch.Generator().manual_seed(case.seed)
            for alias in case.layers:
                h = point.hidden[alias]
                along = torch.randn(h.shape, generator=generator, dtype=h.dtype)
                up, down = (
                    float(case.reference.point(x, value, {alias: h + s * along}).value)
                    for s in (step, -step)
                )
                found = float((point.gradient[alias] * along).sum())
                near(found, (up - down) / (2 * step), case)
                direction = x - start
                after, before = (
                    case.reference.run(x + s * direction)[1][alias].detach() for s in (step, -step)
                )
                tangent = case.reference.tangent(x, alias, direction)
                near(tangent.numpy(), ((after - before) / (2 * step)).numpy(), case)


def near(found, expected, case: Case) -> None:
    scale = np.abs(expected).max() + 1e-2
    assert np.abs(found - expected).max() <= 1e-5 * scale, f"{AGAIN} {case.seed}"


def test_a_seed_is_always_the_same_case() -> None:
    first, second = case_of(3), case_of(3)
    assert first.described() == second.described()
    assert all(torch.equal(a, b) for a, b in zip(first.inputs, second.inputs, strict=True))


def test_it_says_what_came_of_the_cases(capsys) -> None:
    main(["--cases", "2", "--first", "4"])
    assert capsys.readouterr().out.splitlines()[-1].startswith("2 cases")
