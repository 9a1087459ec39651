from linnet.jet.c.sections import sections


def test_a_section_brings_what_it_needs_in_the_order_of_the_file():
    text = sections("portable", ["bit_conv"])
    places = [text.index(word) for word in ("lj_popcount(lj_word", "lj_append(", "lj_patch(", "lj_bit_conv_portable(")]
    assert places == sorted(places)
    assert "lj_scores" not in text
    assert sections("x86", ["scores"]) == ""
