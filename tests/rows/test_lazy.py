"""What is computed now and what Dask computes later are the same."""

import numpy as np
import pytest
import xarray as xr

from neurocodec.rows import lazy


def test_arrays_of_numpy_are_not_lazy():
    assert not lazy.is_lazy(np.zeros(3))
    assert not lazy.is_lazy(xr.DataArray(np.zeros(3)))


def test_arrays_of_dask_are_lazy():
    assert lazy.is_lazy(lazy.dask_array().zeros(3))
    assert lazy.is_lazy(xr.DataArray(np.zeros(3), dims="time").chunk(time=2))


def test_a_function_is_called_when_the_result_is_asked_for():
    called = []
    made = lazy.later(lambda *numbers: called.append(numbers) or max(numbers), 2, 3)
    assert called == []
    assert made.compute() == 3
    assert called == [(2, 3)]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_states_are_joined_in_pairs(count):
    states = [lazy.later(int, n) for n in range(1, count + 1)]
    assert lazy.join(states, max).compute() == count


def test_a_function_of_arrays_is_applied_at_once():
    assert lazy.apply(np.add, np.ones(2), np.ones(2), shape=(2,)).tolist() == [2.0, 2.0]


def test_a_function_of_a_plan_is_applied_later():
    found = lazy.apply(np.add, lazy.later(np.ones, 2), np.ones(2), shape=(2,))
    assert lazy.is_lazy(found)
    assert found.shape == (2,)
    assert found.compute().tolist() == [2.0, 2.0]


def test_plans_in_a_list_are_found():
    found = lazy.apply(sum, [np.ones(2), lazy.dask_array().ones(2)], shape=(2,))
    assert lazy.is_lazy(found)
    assert found.compute().tolist() == [2.0, 2.0]


def test_arrays_are_stacked():
    assert lazy.stack([np.zeros(3), np.ones(3)]).shape == (2, 3)


def test_plans_among_arrays_make_a_plan_of_the_stack():
    found = lazy.stack([np.zeros(3), lazy.dask_array().ones(3)], axis=1)
    assert lazy.is_lazy(found)
    assert found.compute().tolist() == [[0.0, 1.0]] * 3
