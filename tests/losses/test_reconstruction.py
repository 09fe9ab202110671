"""The reconstruction loss by hand."""

import torch

from gcl_core.losses.reconstruction import reconstruction


def test_mean_absolute_difference_by_hand():
    loss = reconstruction(torch.tensor([[1.0, -2.0], [0.0, 4.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
    assert loss.item() == (1 + 3 + 0 + 4) / 4


def test_gradient_reaches_the_drawn_side_only():
    drawn, target = torch.tensor([3.0, -1.0], requires_grad=True), torch.tensor([1.0, 1.0], requires_grad=True)
    reconstruction(drawn, target).backward()
    torch.testing.assert_close(drawn.grad, torch.tensor([0.5, -0.5]))
    assert target.grad is None
