"""What is to be done next, from what is finished: learning rates, then arms, then the ablation."""

from __future__ import annotations

from itertools import chain

from papers.qi2021_pruning.ablation import images, variants
from papers.qi2021_pruning.arms import ARMS
from papers.qi2021_pruning.peer import INSTALLED
from papers.qi2021_pruning.scales import Scale
from papers.study import Fact, Finished, Trial

TUNING_SEED = 0


def next_trials(finished: Finished, scale: Scale, *, peer: bool = INSTALLED) -> list[Trial]:
    """All trials that can be done now, the most important first.

    For each set: the learning rate, chosen for the dense network, and the factor of fine-tuning, chosen for one-shot
    L1. Then the arms, seed by seed, and in a seed budget by budget, three seeds; between the first and the second, and
    after the third, the two parts of the ablation; then the arms' other seeds.

    Args:
        finished: What is finished.
        scale: Sizes.
        peer: Whether Torch-Pruning takes part.
    """
    tuning = [trial for name in scale.sets for trial in _rates(name, scale) if scale.tuned]
    if any(trial.key not in finished for trial in tuning):
        return tuning
    tuning = [trial for name in scale.sets for trial in _factors(name, finished, scale) if scale.tuned]
    if any(trial.key not in finished for trial in tuning):
        return tuning
    arms = [_arms(seed, finished, scale, peer=peer) for seed in range(1, scale.seeds + 1)]
    seeds = range(1, scale.ablation_seeds + 1)
    early, late = ([_ablation(seed, finished, scale, early=part) for seed in seeds] for part in (True, False))
    return [*chain.from_iterable([*arms[:1], *early, *arms[1:3], *late, *arms[3:]])]


def chosen_rate(name: str, finished: Finished, scale: Scale) -> float:
    """The learning rate with the best validation accuracy of the dense network."""
    return float(_best(_rates(name, scale), finished).settings["lr"]) if scale.tuned else scale.lrs[0]


def chosen_factor(name: str, finished: Finished, scale: Scale) -> float:
    """The factor on it for fine-tuning, by validation accuracy of one-shot L1."""
    if not scale.tuned:
        return scale.fine_tune[0]
    return float(_best(_factors(name, finished, scale), finished).settings["fine_tune"])


def _best(trials: list[Trial], finished: Finished) -> Trial:
    return max(trials, key=lambda trial: finished[trial.key].value or 0.0)


def _rates(name: str, scale: Scale) -> list[Trial]:
    return [Trial("rate", {"data": name, "arm": "dense", "lr": lr, "seed": TUNING_SEED}) for lr in scale.lrs]


def _factors(name: str, finished: Finished, scale: Scale) -> list[Trial]:
    lr = chosen_rate(name, finished, scale)
    shared = {"data": name, "arm": "l1", "budget": scale.budgets[0].name, "lr": lr, "seed": TUNING_SEED}
    return [Trial("fine-tuning", {**shared, "fine_tune": factor}) for factor in scale.fine_tune]


def _arms(seed: int, finished: Finished, scale: Scale, *, peer: bool) -> list[Trial]:
    trials = []
    for place, target in enumerate(scale.budgets):
        for name in scale.sets:
            settings: dict[str, Fact] = {"data": name, "lr": chosen_rate(name, finished, scale), "seed": seed}
            if scale.gpu_epochs:
                settings["epochs"] = scale.epochs
            factor = chosen_factor(name, finished, scale)
            for arm in scale.arms or ARMS:
                if arm == "dense":
                    if place == 0:
                        trials.append(Trial("arms", {**settings, "arm": arm}))
                    continue
                longer = arm == "uniform_longer" and place > 0  # at the first budget only: it takes long
                if not longer and (peer or not arm.startswith("torch_pruning")):
                    more = {"fine_tune": factor} if arm == "l1" or arm.startswith("torch_pruning") else {}
                    trials.append(Trial("arms", {**settings, "arm": arm, "budget": target.name, **more}))
    return trials


def _ablation(seed: int, finished: Finished, scale: Scale, *, early: bool) -> list[Trial]:
    name = images(scale)
    settings = {"data": name, "lr": chosen_rate(name, finished, scale), "seed": seed}
    return [Trial("ablation", {**settings, "variant": key}) for key in variants(scale, early=early)]
