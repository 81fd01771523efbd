import numpy as np
import pytest
from sklearn.linear_model import orthogonal_mp

from neurocodec.kernels import pursuit as kernel
from neurocodec.kernels.pursuit import EMPTY, Codes, pursuit, refitted, spread


def drawn(rows=40, channels=12, atoms=30, seed=0, kind=float):
    rng = np.random.default_rng(seed)
    made = rng.normal(size=(atoms, channels))
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return rng.normal(size=(rows, channels)).astype(kind), made.astype(kind)


@pytest.fixture(params=[True, False], ids=["gram", "residual"])
def either_way(request, monkeypatch):
    monkeypatch.setattr(kernel, "GRAM_BYTES", 2**29 if request.param else 0)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("active", [1, 5, 12])
def test_codes_are_those_of_scikit_learn(active):
    rows, atoms = drawn()
    expected = orthogonal_mp(atoms.T, rows.T, n_nonzero_coefs=active).T
    found = pursuit(rows, atoms, active)
    np.testing.assert_allclose(spread(found, len(atoms)).toarray(), expected, atol=1e-9)
    np.testing.assert_allclose(found.made(atoms), expected @ atoms, atol=1e-9)


@pytest.mark.usefixtures("either_way")
def test_the_largest_come_first_and_empty_slots_last():
    rows, atoms = drawn()
    rows[3], rows[7] = 0, 2.5 * atoms[4]
    found = pursuit(rows, atoms, 6)
    assert (np.diff(np.abs(found.values)) <= 0).all()
    assert (found.indices[3] == EMPTY).all()
    assert found.indices[7].tolist() == [4] + 5 * [EMPTY]
    np.testing.assert_allclose(found.values[7, 0], 2.5)
    np.testing.assert_array_equal(found.values[found.indices == EMPTY], 0)


def test_sums_of_few_atoms_are_found_again():
    _, atoms = drawn(channels=60, atoms=90)
    rng = np.random.default_rng(1)
    codes = Codes(
        rng.choice([-1, 1], (50, 3)) * rng.uniform(1, 3, (50, 3)),
        np.stack([rng.permutation(90)[:3] for _ in range(50)]),
    )
    found = pursuit(codes.made(atoms), atoms, 8)
    right = [{*a} == {*b} - {EMPTY} for a, b in zip(codes.indices, found.indices, strict=True)]
    assert np.mean(right) > 0.9


def test_blocks_change_nothing(monkeypatch):
    rows, atoms = drawn()
    whole = pursuit(rows, atoms, 4)
    monkeypatch.setattr(kernel, "BLOCK", 7 * len(atoms))
    parts = pursuit(rows, atoms, 4)
    np.testing.assert_array_equal(whole.indices, parts.indices)
    np.testing.assert_allclose(whole.values, parts.values)


def test_single_precision_is_near_double():
    rows, atoms = drawn(channels=40, atoms=80)
    single = pursuit(rows.astype(np.float32), atoms.astype(np.float32), 10)
    assert single.values.dtype == np.float32
    made = pursuit(rows, atoms, 10).made(atoms)
    left = [np.linalg.norm(rows - m) for m in (single.made(atoms.astype(np.float32)), made)]
    np.testing.assert_allclose(*left, rtol=1e-3)


def test_copies_of_an_atom_are_not_taken_twice():
    rows, atoms = drawn(atoms=10)
    found = pursuit(rows, np.repeat(atoms, 2, 0), 12)
    assert np.isfinite(found.values).all()
    pairs = np.where(found.indices == EMPTY, -np.arange(1, 13), found.indices // 2)
    assert all(len({*row}) == 12 for row in pairs)


def test_more_slots_than_atoms_or_channels_stay_empty():
    rows, atoms = drawn(channels=4, atoms=3)
    found = pursuit(rows, atoms, 9)
    assert found.indices.shape == (40, 9)
    assert (found.indices[:, 3:] == EMPTY).all()


def test_refitting_is_least_squares():
    rows, atoms = drawn()
    indices = np.stack([np.random.default_rng(i).permutation(30)[:5] for i in range(40)])
    indices[:, 4] = np.where(np.arange(40) % 2, EMPTY, indices[:, 4])
    found = refitted(rows, atoms, Codes(np.zeros((40, 5)), indices))
    for row, own, made in zip(rows, indices, found.made(atoms), strict=True):
        chosen = atoms[own[own != EMPTY]]
        expected = np.linalg.lstsq(chosen.T, row, rcond=None)[0] @ chosen
        np.testing.assert_allclose(made, expected, atol=1e-9)
