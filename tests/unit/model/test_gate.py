from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sammoe.model import SamMed3DConfig
from sammoe.model.gate import ExpertHeads, PaperGate

CONFIG = replace(
    SamMed3DConfig.small(), image_size=16, patch_size=4, prompt_dim=12, detail_channels=1
)


def embeddings(batch: int, tokens: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(tokens)
    c, e, g = CONFIG.prompt_dim, CONFIG.embedding_channels, CONFIG.grid
    return (
        torch.randn(batch, e, g, g, g),
        torch.randn(1, c, g, g, g),
        torch.randn(batch, tokens, c),
        torch.randn(batch, c, g, g, g),
    )


@pytest.mark.parametrize("none_of_them", [False, True])
@pytest.mark.parametrize("tokens", [1, 2, 7])
def test_the_papers_gate_gives_a_share_to_each_expert(none_of_them: bool, tokens: int) -> None:
    gate = PaperGate(CONFIG, 3, none_of_them=none_of_them)

    logits = gate(*embeddings(2, tokens))
    scores = gate.scores(logits)

    assert logits.shape == (2, 4 if none_of_them else 3)
    assert scores.shape == (2, 3)
    assert (scores > 0).all()
    total = torch.softmax(logits, -1).sum(-1) if none_of_them else scores.sum(-1)
    torch.testing.assert_close(total, torch.ones(2))
    assert (scores.sum(-1) < 1 - 1e-4).all() == none_of_them


def test_the_papers_gate_reads_image_prompt_and_prior() -> None:
    gate = PaperGate(CONFIG, 3, none_of_them=False)
    given = embeddings(1, 2)
    before = gate(*given)

    for place in range(4):
        changed = list(given)
        changed[place] = changed[place] + 0.5
        assert not torch.allclose(gate(*changed), before, atol=1e-6), place


def test_the_papers_gate_does_not_depend_on_the_order_of_points() -> None:
    gate = PaperGate(CONFIG, 2, none_of_them=False)
    image, image_pe, sparse, dense = embeddings(1, 5)

    torch.testing.assert_close(
        gate(image, image_pe, sparse, dense), gate(image, image_pe, sparse.flip(1), dense)
    )


def test_the_papers_gate_can_learn_to_tell_prompts_apart() -> None:
    gate = PaperGate(CONFIG, 2, none_of_them=False)
    image, image_pe, sparse, dense = embeddings(8, 2)
    target = torch.arange(8) % 2
    sparse[:, 0, 0] += 4.0 * target
    optimiser = torch.optim.AdamW(gate.parameters(), lr=1e-2)
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(gate(image, image_pe, sparse, dense), target)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    assert (gate(image, image_pe, sparse, dense).argmax(-1) == target).all()


def test_adding_an_expert_leaves_the_others_bit_identical() -> None:
    features = torch.randn(16, 60)
    heads = ExpertHeads(features.mean(0), features.std(0), ["cord", "lesion"], hidden=8)
    before = heads(features)

    heads.add("pancreas")
    after = heads(features)

    assert after.shape == (16, 3)
    assert torch.equal(after[:, :2], before)
    assert list(heads.heads) == ["cord", "lesion", "pancreas"]
    with pytest.raises(ValueError, match="'cord'"):
        heads.add("cord")


def test_heads_standardise_and_are_small() -> None:
    heads = ExpertHeads(torch.full((480,), 2.0), torch.full((480,), 4.0), ["cord"])
    plain = ExpertHeads(torch.zeros(480), torch.ones(480), ["cord"])
    plain.heads.load_state_dict(heads.heads.state_dict())
    features = torch.randn(3, 480)

    torch.testing.assert_close(heads(features * 4 + 2), plain(features), atol=1e-5, rtol=1e-5)
    assert sum(p.numel() for p in heads.parameters()) == 480 * 32 + 32 + 32 + 1


def test_heads_of_before_read_the_features_that_there_were() -> None:
    heads = ExpertHeads(torch.zeros(5), torch.ones(5), ["cord"])
    features = torch.randn(3, 12)

    assert torch.equal(heads(features), heads(features[:, :5]))


def test_features_far_out_count_as_at_the_limit() -> None:
    heads = ExpertHeads(torch.zeros(10), torch.ones(10), ["cord"], hidden=4)

    assert torch.equal(heads(torch.full((1, 10), 9.0)), heads(torch.full((1, 10), 1e6)))
    assert not torch.equal(heads(torch.full((1, 10), 7.0)), heads(torch.full((1, 10), 9.0)))
