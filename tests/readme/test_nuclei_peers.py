from benchmarks.nuclei.rivals import page


def test_the_page_says_what_the_records_say():
    assert page.PAGE.current() == page.PAGE.text()
    assert "StarDist" in page.PAGE.current()
