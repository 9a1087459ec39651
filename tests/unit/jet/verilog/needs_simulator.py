"""The mark of tests that run Verilog."""

import pytest

from linnet.jet.verification.rtl import missing_icarus, missing_rtl

needs_simulator = pytest.mark.skipif(bool(missing_rtl()), reason=missing_rtl() or "yosys and g++ are here")
needs_icarus = pytest.mark.skipif(bool(missing_icarus()), reason=missing_icarus() or "Icarus is here")
