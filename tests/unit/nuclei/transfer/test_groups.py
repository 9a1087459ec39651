"""Groups: sides by picture, enough pictures, names that exist."""

import numpy as np
import pytest
from PIL import Image

from linnet.errors import InputError
from linnet.nuclei.transfer.groups import read_groups, shots_of, spread
from linnet.nuclei.transfer.overlap import check_images
from linnet.nuclei.transfer.plan import read_plan
from linnet.nuclei.transfer.training import shot_images
from tests.unit.nuclei.transfer.made import write_group, write_plan


@pytest.fixture
def folder(tmp_path):
    write_group(tmp_path, "a", 10, rng_seed=1)
    write_group(tmp_path, "b", 4, rng_seed=2)
    return tmp_path


def groups_of(folder, text="", **more):
    return read_groups(read_plan(write_plan(folder, text, **more)))


def test_pictures_of_a_folder_are_split_and_never_on_two_sides(folder):
    groups = groups_of(folder)
    sizes = {name: [len(group.pictures(split)) for split in ("train", "val", "test")] for name, group in groups.items()}
    assert sizes == {"a": [5, 2, 3], "b": [2, 1, 1]}
    assert groups["a"].half_radius_px == pytest.approx(26.9 / 4, abs=0.01)  # the spacing stands for the diameter
    assert groups["a"].radius_from == "spacing"


def test_images_of_one_picture_stay_together_and_a_split_of_ones_own_holds(folder):
    rows = [f"a{k}.png,p{k // 2},{'test' if k < 4 else 'train' if k < 8 else 'val'}" for k in range(10)]
    (folder / "pictures.csv").write_text("\n".join(["image,picture,split", *rows]))
    group = groups_of(folder, 'pictures = "pictures.csv"\n', groups=("b", "a"))["a"]
    assert [group.pictures(split) for split in ("train", "val", "test")] == [["p2", "p3"], ["p4"], ["p0", "p1"]]
    assert len({image.mosaic_id for image in spread(group.images, 5)}) == 5
    two = shot_images(group, 2, 0)
    assert len({image.mosaic_id for image in two}) == 2
    assert shot_images(group, 1, 0) == two[:1]


def test_a_group_of_one_picture_is_refused(folder):
    write_group(folder, "c", 1)
    with pytest.raises(InputError, match=r"the group `c` must have at least two pictures.*\(it has 1\)"):
        groups_of(folder, groups=("a", "c"))
    with pytest.raises(InputError, match=r"must have at least two groups \(it has 1: a\)"):
        groups_of(folder, groups=("a",))


def test_a_group_that_is_not_there_is_named_with_the_nearest(folder):
    with pytest.raises(InputError, match=r"`shot_groups` names the group `aa`, which isn't there.*Did you mean `a`"):
        groups_of(folder, '[study]\nshot_groups = ["aa"]\n')
    with pytest.raises(InputError, match=r"`kinds` names the group `q`"):
        groups_of(folder, '[kinds]\nq = "H&E"\n')


def test_more_target_images_than_there_are(folder):
    with pytest.raises(InputError, match=r"`shots` must not ask for more target images.*\(got 8; the group `a` has 5"):
        groups_of(folder, "[study]\nshots = [1, 8]\n")
    plan = read_plan(write_plan(folder))
    assert {name: shots_of(plan, group) for name, group in read_groups(plan).items()} == {"a": [1, 2, 4], "b": [1, 2]}


def test_a_picture_in_two_groups_is_found_by_its_looks(folder):
    taken = (folder / "a" / "images" / "a3.png").read_bytes()
    (folder / "b" / "images" / "b1.png").write_bytes(taken)
    with pytest.raises(InputError, match=r"show the same picture.*`a3` \(a, \w+\) and `b1` \(b, \w+\), 1\.000"):
        check_images(groups_of(folder), alike=0.93)


def test_a_patient_in_two_groups_is_found_by_its_name(folder):
    for name, count in (("a", 10), ("b", 4)):
        rows = [f"{name}{k},patient_{k if name == 'a' else k + 8}" for k in range(count)]
        (folder / f"{name}.csv").write_text("\n".join(["image,picture", *rows]))
    path = folder / "plan.toml"
    path.write_text(
        "".join(
            f'[groups.{n}]\nimages = "{n}/images"\npoints = "{n}/points"\npictures = "{n}.csv"\n' for n in ("a", "b")
        )
    )
    with pytest.raises(InputError, match=r"Picture or patient `patient_8` must be on one side of one group"):
        check_images(read_groups(read_plan(path)), alike=0.93)


def test_points_outside_their_image_are_refused(folder):
    (folder / "b" / "points" / "b2.csv").write_text("y,x\n5,5\n60,3\n")
    with pytest.raises(InputError, match=r"Group `b`, image `b2`: 1 of its points lie outside.*y = 60, x = 3"):
        check_images(groups_of(folder), alike=0.93)
    (folder / "b" / "points" / "b2.csv").write_text("y,x\n5,5\n")
    assert check_images(groups_of(folder), alike=0.93) == 14 * 48 * 48


@pytest.mark.parametrize("turned", [lambda p: p[::-1], lambda p: p[:, ::-1], lambda p: p.T, lambda p: p[::-1].T])
def test_a_picture_that_was_mirrored_turned_or_brightened_is_found_too(folder, turned):
    pixels = np.asarray(Image.open(folder / "a" / "images" / "a3.png"))
    Image.fromarray((turned(pixels) * 0.6 + 20).astype(np.uint8)).save(folder / "b" / "images" / "b1.png")
    with pytest.raises(InputError, match=r"show the same picture.*`a3` \(a, \w+\) and `b1` \(b, \w+\)"):
        check_images(groups_of(folder), alike=0.93)


def test_an_even_image_with_points_is_refused(folder):
    Image.fromarray(np.full((48, 48), 7, np.uint8)).save(folder / "b" / "images" / "b1.png")
    with pytest.raises(InputError, match=r"Group `b`, image `b1`: all of its pixels are 7, but it has 3 points"):
        check_images(groups_of(folder), alike=0.93)
    (folder / "b" / "points" / "b1.csv").write_text("y,x\n")
    assert check_images(groups_of(folder), alike=0.93) == 14 * 48 * 48


def test_a_side_without_any_point_is_refused(folder):
    for file in (folder / "b" / "points").iterdir():
        file.write_text("y,x\n")
    with pytest.raises(InputError, match=r"the group `b` must have points on its images in `train` \(it has none on 2"):
        groups_of(folder)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (None, r"p\.csv can't be read \(No such file or directory\)\. `pictures` names a CSV with image and picture"),
        ("a,b\nb0,1\n", r"must have the columns image and picture \(it has 'a', 'b'\)"),
        ("", r"must have the columns image and picture \(it has no columns\)"),
        ("image,picture\nb0,1\n", r"must have a row for each image with points \(it lacks 'b1'\)"),
        ("image,picture\nb0,\n", r"`picture` must be named in every row \(it is empty for the image 'b0'\)"),
        ("image,picture\nb0\n", r"`picture` must be named in every row \(it is empty for the image 'b0'\)"),
        (
            "image,picture\nb0,1\nb0.png,2\n",
            r"one thing about each image \(it has 'b0' twice: as picture '1' and as '2'",
        ),
        ("image,picture,split\nb0,1,tset\nb1,2,\nb2,3,\nb3,4,\n", r"`split` must be train, val or test .*'tset'"),
    ],
)
def test_a_table_of_pictures_that_cannot_be_used(folder, table, told):
    if table is not None:
        (folder / "p.csv").write_text(table)
    with pytest.raises(InputError, match=told):
        groups_of(folder, 'pictures = "p.csv"\n')
