import warnings

import pytest

from tests.forked import run


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
