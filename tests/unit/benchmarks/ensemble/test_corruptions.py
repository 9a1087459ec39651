"""The subject "ensemble" runs, and its table says what its records say."""

from benchmarks.ensemble import corruptions, subject
from linnet.data import corruption_names


def test_every_corruption_has_a_rate_and_the_goals_have_rows():
    records = subject.SUBJECT.measure(quick=True)
    table = subject.SUBJECT.as_markdown(records)
    assert [record.name for record in records if "rate" in record.name] == [
        f"corruptions.rate.{name}" for name in corruption_names()
    ]
    for record in records:
        if record.name == "corruptions.suite.imagecorruptions" and record.value is None:
            assert "can't be imported" in record.context["reason"]
            continue
        assert record.value is not None
        assert record.value > 0
    assert "| corrupt, the whole suite on 8 images | a loop over single images | >= 10x |" in table
    assert "| evaluate, 500 samples" in table


def test_the_sheet_is_drawn(tmp_path):
    path = corruptions.draw(tmp_path / "sheet.png")
    assert path.read_bytes()[:4] == b"\x89PNG"
