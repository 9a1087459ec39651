import warnings

import pytest

from tests.forked import run, run_on_ranks


def test_each_process_starts_afresh_in_its_folder(tmp_path):
    for name in ("a", "b"):
        code = "import builtins, sys, pathlib; assert not hasattr(builtins, 'seen'); builtins.seen = True\n"
        run(f"{code}assert __name__ == '__main__'; pathlib.Path('{name}').write_text(sys.argv[0])", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_the_environment_is_that_of_the_call(tmp_path, monkeypatch):
    for word in ("one", "two"):
        monkeypatch.setenv("LINNET_WORD", word)
        run(f"import os; assert os.environ['LINNET_WORD'] == '{word}'", tmp_path)


@pytest.mark.parametrize("code", ["1 / 0", "raise SystemExit(3)", "import warnings; warnings.warn('a')"])
def test_errors_and_warnings_are_noticed(tmp_path, code):
    with warnings.catch_warnings(), pytest.raises(AssertionError, match="exit code"):
        run(code, tmp_path)


def test_ranks_are_joined_and_what_they_print_comes_back(tmp_path):
    script = tmp_path / "ranks.py"
    script.write_text(
        "import sys, torch, torch.distributed as dist\n"
        "dist.init_process_group('gloo')\n"
        "total = torch.tensor([dist.get_rank() + 1])\n"
        "dist.all_reduce(total)\n"
        "print('rank', dist.get_rank(), sys.argv[1], int(total))\n"
    )
    told = run_on_ranks(script, tmp_path, "gave")
    assert "rank 0 gave 3" in told
    assert "rank 1 gave 3" in told


def test_a_rank_that_fails_is_noticed_with_its_words(tmp_path):
    script = tmp_path / "ranks.py"
    script.write_text("import os; assert os.environ['RANK'] == '0', 'a fault on rank 1'")
    with pytest.raises(AssertionError, match="a fault on rank 1"):
        run_on_ranks(script, tmp_path)
