"""The page of the paper on jets is what its records say."""

from papers.simons2021_jets.report import readme
from papers.simons2021_jets.report.findings import Study
from papers.simons2021_jets.run import HERE
from papers.simons2021_jets.scales import SCALES
from papers.study import finished_trials


def test_the_page_is_that_of_the_records():
    study = Study(SCALES["cpu"], finished_trials(HERE / "records" / "cpu.jsonl"))
    assert (HERE / "README.md").read_text(encoding="utf-8") == readme.text(study)
