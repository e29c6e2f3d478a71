"""CDT's own update against osrl's, where blocks and the pruned layer could go wrong."""

import pytest
import torch

from baselines.cdt import CDT
from baselines.osrl import cdt_training
from baselines.osrl.cdt_training import keep_mask, train_step
from tests.support.osrl_cases import cdt_batch, osrl_cdt, torchs_mask, twins


@pytest.mark.parametrize("state_weight", [0.0, 0.7])
@pytest.mark.parametrize("windows", [3, 8])
def test_gradients_of_blocks_are_osrls(windows, state_weight, monkeypatch):
    algorithm, model, trainer = twins(CDT, osrl_cdt)
    monkeypatch.setattr(cdt_training, "WINDOWS", windows)
    monkeypatch.setattr(cdt_training, "keep_mask", torchs_mask)
    for owner in (algorithm.model, model):
        torch.manual_seed(0)
        for parameter in owner.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
        for module in owner.modules():
            if windows < 8 and hasattr(module, "p"):  # the blocks' draws are not the batch's
                module.p = 0.0
            if windows < 8 and isinstance(module, torch.nn.MultiheadAttention):
                module.dropout = 0.0
    for one in (algorithm.trainer, trainer):
        one.state_weight, one.clip_grad = state_weight, None
    batch = algorithm.sampler()
    assert (batch.mask == 0).any()
    torch.manual_seed(1)
    losses = train_step(algorithm.trainer, batch._replace(costs=(batch.costs > 0).float()))
    seen = {}
    trainer.logger.store = lambda **values: seen.update(values)
    torch.manual_seed(1)
    trainer.train_one_step(*cdt_batch(batch))
    for (name, ours), theirs in zip(
        algorithm.model.named_parameters(), model.parameters(), strict=True
    ):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-5, rtol=1e-4, msg=name)
    for name, loss in losses.items():
        assert float(loss) == pytest.approx(seen[name], rel=1e-4), name


def test_masks_keep_the_share_and_the_mean():
    torch.manual_seed(0)
    mask = keep_mask((101, 99, 101), 0.1, torch.zeros(()))
    assert mask.shape == (101, 99, 101)
    assert (mask == 0).float().mean() == pytest.approx(0.1, abs=1e-3)
    assert mask.mean() == pytest.approx(1.0, abs=1e-3)
    # each of the four that share a word
    rows = (mask.flatten()[: 4 * 250_000].view(-1, 4) == 0).float()
    assert (rows.mean(0) - 0.1).abs().max() < 3e-3
    assert (torch.corrcoef(rows.T) - torch.eye(4)).abs().max() < 0.01
