"""A simulator of Verilog whose designs are built in one run of yosys and one of the compiler."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from torch import Tensor

from linnet.jet import Program
from linnet.jet.verification.cxxrtl import Stimulus, simulated_together
from linnet.jet.verilog.network import Design, design


class BuiltTogether:
    """Stands for the simulator "rtl" of `linnet.jet.verification.rtl`; a design that wasn't listed is built alone.

    Attributes:
        answers: What each design gave, by its text and its frames.
    """

    def __init__(self, stimuli: Sequence[Stimulus]) -> None:
        self.answers = dict(zip(map(self.key, stimuli), simulated_together(stimuli), strict=True))

    @classmethod
    def of(cls, programs: Iterable[tuple[Program, Tensor]]) -> BuiltTogether:
        """For programs that will be verified on frames."""
        stimuli = []
        for program, frames in programs:
            made = design(program.graph, *program.graph.input_shape[1:], "linnet_jet")  # the name that `verify` gives
            stimuli.append(Stimulus(made, made.text, frames.numpy()))
        return cls(stimuli)

    @staticmethod
    def key(one: Stimulus) -> tuple[str, str, bytes]:
        return one.text, str(one.pixels.shape), one.pixels.astype(np.int64).tobytes()

    def __call__(self, design: Design, text: str, pixels: np.ndarray) -> tuple[np.ndarray, float]:
        one = Stimulus(design, text, pixels)
        key = self.key(one)
        if key not in self.answers:
            [self.answers[key]] = simulated_together([one])
        return self.answers[key]
