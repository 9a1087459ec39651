"""The page of the paper on pruning is what its records say."""

from papers.qi2021_pruning.report import readme
from papers.qi2021_pruning.report.findings import Study
from papers.qi2021_pruning.run import HERE, headlines_beside, times_path
from papers.qi2021_pruning.scales import SCALES
from papers.study import finished_trials

RECORDS = HERE / "records" / "cpu.jsonl"


def test_the_page_is_that_of_the_records():
    study = Study(SCALES["cpu"], finished_trials(RECORDS), finished_trials(times_path(RECORDS)))
    assert (HERE / "README.md").read_text(encoding="utf-8") == readme.text(study, headlines_beside(RECORDS))
