import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from linnet.data import ImageSet, Standardise
from linnet.engine import Compute
from linnet.errors import DataError
from linnet.recipe import parse
from linnet.recipe.classify import Classification, read_parts, scores


def image_set(count=5):
    images = torch.arange(count, dtype=torch.uint8).reshape(count, 1, 1, 1)
    return ImageSet(images, torch.arange(count) % 2, ("even", "odd"), "made", "0")


class Constant(nn.Module):
    """Logits (0, log 3) for every image: class 1 with probability 3/4."""

    def forward(self, images):
        return torch.tensor([0.0, 3.0]).log().clamp(min=0).expand(len(images), 2)


def test_scores_are_those_of_the_definition():
    losses, right = scores(Constant(), image_set(), Standardise((0.0,), (1.0,)), Compute("cpu"))
    quarter, three_quarters = np.log(4), np.log(4 / 3)
    assert losses.tolist() == pytest.approx([quarter, three_quarters] * 2 + [quarter], abs=1e-6)
    assert right.tolist() == [False, True, False, True, False]


def test_validation_is_their_mean():
    task = Classification(image_set(), Standardise((0.0,), (1.0,)))
    found = task.validate(Constant(), Compute("cpu"))
    assert found == {"accuracy": 0.4, "nll": pytest.approx((3 * np.log(4) + 2 * np.log(4 / 3)) / 5)}


def test_loss_and_accuracy_of_a_batch():
    logits = nn.Parameter(torch.tensor([[0.0, 0.0], [2.0, 0.0]]))
    task = Classification(image_set(), Standardise((0.0,), (1.0,)))
    loss, metrics = task.loss(lambda images: logits, (torch.zeros(2, 1, 1, 1), torch.tensor([1, 0])))
    assert loss.item() == pytest.approx((np.log(2) + np.log(1 + np.exp(-2))) / 2)
    assert metrics["accuracy"].item() == 0.5
    assert not metrics["accuracy"].requires_grad


def test_parts_divide_the_set_and_follow_the_split_seed_alone(recipe, task_named):
    def parts(overrides=None):
        return read_parts(parse(recipe, task_named=task_named, overrides=overrides))

    first = parts()
    assert [part.counts() for part in (first.train, first.validation, first.test)] == [(17, 17), (4, 4), (9, 9)]
    seen = [tuple(image.flatten().tolist()) for p in (first.train, first.validation, first.test) for image in p.images]
    assert len(set(seen)) == 60
    assert parts({"train.rng_seed": 1}).train.digest == first.train.digest
    assert parts({"data.split_seed": 1}).train.digest != first.train.digest


def test_a_second_folder_is_the_test_part_and_must_match(recipe, task_named):
    text = recipe.read_text().replace("test_fraction = 0.3", 'test_path = "more"')
    recipe.write_text(text)
    for name in ("bright", "dark"):
        (recipe.parent / "more" / name).mkdir(parents=True)
        Image.new("L", (5, 6), 7).save(recipe.parent / "more" / name / "a.png")
    parts = read_parts(parse(recipe, task_named=task_named))
    assert (parts.test.counts(), parts.train.counts()) == ((1, 1), (24, 24))
    (recipe.parent / "more" / "dark").rename(recipe.parent / "more" / "dim")
    with pytest.raises(DataError, match=r"bright, dark.*bright, dim"):
        read_parts(parse(recipe, task_named=task_named))


def test_a_seed_makes_the_same_network_and_batches_and_leaves_the_global_state(recipe, task_named):
    before = torch.get_rng_state()
    plans = [parse(recipe, task_named=task_named, overrides={"train.rng_seed": seed}) for seed in (0, 0, 1)]
    built = [plan.task.build(plan) for plan in plans]
    assert torch.equal(torch.get_rng_state(), before)
    weights = [one.model.state_dict()["conv1.weight"] for one in built]
    batches = [next(one.loader.epoch(0)) for one in built]
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(batches[0][0], batches[1][0])
    assert not torch.equal(weights[0], weights[2])
    assert not torch.equal(batches[0][0], batches[2][0])


def test_training_batches_are_standardised(recipe, task_named):
    plan = parse(recipe, task_named=task_named, overrides={"data.brightness": 0.0})
    pixels = torch.cat([batch[0] for batch in plan.task.build(plan).loader.epoch(0)])
    assert pixels.shape == (32, 1, 6, 5)  # 34 images, the last two don't fill a batch
    assert abs(pixels.mean().item()) < 0.1
    assert pixels.std().item() == pytest.approx(1, abs=0.1)


@pytest.fixture
def with_instead(recipe):
    """A recipe for a set of files, with digits instead of it; its path, if any, is to be added."""
    text = recipe.read_text()
    data = text[text.index("[data]") : text.index("[model]")]
    recipe.write_text(text.replace(data, '[data]\nname = "fashion_mnist"\ninstead = "digits"\n'))
    return recipe


@pytest.mark.parametrize("there", [True, False])
def test_digits_are_taken_instead_of_a_set_that_is_not_there_and_it_is_said(
    with_instead, task_named, caplog, monkeypatch, there
):
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    root = with_instead.parent
    monkeypatch.setenv("LINNET_DATA", str(root if there else root / "nowhere"))
    parts = read_parts(parse(with_instead, task_named=task_named))
    assert (parts.train.name, parts.train.image_shape) == ("digits", (1, 8, 8))
    where = f"{root / 'fashion_mnist'}" if there else "LINNET_DATA"
    assert where in caplog.text
    assert "`instead`" in caplog.text
    assert "None" not in caplog.text
    (root / "fashion_mnist").mkdir()  # a folder without the files is a fault that must not be passed over
    monkeypatch.setenv("LINNET_DATA", str(root))
    with pytest.raises(DataError, match="train-images-idx3-ubyte"):
        read_parts(parse(with_instead, task_named=task_named))


def test_nothing_is_taken_instead_of_a_path_that_was_named(with_instead, task_named, caplog):
    plan = parse(with_instead, task_named=task_named, overrides={"data.path": "/nope"})
    with pytest.raises(DataError, match="/nope/train-images-idx3-ubyte"):
        read_parts(plan)
    assert "instead" not in caplog.text


def test_a_path_of_the_file_begins_beside_it_and_an_override_where_one_stands(recipe, task_named, monkeypatch):
    elsewhere = recipe.parent / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert read_parts(parse(recipe, task_named=task_named)).train.counts() == (17, 17)
    with pytest.raises(DataError, match="elsewhere/pictures"):
        read_parts(parse(recipe, task_named=task_named, overrides={"data.path": "pictures"}))
    plan = parse(recipe, task_named=task_named, overrides={"data.path": "../pictures"})
    assert plan.settings()["data"]["path"] == str(elsewhere / "../pictures")
    assert read_parts(plan).train.counts() == (17, 17)
