"""An embedding's columns, head by head."""

import torch

from dagfm.nn.heads import head_by_head


def test_a_heads_columns_of_all_fields_come_before_the_next_heads():
    x = torch.arange(8).view(1, 2, 4)  # field 0 holds 0 1 2 3, field 1 holds 4 5 6 7
    assert head_by_head(x, 1).tolist() == [[0, 1, 2, 3, 4, 5, 6, 7]]
    assert head_by_head(x, 2).tolist() == [[0, 1, 4, 5, 2, 3, 6, 7]]
    assert head_by_head(x, 4).tolist() == [[0, 4, 1, 5, 2, 6, 3, 7]]


def test_heads_that_do_not_divide_the_columns_get_them_all_the_same():
    x = torch.arange(6).view(1, 2, 3)
    assert head_by_head(x, 2).tolist() == [[0, 1, 3, 4, 2, 5]]
    assert head_by_head(x, 5).tolist() == [[0, 3, 1, 4, 2, 5]]
