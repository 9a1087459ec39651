"""What a study finds when it goes on: damaged records, networks and descriptions, other images than it began with."""

import dataclasses
import errno
import json

import numpy as np
import pytest
from PIL import Image

from linnet.errors import InputError, TrainingError
from linnet.nuclei.transfer.description import Description, keep_or_refuse
from linnet.nuclei.transfer.kept import check_records, keeping, kept_network
from linnet.nuclei.transfer.plan import read_plan
from linnet.nuclei.transfer.running import begin, make_folder, prepare, study
from linnet.results import write_records
from tests.unit.nuclei.transfer.made import findings, record, write_group, write_plan

HITS = {group: [8, 7, 9] for group in "abc"}


def records():
    return [record("alone", HITS, validation={"a": 0.5}, group=group, seed=0) for group in "abc"]


def with_facts(kept, **facts):
    return dataclasses.replace(kept, context={**kept.context, **facts})


def checked(made):
    found = findings(made)
    check_records("record.jsonl", found.finished, found.study)


def test_records_of_the_study_pass():
    checked(records())


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"counts": "{"}, "its counts are missing or damaged"),
        ({"counts": "[]"}, "its counts are missing or damaged"),
        ({"counts": None}, "its counts are missing or damaged"),
        ({"validation_f1": "7"}, "its counts are missing or damaged"),
        ({"stage": "zz"}, r"its stage must be one of shipped, alone, mixture, others, shots \(got 'zz'\)"),
        ({"counts": json.dumps({"q": {}})}, "it was tested on the group `q`, which the plan doesn't have"),
        ({"counts": json.dumps({"a": {"px": {"p0": [1, 2]}, "half": {}}})}, "its counts on the group `a` are damaged"),
        (
            {"counts": json.dumps({"a": {"px": {"other": [1, 2, 3]}, "half": {"other": [1, 2, 3]}}})},
            "its test pictures of the group `a` aren't those of the other records",
        ),
    ],
)
def test_a_damaged_record_is_named_with_the_way_out(facts, told):
    first, second, third = records()
    with pytest.raises(InputError, match=rf"^record.jsonl: the record of the training `.*seed=0` .*{told}\. Remove"):
        checked([first, with_facts(second, **facts), third])


def test_a_record_without_its_facts_is_named():
    first, *more = records()
    bare = {name: value for name, value in first.context.items() if name != "counts"}
    with pytest.raises(InputError, match="its counts are missing or damaged"):
        checked([dataclasses.replace(first, context=bare), *more])


def test_a_damaged_network_is_told_with_the_way_out(tmp_path):
    file = tmp_path / "alone-1.safetensors"
    file.write_bytes(b"cut")
    with pytest.raises(InputError, match=r"alone-1\.safetensors can't be read.*Remove the file; the same command"):
        kept_network(file)


@pytest.fixture
def plan(tmp_path):
    write_group(tmp_path, "a", 5, rng_seed=1)
    write_group(tmp_path, "b", 4, rng_seed=2)
    return write_plan(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe\x00", b'{"scale": "cpu", "settings": [], "groups": {}}'])
def test_a_damaged_description_is_named(plan, tmp_path, content):
    prepared = prepare(plan)
    begin(prepared, tmp_path / "out")
    (tmp_path / "out" / "study.json").write_bytes(content)
    with pytest.raises(InputError, match=r"study\.json can't be read: it says what the records .* are of"):
        begin(prepared, tmp_path / "out")


def test_other_pixels_under_the_same_names_are_another_study(plan, tmp_path):
    begin(prepare(plan), tmp_path / "out")
    image = tmp_path / "a" / "images" / "a1.png"
    Image.fromarray(255 - np.asarray(Image.open(image))).save(image)
    now = prepare(plan)
    with pytest.raises(InputError, match=r"images, points, sides or kind of the group `a` have changed"):
        begin(now, tmp_path / "out")
    file = tmp_path / "out" / "study.json"
    before = json.loads(file.read_text())
    for facts in before["groups"].values():
        del facts["pixels"]  # a study of an earlier version doesn't know its pixels
    file.write_text(json.dumps(before))
    keep_or_refuse(file, now.description)
    assert Description.from_json(file.read_text()).groups["a"].pixels == ""


def test_a_damaged_record_stops_the_study_before_anything_is_trained(plan, tmp_path):
    begin(prepare(plan), tmp_path / "out")
    write_records(tmp_path / "out" / "record.jsonl", [record("alone", {"a": [3]}, group="a", seed=0)])
    file = tmp_path / "out" / "record.jsonl"
    file.write_text(file.read_text().replace('"counts"', '"count"'))
    with pytest.raises(InputError, match="its counts are missing or damaged"):
        study(plan, out=tmp_path / "out", minutes=0)


def test_numbers_and_places_that_mean_nothing(plan, tmp_path):
    with pytest.raises(InputError, match=r"`workers` must be left out with `cluster`.*\(got 2\)"):
        study(plan, out=tmp_path / "out", workers=2, cluster="tcp://127.0.0.1:1")
    with pytest.raises(InputError, match=r"`minutes` must be a finite number of at least 0 \(got -3\)"):
        study(plan, out=tmp_path / "out", minutes=-3)
    with pytest.raises(InputError, match=r"`out` must be a folder"):
        make_folder(plan)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["", " ", "a|b", "a\\nb"])
def test_a_name_that_no_table_can_show_is_refused(plan, name):
    plan.write_text(plan.read_text().replace("[groups.b]", f'[groups."{name}"]'))
    with pytest.raises(InputError, match=r"the name of a group must be printable text without `\|`"):
        prepare(plan)


def test_the_folder_of_a_user_who_is_not_there(plan):
    plan.write_text(plan.read_text().replace('"a/images"', '"~nobody17/images"'))
    with pytest.raises(InputError, match=r"`~nobody17/images` names the folder of a user who isn't there"):
        prepare(plan)
    assert read_plan(plan).beside("~").is_absolute()


@pytest.mark.parametrize(
    ("code", "told"),
    [(errno.ENOSPC, r"the disk is full\)\. .* kept: make room"), (errno.EACCES, r"Denied\)\. .* kept: mend that")],
)
def test_a_file_that_cannot_be_written_is_told_with_the_way_out(tmp_path, code, told):
    refused = pytest.raises(TrainingError, match=rf"page can't be written \({told}, and the same command goes on")
    with refused, keeping(tmp_path / "page"):
        raise OSError(code, "Denied")


def test_a_network_that_the_disk_has_no_room_for_stops_the_study_and_keeps_its_records(plan, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    tiny = '[study]\nsteps = 1\nshot_steps = 1\nbatch_size = 1\nside = 48\narms = ["matrix"]\n'
    plan.write_text(plan.read_text() + tiny)
    monkeypatch.setattr("linnet.engine.files.tensor_file.atomic_path", full)
    told = (
        r"alone-.*can't be written \(No space left on device\).* Make room.* The finished trainings are kept, and the"
    )
    with pytest.raises(TrainingError, match=told):
        study(plan, out=tmp_path / "out", scale="smoke")
    monkeypatch.undo()
    assert len(study(plan, out=tmp_path / "out", scale="smoke")) == 2
