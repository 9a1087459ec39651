"""The smallest scale runs, resumes, and its page shows every claim with a verdict."""

from papers.karakida2021_spectra.problems import SCALES
from papers.karakida2021_spectra.run import main
from papers.karakida2021_spectra.trials import next_trials
from papers.study import finished_trials


def test_the_smallest_scale_runs_and_writes_its_page(tmp_path, capsys):
    assert main(["--scale", "smoke", "--out", str(tmp_path)]) == 0
    finished = finished_trials(tmp_path / "records" / "smoke.jsonl")
    assert len(finished) == len(next_trials({}, scale=SCALES["smoke"]))
    text = (tmp_path / "README.md").read_text()
    for part in ("## Claims", "## Regression", "## Cross entropy", "## A real network", "end of training"):
        assert part in text
    assert "not run" not in text
    names = ("kappa", "regression", "softmax", "outliers", "centred", "training", "map", "real")
    assert all((tmp_path / "pictures" / f"{name}.png").stat().st_size > 5000 for name in names)
    assert (tmp_path / "report.html").read_text().count("<svg") == len(names)
    capsys.readouterr()
    assert main(["--scale", "smoke", "--out", str(tmp_path)]) == 0
    assert "0 runs" in capsys.readouterr().out
