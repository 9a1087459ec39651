"""What can't be hatched or widened is refused with the reason and the remedy that belongs to it."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from linnet.ensemble import hatch, widen
from linnet.errors import GraphError, InputError, ProofError

FOUR = torch.zeros(2, 4)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


class Ends(nn.Module):
    """Two layers, and what comes between them."""

    def __init__(self, between, width=6, calls=1):
        super().__init__()
        self.a, self.b, self.between, self.calls = nn.Linear(4, width), nn.Linear(width, 2), between, calls

    def forward(self, x):
        for _ in range(self.calls):
            x = self.between(self.a(x))
        return self.b(x)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(self.a(x).relu())


def normed(norm):
    return nn.Sequential(norm(nn.Linear(4, 6)), nn.ReLU(), nn.Linear(6, 2))


def test_shared_weights_are_named_and_with_weights_of_their_own_layers_are_widened():
    net = Tied()
    with pytest.raises(GraphError, match=r"`a` and `b` share their weight.*Give each layer its own") as raised:
        hatch(net, FOUR, 2)
    assert "hidden layer" not in str(raised.value)
    net.b.weight = nn.Parameter(net.b.weight.detach().clone())
    assert len(hatch(net, FOUR, 2)) == 2


def test_a_module_that_is_called_twice_is_named():
    with pytest.raises(GraphError, match=r"`a` is called more than once.*copy.deepcopy") as raised:
        hatch(Ends(torch.relu, width=4, calls=2), FOUR, 2)
    assert "hidden layer" not in str(raised.value)


def test_an_operator_over_channels_is_the_reason_and_has_its_own_remedy():
    with pytest.raises(GraphError, match=r"`a`: .*cumsum.*HatchEnsemble") as raised:
        hatch(Ends(lambda x: x.cumsum(1)), FOUR, 2)
    assert "hidden layer" not in str(raised.value)


@pytest.mark.parametrize(
    ("norm", "remove"),
    [
        (parametrizations.weight_norm, "parametrize.remove_parametrizations"),
        (parametrizations.spectral_norm, "parametrize.remove_parametrizations"),
        (nn.utils.weight_norm, "remove_weight_norm"),
        (nn.utils.spectral_norm, "remove_spectral_norm"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_a_computed_weight_is_named_with_what_makes_it_plain(norm, remove):
    net = normed(norm)
    with pytest.raises(
        GraphError, match=rf"weight of `0` .*torch.nn.utils.{remove}\(model.get_submodule\('0'\), 'weight'\)"
    ) as raised:
        hatch(net, FOUR, 2)
    assert "hidden layer" not in str(raised.value)
    module, _, function = remove.rpartition(".")
    getattr(getattr(nn.utils, module) if module else nn.utils, function)(net.get_submodule("0"), "weight")
    assert len(hatch(net, FOUR, 2)) == 2  # as the text says


def test_a_computed_weight_among_plain_ones_is_named_too():
    net = nn.Sequential(*normed(parametrizations.weight_norm), nn.ReLU(), nn.Linear(2, 2))
    with pytest.raises(GraphError, match=r"weight of `0` .*remove_parametrizations"):
        hatch(net, FOUR, 2)


def test_what_the_caller_froze_is_the_reason():
    with pytest.raises(GraphError, match=r"`0` is frozen by the caller.*Freeze less"):
        hatch(nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2)), FOUR, 2, frozen=["0"])


@pytest.mark.parametrize("call", [lambda net, x: hatch(net, x, 2), widen])
def test_an_example_without_samples_and_proofs_speak_of_the_example(call):
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    with pytest.raises(
        InputError, match=r"`example` .*at least one sample .*\(0, 1, 8, 8\).*torch.zeros\(2, 1, 8, 8\)"
    ):
        call(net, torch.zeros(0, 1, 8, 8))
    for between, words in ((lambda x: x * 0, "depend on its inputs"), (lambda x: (x - 1e9).log(), "finite outputs")):
        with pytest.raises(ProofError, match=f"`model` .*{words}.*`example`") as raised:
            call(Last(between), FOUR)
        assert "probe" not in str(raised.value)


class Last(nn.Module):
    def __init__(self, last):
        super().__init__()
        self.body, self.last = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)), last

    def forward(self, x):
        return self.last(self.body(x))


CONV = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
TEXT = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(20, 6), nn.ReLU(), nn.Linear(6, 2))


@pytest.mark.parametrize(
    ("net", "given", "message"),
    [
        (CONV, torch.zeros(2, 3, 8, 8), r"`0` \(Conv2d\), takes \(N, 1, H, W\) float32.*torch.zeros\(2, 1, 8, 8,"),
        (CONV, torch.zeros(2, 8, 8), r"`0` \(Conv2d\), takes \(N, 1, H, W\) float32.*torch.zeros\(2, 1, 8, 8,"),
        (CONV, torch.zeros(2, 1, 8, 8).long(), r"takes \(N, 1, H, W\) float32.*dtype=torch.float32"),
        (CONV, torch.zeros(2, 1, 9, 9), "Give inputs of the size and type that the model was made for"),
        (
            TEXT,
            torch.zeros(2, 5),
            r"`0` \(Embedding\), takes whole numbers from 0 to 9.*torch.zeros\(2, 5, dtype=torch.i",
        ),
        (CONV[3], torch.zeros(2, 5), r"`Linear`, takes \(N, ..., 144\) float32.*torch.zeros\(2, 144,"),
        (CONV, (torch.zeros(2, 1), torch.zeros(2)), "Give inputs as the model takes them"),
    ],
)
def test_an_example_that_the_model_cannot_run_on_comes_with_what_it_takes(net, given, message):
    with pytest.raises(GraphError, match=f"`example` .*{message}"):
        hatch(net, given, 2)
