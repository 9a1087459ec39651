from linnet.data.inspection.classes import CLASSES


def test_a_defect_is_the_positive_class():
    assert CLASSES.index("defect") == 1
