from hypothesis import given, settings
from hypothesis import strategies as st

from linnet.recipe.toml.lines import lines_of

TEXT = '''\
# a comment with [a] = in it
task = "x"

[train]   # [not.this]
epochs = 3
"quoted key" = 1
list = [
  1,  # epochs = 4
  "]",
]
text = """
[fake]
key = 1
"""
dotted.inner = 2

  [ data . more ]
size = {height = 1, width = 2}
\tafter = 3
[[stages]]
name = "a"
'''


def test_every_kind_of_statement_is_found():
    assert lines_of(TEXT) == {
        ("task",): 2,
        ("train",): 4,
        ("train", "epochs"): 5,
        ("train", "quoted key"): 6,
        ("train", "list"): 7,
        ("train", "text"): 11,
        ("train", "dotted"): 15,
        ("train", "dotted", "inner"): 15,
        ("data",): 17,
        ("data", "more"): 17,
        ("data", "more", "size"): 18,
        ("data", "more", "size", "height"): 18,
        ("data", "more", "size", "width"): 18,
        ("data", "more", "after"): 19,
        ("stages",): 20,
        ("stages", "name"): 21,
    }


def test_windows_line_ends_count_once():
    assert lines_of(TEXT.replace("\n", "\r\n")) == lines_of(TEXT)


values = st.recursive(
    st.sampled_from(["1", "true", '"a # [b]"', "'c'", '"""d\n[e]\n"""', "2020-01-01"]),
    lambda inner: st.lists(inner, max_size=3).map(lambda items: "[\n" + ",\n".join(items) + "\n]"),
    max_leaves=4,
)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), values), max_size=8))
def test_lines_are_those_where_the_keys_were_written(statements):
    written, wanted = [], {}
    for number, (blank, value) in enumerate(statements):
        written += ["# comment = 1"] * blank
        wanted[f"key{number}",] = len("\n".join(written).split("\n")) + 1 if written else 1
        written.append(f"key{number} = {value}")
    assert lines_of("\n".join(written)) == wanted
