"""The networks of the released form of GAS."""

import torch
import torch.nn.functional as F

from benchmarks.common.random_streams import Draws
from gas.tables import TableGoal, TablePolicy, TableSizes

SIZES = TableSizes(embedding=4, width=8, blocks=3, expansion=2, dropout=0.0)


def test_a_goal_by_hand():
    """Linear, then thrice GELU(x + W2 GELU(W1 norm(x))) with one norm, then linear."""
    net = TableGoal(5, (7, 9), SIZES, Draws())
    states, numbers = torch.randn(6, 5), (torch.rand(6) * 7, torch.rand(6) * 9)
    rows = [table.weight[n.int()] for table, n in zip(net.tables, numbers, strict=True)]
    x = F.gelu(net.joined(torch.cat([net.observation(states), *rows], 1)))
    for block in net.blocks:
        x = F.gelu(x + block.narrow(F.gelu(block.widen(net.norm(x)))))
    torch.testing.assert_close(net(states, *numbers), net.head(x)[:, 0])


def test_numbers_are_rounded_down_to_their_rows_and_pass_no_gradient():
    net, states = TableGoal(5, (7, 9), SIZES, Draws()), torch.randn(2, 5)
    one, other = torch.tensor([2.99, 0.0], requires_grad=True), torch.tensor([8.0, 8.999])
    values = net(states, one, other)
    assert torch.equal(values, net(states, torch.tensor([2.0, 0.5]), torch.tensor([8.4, 8.0])))
    assert torch.autograd.grad(values.sum(), one, allow_unused=True) == (None,)


def test_a_norm_is_shared_and_a_policy_has_two_heads():
    norms = {}
    for blocks in (1, 3):
        net = TablePolicy(5, 2, (7, 9, 4, 3, 3), SIZES._replace(blocks=blocks), Draws())
        shapes = [tuple(p.shape) for p in net.parameters()]
        norms[blocks] = shapes.count((8,)) - blocks  # less the bias of `narrow`
    assert norms[1] == norms[3]
    assert net.joined.in_features == 6 * 4
    mean, log_std = net(torch.full((6, 5), 1e4), *torch.zeros(5, 6))
    assert mean.shape == log_std.shape == (6, 2)
    assert mean.abs().max() > 1.0  # no tanh
    assert log_std.min() >= -5.0
    assert log_std.max() <= 2.0
    for head in (net.mean, net.log_std):
        torch.testing.assert_close(head.weight @ head.weight.T, torch.eye(2))
        assert not head.bias.any()
