"""What the pages say of Padam is what the records say."""

import pytest

from benchmarks import readme as pages
from benchmarks.padam import page as padam_page
from benchmarks.page import filled, markers
from linnet.errors import InputError
from papers.chen2020_padam.report import readme
from papers.study import finished_trials

FINISHED = finished_trials(padam_page.STUDY)
PAGE = padam_page.docs_page().current()


def test_a_block_is_replaced_and_nothing_else():
    begin, end = markers("a")
    assert filled(f"x\n{begin}\nold\n{end}\ny\n", "a", "new") == f"x\n{begin}\nnew\n{end}\ny\n"
    with pytest.raises(InputError, match="`<!-- b: begin -->`"):
        filled("x", "b", "new")


def test_the_readme_has_the_row_of_the_records():
    text = pages.page().current()
    assert filled(text, "padam", padam_page.readme_rows()) == text


def test_the_page_of_the_paper_is_that_of_the_records():
    assert (padam_page.PAPER / "README.md").read_text(encoding="utf-8") == readme.text(FINISHED, padam_page.SCALE)


def test_the_tables_of_the_study_are_those_of_the_records(tmp_path):
    begin, end = markers("padam-speed")
    speed = PAGE.partition(begin)[2].partition(end)[0].strip()
    assert filled(padam_page.docs_page(tmp_path / "none").text(), "padam-speed", speed) == PAGE


def test_the_table_of_speed_is_that_of_the_records():
    assert padam_page.NO_SPEED not in PAGE
    assert padam_page.docs_page(padam_page.SPEED).text() == PAGE


def test_the_first_paragraph_names_the_warm_up_with_its_numbers():
    first = PAGE.split("\n\n")[1]
    assert "hidden warm-up" in " ".join(first.replace("*", "").split())
    for step, shown in ((1, "0.075"), (100, "0.41"), (1000, "0.84")):
        ratio = (1 - 0.999**step) ** (1 / 2 - 1 / 8)
        assert shown in first
        assert ratio == pytest.approx(float(shown), abs=0.006)
