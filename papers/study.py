"""The trials of a study and how they are carried out, under the names that the papers use."""

from linnet.engine.trials.execution import carry_out
from linnet.engine.trials.trial import Finished, NextTrials, Outcome, Trial, finished_trials
from linnet.results.record import Fact

__all__ = ["Fact", "Finished", "NextTrials", "Outcome", "Trial", "carry_out", "finished_trials"]
