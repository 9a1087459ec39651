"""The mark of tests that build C."""

import pytest

from linnet.jet.verification.c_builds import missing_c

needs_compiler = pytest.mark.skipif(bool(missing_c()), reason=missing_c() or "a C compiler is here")
