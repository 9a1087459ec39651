import dataclasses
import inspect
import tomllib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linnet.errors import RecipeError
from linnet.recipe import RecipeTask, parse, setting
from linnet.recipe.classify import TASK
from linnet.recipe.plan import SECTIONS
from linnet.recipe.toml.section import settings_of

GOOD = """\
task = "classify"
[data]
name = "digits"
[model]
name = "mlp"
hidden = [8, 4]
[optimizer]
name = "sgd"
lr = 1
[train]
epochs = 2
"""


def named(name):
    if name != "classify":
        raise RecipeError(f'"{name}" is no task. Installed: "classify".')
    return TASK


def read(folder, text, **options):
    (folder / "recipe.toml").write_text(text)
    return parse(folder / "recipe.toml", task_named=named, **options)


def refusal(folder, text, **options):
    with pytest.raises(RecipeError) as caught:
        read(folder, text, **options)
    return str(caught.value).replace(str(folder) + "/", "")


def test_a_good_recipe_becomes_sections_with_defaults(tmp_path):
    plan = read(tmp_path, GOOD)
    assert (plan.task, plan.text, plan["data"].name) == (TASK, GOOD, "digits")
    assert plan["model"].options() == {"hidden": (8, 4)}
    assert (plan.optimizer.lr, type(plan.optimizer.lr), plan.train.epochs) == (1.0, float, 2)
    assert (plan.train.batch_size, plan.train.schedule, plan.report.title) == (64, "cosine", None)
    assert plan.settings()["model"] == {"name": "mlp", "depth": None, "width": None, "hidden": [8, 4], "widths": None}
    assert plan.beside("images") == tmp_path / "images"
    assert plan.beside("/images").as_posix() == "/images"


def test_every_mistake_is_told_at_once_with_its_line(tmp_path):
    said = refusal(
        tmp_path,
        """\
task = "classify"
epochs = 3
tsak = "x"
model = 3

[data]
nmae = "digits"
validation_fraction = 1.5
size = [28]

[optimizer]
name = "adagrad"
"betas" = [0.9,
  "x"]

[trian]
epochs = 4

[train]
epochs = "ten"
schedule = "cosin"
[[report]]
""",
    )
    head, *rows = said.splitlines()
    assert "recipe.toml" in head
    expected = [
        ("line 2: ", "`epochs`", "[train]"),
        ("line 3: ", "`tsak`", "`task`"),
        ("line 4: ", "model", "3", "[model]"),
        ("line 6: [data] `name`", '"fashion_mnist", "mnist", "cifar10_jpeg", "digits", "image_folder"'),
        ("line 7: [data] `nmae`", "`name`"),
        ("line 8: [data] `validation_fraction`", "1.5"),
        ("line 9: [data] `size`", "[28]"),
        ("line 11: [optimizer] `lr`",),
        ("line 12: [optimizer] `name`", '"adagrad"', '"sgd", "adam", "adamw", "padam", "natural"'),
        ("line 13: [optimizer] `betas`", '"x"'),
        ("line 16: [trian]", "[train]"),
        ("line 20: [train] `epochs`", '"ten"'),
        ("line 21: [train] `schedule`", '"cosin"', '"constant", "linear", "cosine", "step"'),
        ("line 22: [[report]]", "[report]"),
    ]
    for row, words in zip(rows, expected, strict=True):
        assert all(word in row for word in words), (row, words)


@pytest.mark.parametrize(
    ("old", "new", "row"),
    [
        ('"digits"', '"digits"\npath = "x"', "line 4: [data] `path`"),
        ('"digits"', '"mnist"\nsize = [3, 3]', "[data] `size`"),
        ('"digits"', '"mnist"\ntest_fraction = 0.5', "[data] `test_fraction`"),
        ('"digits"', '"image_folder"', "line 2: [data] `path`"),
        ("hidden = [8, 4]", "depth = 20", "line 6: [model] `depth`"),
        ('"mlp"\nhidden = [8, 4]', '"resnet"\ndepth = 18', "line 6: [model] `depth`"),
        ("lr = 1", "lr = 1\nbetas = [0.9, 0.99]", "line 10: [optimizer] `betas`"),
        ("lr = 1", "lr = 1\nnesterov = true", "line 10: [optimizer] `nesterov`"),
        ('"sgd"', '"adamw"\nmomentum = 0.9', "line 9: [optimizer] `momentum`"),
        ('task = "classify"', "", "\n  `task`"),
        ('"classify"', "3", "line 1: `task`"),
        ('"classify"', '"clasify"', '"clasify"'),
    ],
)
def test_rules_between_keys(tmp_path, old, new, row):
    assert old in GOOD
    assert row in refusal(tmp_path, GOOD.replace(old, new, 1)) + "\n"


def test_without_a_task_the_other_sections_are_still_checked(tmp_path):
    said = refusal(tmp_path, GOOD.replace("task", "tsk").replace("epochs = 2", "epochs = 0"))
    assert "\n  `task`" in said
    assert "line 1: `tsk`" in said
    assert "line 11: [train] `epochs`" in said
    assert "[data]" not in said


def test_invalid_toml_shows_the_place(tmp_path):
    said = refusal(tmp_path, 'task = "classify"\n[data\nname = 3\n')
    assert said.startswith("recipe.toml")
    assert "line 2, column 6" in said.lower()
    assert said.endswith("\n  [data\n       ^")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "UTF-8"),
        (b"#" * (2**20 + 1), "1048577"),
        (b"a = " + b"[" * 100_000, "TOML"),
        (b"a = " + b"9" * 5000, "TOML"),
    ],
)
def test_files_that_are_no_recipes(tmp_path, content, said):
    (tmp_path / "recipe.toml").write_bytes(content)
    with pytest.raises(RecipeError, match=r"recipe\.toml") as caught:
        parse(tmp_path / "recipe.toml")
    assert said in str(caught.value)


def test_a_path_without_a_file(tmp_path):
    with pytest.raises(RecipeError, match=r"none\.toml"):
        parse(tmp_path / "none.toml")
    with pytest.raises(RecipeError, match="directory"):
        parse(tmp_path)


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    assert read(tmp_path, "\ufeff" + GOOD).train.epochs == 2


def test_overrides_replace_and_are_checked_alike(tmp_path):
    overrides = {"train.epochs": 7, "model.name": "tiny", "optimizer.lr": 0.5, "report.title": "x y", "data.flip": True}
    plan = read(tmp_path, GOOD.replace("hidden = [8, 4]\n", ""), overrides=overrides)
    assert (plan.train.epochs, plan["model"].name, plan.optimizer.lr) == (7, "tiny", 0.5)
    assert (plan.report.title, plan["data"].flip) == ("x y", True)
    assert read(tmp_path, GOOD, overrides={"model.hidden": (3,)})["model"].hidden == (3,)
    said = refusal(tmp_path, GOOD, overrides={"train.epochs": 0, "train.epoch": 1, "foo.x": 1, "optimizer": 3})
    assert "override: [train] `epochs`" in said
    assert "override: [train] `epoch`" in said
    assert "override: [foo]" in said
    assert "override: optimizer" in said


def test_a_task_brings_sections_of_its_own(tmp_path):
    @dataclasses.dataclass(frozen=True)
    class Extra:
        level: float = setting("how much", default=0.5, above=0)

    task = RecipeTask("own", {"extra": Extra}, build=TASK.build, watch=("loss", "min"))
    (tmp_path / "own.toml").write_text('task = "own"\n[optimizer]\nname = "sgd"\nlr = 1\n[train]\nepochs = 1\n')
    plan = parse(tmp_path / "own.toml", task_named=lambda _: task, overrides={"extra.level": 2})
    assert plan["extra"] == Extra(2.0)
    with pytest.raises(RecipeError, match=r"override: \[data\]"):
        parse(tmp_path / "own.toml", task_named=lambda _: task, overrides={"data.name": "digits"})


@pytest.mark.parametrize("section", [*TASK.sections.values(), *SECTIONS.values()])
def test_every_setting_is_documented_in_field_and_docstring(section):
    settings = settings_of(section)
    # getdoc, because Python 3.13 strips a docstring's indentation and 3.12 keeps it.
    _, attributes = inspect.getdoc(section).split("Attributes:")
    assert set(settings) == {field.name for field in dataclasses.fields(section)}
    for name, (_, about, _) in settings.items():
        assert about.doc
        assert not about.doc.endswith(".")
        assert f"\n    {name}: " in attributes


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=60), st.integers(0, 11))
def test_any_text_is_read_or_refused_by_recipe_error(tmp_path_factory, text, at):
    lines = GOOD.split("\n")
    recipe = "\n".join([*lines[:at], text, *lines[at:]])
    path = tmp_path_factory.mktemp("fuzz") / "recipe.toml"
    path.write_bytes(recipe.encode())
    try:
        plan = parse(path, task_named=named)
    except RecipeError:
        return
    assert tomllib.loads(plan.text)["task"] == "classify"


PADAM = GOOD.replace('"sgd"', '"padam"')


def test_padam_has_its_constants_and_a_p_that_moves(tmp_path):
    text = PADAM.replace(
        "lr = 1", 'lr = 1\np = {from = 0.25, to = 0.0, shape = "step"}\nbias_correction = "none"\neps = 0'
    )
    plan = read(tmp_path, text + "")
    [listener] = plan.optimizer.listeners()
    assert (listener.key, listener.start, listener.end, listener.shape, listener.lr_gain) == (
        "p",
        0.25,
        0.0,
        "step",
        1.0,
    )
    [group] = plan.optimizer.build(torch.nn.Linear(1, 1), loss=None).param_groups
    assert (group["p"], group["bias_correction"], group["eps"], group["lr"]) == (0.25, "none", 0.0, 1.0)
    assert plan.settings()["optimizer"]["p"] == {"from": 0.25, "to": 0.0, "shape": "step", "gradient_scale": None}
    plan = read(tmp_path, PADAM.replace("lr = 1", "lr = 1\np = 0.125\ndecoupled = true\namsgrad = false"))
    [group] = plan.optimizer.build(torch.nn.Linear(1, 1), loss=None).param_groups
    assert (group["p"], group["decoupled_weight_decay"], group["amsgrad"]) == (0.125, True, False)
    assert plan.optimizer.listeners() == []


def test_a_gradient_scale_moves_the_learning_rate_with_p(tmp_path):
    text = PADAM.replace("lr = 1", "lr = 1\np = {from = 0.25, to = 0, gradient_scale = 0.01}")
    [listener] = read(tmp_path, text).optimizer.listeners()
    assert listener.lr_gain == pytest.approx(1e4)  # from p = 1/4 to 0 the rate rises by 1e4 ^ (1/4) = 10


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("p = 0.7", "line 10: [optimizer] `p`"),
        ('p = "1/8"', "line 10: [optimizer] `p`"),
        (
            "p = {from = 0.25, too = 0}",
            "line 10: [optimizer.p] `too`",
        ),
        ("p = {from = 0.25}", "line 10: [optimizer.p] `to`"),
        (
            "p = {from = 2, to = 0}",
            "line 10: [optimizer.p] `from`",
        ),
        (
            'p = {from = 0, to = 0, shape = "cosine"}',
            "line 10: [optimizer.p] `shape`",
        ),
        (
            'bias_correction = "offical"',
            "line 10: [optimizer] `bias_correction`",
        ),
        ("momentum = 0.9", "line 10: [optimizer] `momentum`"),
    ],
)
def test_mistakes_in_padams_constants_are_told_with_their_line(tmp_path, line, said):
    assert f"  {said}" in refusal(tmp_path, PADAM.replace("lr = 1", f"lr = 1\n{line}"))


def test_other_optimizers_have_no_p_and_adam_no_eps_of_zero(tmp_path):
    assert "[optimizer] `p`" in refusal(tmp_path, GOOD.replace("lr = 1", "lr = 1\np = 0.25"))
    adam = GOOD.replace('"sgd"', '"adam"').replace("lr = 1", "lr = 1\neps = 0")
    assert "[optimizer] `eps`" in refusal(tmp_path, adam)


def test_only_a_set_of_files_has_another_instead(tmp_path):
    text = GOOD.replace('name = "digits"', 'name = "digits"\ninstead = "digits"')
    assert "[data] `instead`" in refusal(tmp_path, text)
