from benchmarks.nuclei import reach_page


def test_the_page_says_what_the_records_say():
    assert reach_page.PAGE.current() == reach_page.PAGE.text()
    assert "| 1.00 |" in reach_page.PAGE.current()
    assert "never seen" in reach_page.PAGE.current()
