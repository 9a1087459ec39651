import copy

from linnet.report.ensemble.sections import uncertainty_sections

FACTS = {
    "reliability": {"ensemble": [(0.25, 1, 4), (0.9, 9, 10)]},
    "costs": {"seed": [(10, 1.2), (20, 0.8)], "total": 50},
    "nll": {"seed": 0.9, "hatched": 0.7},
    "rejection": {"ensemble": {"kept": [0.5, 1.0], "error": [0.0, 0.2]}},
    "entropies": {"edges": [0.0, 0.5, 1.0], "inside": [3, 1], "outside": [0, 0]},
    "unsure": [
        {"pixels": [[[0], [255]]], "true": "boot", "said": "bag", "aleatoric": 0.25, "epistemic": 0.5},
        {"pixels": [[[0, 9, 9], [255, 9, 9]]], "true": "bag", "said": "boot", "aleatoric": 0.1, "epistemic": 0.2},
    ],
    "grid": {"names": ["blur", "noise"], "severities": [1, 5], "ece": {"mean": [[0.1, 0.2], [0.0, 0.3]]}},
}


def test_six_pictures_say_what_the_facts_hold():
    sections = uncertainty_sections(FACTS)
    assert [section.title for section in sections] == [
        "Reliability", "Budget", "Rejection", "Entropy", "Most uncertain", "Corruptions",
    ]  # fmt: skip
    shown = {section.title: str(section.body[0]) for section in sections}
    assert "hatched, test" in shown["Budget"]
    assert "from outside" in shown["Entropy"]
    assert "boot, said bag" in shown["Most uncertain"]
    assert "aleatoric 0.25, epistemic 0.50" in shown["Most uncertain"]
    assert all(value in shown["Corruptions"] for value in ("0.10", "0.20", "0.00", "0.30", "blur", "noise"))


def test_without_a_corrupted_suite_there_are_five():
    facts = copy.deepcopy(FACTS) | {"grid": {"names": [], "severities": [], "ece": {}}}
    assert [section.title for section in uncertainty_sections(facts)][-1] == "Most uncertain"


def test_equal_facts_give_equal_bytes():
    assert uncertainty_sections(FACTS) == uncertainty_sections(copy.deepcopy(FACTS))
