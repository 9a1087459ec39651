import random

import numpy as np
import pytest
import torch
import torch.nn.utils.prune
from torch import nn

from linnet.core.program.program import Ref, base_name
from linnet.core.program.recorder import record
from linnet.errors import GraphError


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.act(self.norm(self.conv(x)))
        return {"y": y, "mean": y.mean((2, 3))}


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        y = self.fc(x)
        return y if y.sum().item() > 1e9 else y * 2


def operators(program):
    return [node.name for node in program.nodes if node.name != "empty"]


def test_operators_names_paths_and_lines():
    program = record(Block(), torch.zeros(5, 3, 9, 9))
    assert operators(program) == ["convolution", "native_batch_norm", "relu", "mean"]
    convolution = program.nodes[0]
    assert convolution.module == "conv"
    assert convolution.args[:3] == (Ref(program.inputs[0][1]), Ref(program.parameters["conv.weight"]), None)
    assert convolution.source.startswith("test_recorder.py:")
    assert convolution.source.endswith("y = self.act(self.norm(self.conv(x)))")
    assert program.nodes[-1].module == ""
    assert [name for name, _ in program.outputs] == ["output['y']", "output['mean']"]
    assert program.shape(program.outputs[0][1]) == (1, 8, 7, 7)
    assert (program.samples, program.tracer) == (1, "meta")


def test_inplace_result_is_a_new_value_in_the_same_memory():
    program = record(Block(), torch.zeros(1, 3, 9, 9))
    relu = next(node for node in program.nodes if node.name == "relu")
    (before,), (after,) = relu.mutates, relu.outputs
    assert before != after
    assert program.values[before].storage == program.values[after].storage
    assert program.outputs[0][1] == after


def test_model_mode_hooks_weights_and_random_states_are_untouched():
    model = Block().train()
    called = []
    model.conv.register_forward_hook(lambda *_: called.append(1))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    record(model, torch.zeros(2, 3, 9, 9))
    assert called == []
    assert model.training
    assert model.norm.training
    assert len(model.conv._forward_hooks) == 1
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert (np.random.get_state()[1] == states[2]).all()  # noqa: NPY002


def test_other_sizes_can_be_asked_for():
    program = record(
        nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2)),
        torch.zeros(2, 4),
        shapes={"0.weight": (9, 4), "0.bias": (9,), "1.weight": (2, 9)},
    )
    assert [program.shape(node.outputs[0]) for node in program.nodes if node.name == "linear"] == [(1, 9), (1, 2)]


def test_branch_on_values_is_recorded_for_real():
    program = record(Branching(), torch.zeros(3, 4))
    assert program.tracer == "real"
    assert operators(program)[-1] == "mul"


def test_model_that_needs_its_batch_keeps_it():
    class Fixed(nn.Module):
        def forward(self, x):
            return x.view(6, 2, 2)

    assert record(Fixed(), torch.zeros(6, 4)).samples == 6


def test_fused_attention_is_off_while_recording_and_restored_after_an_error():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    assert "addmm" in operators(record(layer, torch.zeros(1, 3, 8)))
    with pytest.raises(GraphError, match=r"example.*\(1, 3, 7\)"):
        record(layer, torch.zeros(1, 3, 7))
    assert torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        record(layer, torch.zeros(1, 3, 8))
        assert not torch.backends.mha.get_fastpath_enabled()
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def test_composite_functions_stay_whole():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.RMSNorm(8)
            self.instance = nn.InstanceNorm1d(5, affine=True)

        def forward(self, x):
            return nn.functional.scaled_dot_product_attention(self.norm(x), self.instance(x), value=x)

    program = record(Attention(), torch.zeros(2, 5, 8))
    assert operators(program) == ["rms_norm", "instance_norm", "scaled_dot_product_attention"]
    assert program.nodes[1].args[1] == Ref(program.parameters["instance.weight"])
    assert program.nodes[2].args[2] == Ref(program.inputs[0][1])


def test_tied_parameter_has_one_name():
    model = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 5, bias=False))
    model[1].weight = model[0].weight
    program = record(model, torch.zeros(2, 3, dtype=torch.long))
    assert program.aliases == {"1.weight": "0.weight"}
    assert list(program.parameters) == ["0.weight"]


def test_index_tables_are_kept():
    class Pick(nn.Module):
        def forward(self, x):
            return x[:, torch.tensor([2, 0])]

    program = record(Pick(), torch.zeros(1, 3))
    (index,) = (node for node in program.nodes if node.name == "index")
    assert program.constants[index.args[1][1].value].tolist() == [2, 0]


def test_wrappers_are_taken_off():
    compiled = torch.compile(nn.Linear(2, 3), backend="eager")
    assert list(record(nn.DataParallel(nn.Linear(2, 3)), torch.zeros(1, 2)).parameters) == ["weight", "bias"]
    assert list(record(compiled, torch.zeros(1, 2)).parameters) == ["weight", "bias"]


@pytest.mark.parametrize(
    ("make", "needed"),
    [
        (lambda: nn.LazyLinear(3), "LazyLinear"),
        (lambda: nn.Sequential(nn.Linear(2, 3), torch.ao.quantization.FakeQuantize()), "float model first"),
        (lambda: nn.utils.prune.l1_unstructured(nn.Linear(2, 3), "weight", 0.5), "prune.remove"),
        (lambda: nn.Linear(2, 3, dtype=torch.complex64), "complex64"),
        (lambda: "resnet", "`model`.*str"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_unfit_models_are_refused_with_the_remedy(make, needed):
    with pytest.raises(GraphError, match=needed):
        record(make(), torch.zeros(1, 2))


@pytest.mark.parametrize(
    ("example", "words"),
    [(3, "`example`.*int"), ((1, 2), "`example`"), (torch.zeros(1, 5), r"example.*\(1, 5\)")],
)
def test_examples_that_do_not_fit(example, words):
    with pytest.raises(GraphError, match=words):
        record(nn.Linear(2, 3), example)


def test_model_without_tensor_output():
    class Nothing(nn.Module):
        def forward(self, x):
            return x.shape[0]

    with pytest.raises(GraphError, match=r"`Nothing`.*int"):
        record(Nothing(), torch.zeros(1, 2))


@pytest.mark.parametrize(
    ("op", "name"),
    [
        ("aten::add_.Tensor", "add"),
        ("aten::relu", "relu"),
        ("lib::f_.x", "lib::f"),
        ("aten::__and__.Tensor", "__and__"),
    ],
)
def test_base_name(op, name):
    assert base_name(op) == name
