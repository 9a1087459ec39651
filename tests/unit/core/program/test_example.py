"""What a network is recorded on: whatever way its tensors are passed."""

import json

import pytest
import torch
from torch import nn

from linnet.core import ChannelGraph, resize
from linnet.core.program.example import Example, example_from_dict, example_to_dict
from linnet.errors import GraphError


def test_every_tensor_has_a_name():
    single = Example.of(torch.zeros(2, 3))
    several = Example.of((torch.zeros(2), [torch.zeros(1), {"deep": torch.zeros(3)}]))
    named = Example.of({"x": torch.zeros(4), "flag": True})
    assert [name for name, _ in single.tensors()] == ["input"]
    assert [name for name, _ in several.tensors()] == ["input[0]", "input[1][0]", "input[1][1]['deep']"]
    assert [name for name, _ in named.tensors()] == ["x"]
    assert Example.of(named) is named


def test_the_first_sample_of_everything():
    cut = Example.of((torch.arange(6.0).view(3, 2), {"t": torch.arange(3)}, torch.tensor(5.0))).first_sample()
    assert cut.args[0].tolist() == [[0.0, 1.0]]
    assert cut.args[1]["t"].tolist() == [0]
    assert cut.args[2].item() == 5.0
    assert cut.samples == 1


def test_words_show_sizes_and_types():
    assert str(Example.of(torch.zeros(1, 3, dtype=torch.float64))) == "input (1, 3) float64"


def test_as_plain_data_and_back():
    tokens = torch.tensor([[1, 2, 3]])
    example = Example(
        (torch.zeros(1, 3), [tokens, None], (2, "word"), {"scale": 0.5}), {"mask": torch.zeros(1, dtype=torch.float64)}
    )
    stored = json.loads(json.dumps(example_to_dict(example)))
    back = example_from_dict(stored, lambda shape, dtype: torch.full(shape, 7.0, dtype=dtype))
    assert back.args[0].tolist() == [[7.0, 7.0, 7.0]]
    assert torch.equal(back.args[1][0], tokens)
    assert back.args[1][1] is None
    assert back.args[2] == (2, "word")
    assert back.args[3] == {"scale": 0.5}
    assert back.kwargs["mask"].dtype == torch.float64


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (3, "`example`.*int"),
        ((1, "a"), "`example`.*tensor"),
        ({}, "`example`.*tensor"),
    ],
)
def test_what_is_no_example_is_refused(given, words):
    with pytest.raises(GraphError, match=words):
        Example.of(given)


def test_what_cannot_be_stored_is_refused():
    with pytest.raises(GraphError, match=r"`example`.*object"):
        example_to_dict(Example((torch.zeros(1), object()), {}))


class _Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 6), nn.Linear(6, 2)

    def forward(self, x, *, extra):
        return self.b(self.a(x) + extra["shift"])


def test_keyword_arguments_reach_the_proof_of_an_edit():
    net = _Two()
    graph = ChannelGraph(net, {"x": torch.zeros(2, 3), "extra": {"shift": torch.zeros(2, 1)}})
    small = resize(net, graph, {"a": [1, 0, 1, 1, 0, 1]})
    assert small.a.weight.shape == (4, 3)
    assert small.linnet_edit.error <= 1e-5
