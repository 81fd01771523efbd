"""How many threads a fit uses."""

import torch

from neurocodec.nn.sparse.threads import threads_for


def test_small_products_have_one_thread_and_the_number_of_before_comes_back():
    before = torch.get_num_threads()
    with threads_for(100):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
