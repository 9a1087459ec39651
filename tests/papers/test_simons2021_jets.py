"""The study of jets: its smallest scale runs to tables, rates are tuned apart, verdicts follow from seeds."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from linnet.jet import freeze
from linnet.report.jet.feature_maps import Box, sign_maps
from linnet.results import Record
from papers.simons2021_jets import maps, plan
from papers.simons2021_jets.networks import KINDS, OneHotJet, network
from papers.simons2021_jets.report import pictures, tables
from papers.simons2021_jets.report.findings import Study, at_equal_lut, difference, kinds_p, mean_interval, spread_p
from papers.simons2021_jets.run import main
from papers.simons2021_jets.scales import SCALES
from papers.simons2021_jets.training import PIXELS, auroc


def test_the_smallest_scale_runs_to_a_page_and_is_resumed(tmp_path, capsys):
    assert main(["--scale", "smoke", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "README.md").read_text()
    assert text.count("| 4 |") >= len(KINDS)
    assert "inconclusive" in text
    assert (tmp_path / "pictures" / "accuracy_cost.png").exists()
    capsys.readouterr()
    assert main(["--scale", "smoke", "--out", str(tmp_path)]) == 0
    assert "0 runs in" in capsys.readouterr().out


def made_up(trial, value):
    context = {"trial": trial.key, "stage": trial.stage, **trial.settings, "kinds": "[[10, 20, 10]]", "epoch_sd": 0.01}
    context |= {
        "layers": '{"0": 300, "3": 700}',
        "loss": 0.5,
        "bit_adds": 100 + 200 * (trial.settings["kind"] == "binary"),
        "adds": 10,
    }
    return Record("a", value, n=10, rng_seed=trial.settings["seed"], context=context, machine="m", commit="c")


def study(jet_gain):
    scale, finished = SCALES["cpu"], {}
    while left := [t for t in plan.next_trials(finished, scale) if t.key not in finished]:
        for trial in left:
            kind, lr, seed = (trial.settings[k] for k in ("kind", "lr", "seed"))
            best = {"float": 0.01, "binary": 0.2}.get(kind, 0.1)
            if trial.stage == "area":
                area = 1000 * trial.settings["width"] * (2 if kind == "binary" else 1.5)
                finished[trial.key] = made_up(trial, area)
                continue
            value = 0.8 + 0.001 * (seed % 5) + jet_gain * kind.startswith("jet") - abs(lr - best)
            finished[trial.key] = made_up(trial, value)
    return Study(scale, finished)


def test_each_type_gets_its_own_rate_and_then_all_seeds():
    made = study(0.0)
    cells = (("mnist", 4, "float"), ("deeppcb", 4, "binary"), ("mnist", 8, "jet_free"))
    assert [made.rate(*cell) for cell in cells] == [0.01, 0.2, 0.1]
    assert len(made.scores("magnetic_tile", 4, "jet_free")) == SCALES["cpu"].seeds
    rates = {r.context["seed"] for r in made.finished.values() if r.context["stage"] == "rate"}
    assert rates == {plan.RATE_SEED}


@pytest.mark.parametrize(("gain", "verdict"), [(0.0, "supported"), (-0.05, "not supported"), (0.05, "inconclusive")])
def test_parity_follows_from_the_margin(gain, verdict):
    rows = tables.claims(study(gain)).rows
    assert [row[4] for row in rows if "comparably" in row[0]] == [verdict] * 6


def test_scores_are_compared_at_equal_luts():
    assert at_equal_lut([(1000, 0.5), (4000, 0.9)], 2000) == pytest.approx(0.7)
    assert at_equal_lut([(1000, 0.5), (4000, 0.9)], 5000) is None
    assert at_equal_lut([(1000, 0.5)], 1000) is None
    made = study(0.0)  # binary: 8,000 LUTs at width 4, 16,000 at 8; jets at width 8: 12,000
    assert tables.equal_lut(made, "deeppcb", "jet_free") == pytest.approx(0.0)
    shown = pictures.drawable(made)
    assert set(shown) == {"accuracy_cost", "kinds", "accuracy_lut", "lut_layers"}
    for picture in shown.values():
        assert len(picture.draw().axes) == 3


def test_feature_maps_come_back_from_a_record_as_they_were():
    torch.manual_seed(0)
    net = network("jet_free", 4, 32, 2).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32), dtype=np.uint8)
    program = freeze(net, torch.from_numpy(pixels)[None].long(), pixels=PIXELS)
    context = maps.facts(program, "board", pixels, Box(8, 9, 12, 14))
    image, layers, box = maps.kept(json.loads(json.dumps(context)))
    np.testing.assert_array_equal(image, pixels)
    assert box == Box(8, 9, 12, 14)
    for found, made in zip(layers, sign_maps(program, pixels.astype(np.int64)), strict=True):
        np.testing.assert_array_equal(found.values, made.values)
        assert (found.name, found.place) == (made.name, made.place)
    made = study(0.0)
    trial = next(t for t in plan.next_trials(made.finished, made.scale) if t.stage == "maps")
    record = made.finished[trial.key]
    made.finished[trial.key] = replace(record, context={**record.context, **context})
    shown = pictures.drawable(made)["feature_maps"]
    assert "board board, white +1" in shown.caption
    assert sum(bool(ax.images) for ax in shown.draw().axes) == 1 + 4 + 8


def test_a_held_out_defect_is_the_same_at_every_call(tmp_path):
    (tmp_path / "images").mkdir()
    board = np.random.default_rng(0).integers(0, 256, (100, 100), dtype=np.uint8)
    Image.fromarray(board).save(tmp_path / "images" / "b_test.png")
    (tmp_path / "meta.csv").write_text("image_id,board_group\na,group00041\nb,group92000\n")
    (tmp_path / "boxes.csv").write_text("image_id,y1,x1,y2,x2\na,1,1,5,5\nb,0,0,90,90\nb,40,50,49,58\n")
    name, pixels, box = maps.held_out_defect(tmp_path, 32)
    assert (name, box) == ("b", Box(14, 14, 19, 18))  # cut from row 12 and column 22
    assert pixels[0, 5, 7] == np.rint(board[12 + 10 : 12 + 12, 22 + 14 : 22 + 16].mean())


def test_the_area_under_the_curve_is_the_share_of_ordered_pairs():
    scores, positive = np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, False, True, True])
    assert auroc(scores, positive) == (1 + 0.5 + 1 + 1) / 4


def test_intervals_of_means_hold_the_mean():
    low, high = mean_interval([0.8, 0.9, 0.7, 0.85])
    assert 0.7 <= low < np.mean([0.8, 0.9, 0.7, 0.85]) < high <= 0.9


def test_few_seeds_decide_nothing():
    assert difference([0.9, 0.9, 0.9], [0.9, 0.9, 0.9]).parity() == "inconclusive"
    assert difference([0.9], [0.9]) is None
    assert spread_p([1, 2], [1, 2]) is None


def test_the_tests_are_those_of_their_names():
    assert kinds_p(np.array([25, 50, 25])) == pytest.approx(1.0)
    assert kinds_p(np.array([80, 10, 10])) < 1e-6
    assert spread_p([0, 1, 2, 3, 4], [0, 100, -100, 50, -50]) < 0.2


def test_networks_differ_in_their_layers_alone():
    torch.manual_seed(0)
    x = torch.zeros(2, 1, 16, 16)
    for kind in KINDS:
        net = network(kind, 4, 16, 3)
        net(x).sum().backward()
        trained = net[0].latents.requires_grad if kind not in ("float",) else True
        assert trained == (kind != "jet_frozen")
    kernels = OneHotJet(1, 50, -1)
    assert len({tuple(row) for row in kernels.bank[kernels.latents.argmax(-1).flatten()].tolist()}) <= 9
