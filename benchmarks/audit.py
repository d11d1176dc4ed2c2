"""Audits beside other toolkits, in turns in one run: fairness of a million decisions about 60 groups, with 1,000 resamples.

fairlearn's MetricFrame on the same decisions computes the values alone (`fairlearn_plain`), and with its own bootstrap of 5 resamples, from
which its time for 1,000 is extrapolated (`fairlearn_1000_extrapolated`). With --quick: 100,000 decisions.
"""

import time

import numpy as np
from harness import Figures, main

GROUPS, RESAMPLES, PERMUTATIONS, FEW = 60, 1_000, 9_999, 5
RATES = ("selection_rate", "true_positive_rate", "false_positive_rate", "false_negative_rate")


def decisions(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, answer and group of n made-up decisions; a fifth are wrong, in every group alike."""
    rng = np.random.default_rng(0)
    group, truth = rng.integers(0, GROUPS, n), rng.integers(0, 2, n)
    return truth, np.where(rng.random(n) < 0.2, 1 - truth, truth), group


def ours(truth: np.ndarray, answer: np.ndarray, group: np.ndarray) -> dict[str, np.ndarray]:
    """Four rates of each group in every resample, four criteria with intervals, and three permutation tests."""
    from charter.audits.permutation import given_of, p_value, permuted
    from charter.audits.rates import Decisions, cells
    from charter.audits.resampling import Resampling
    from charter.audits.spread import difference, ratio
    from charter.spec.fairness import CRITERIA

    how = Resampling(RESAMPLES, 0.95, 0)
    found = cells(Decisions(("no", "yes"), tuple(map(str, range(GROUPS))), truth, answer, group), how)
    everyone, lots = np.arange(GROUPS), {}
    for names in CRITERIA.values():
        rates = [found.rate(name, "yes") for name in names]
        difference(rates, everyone, how)
        ratio(rates, everyone, how)
        given = given_of(names[0])
        if given not in lots:
            lots[given] = permuted(found, given, everyone, PERMUTATIONS, 0)
        drawn = lots[given]
        assert drawn is not None
        p_value(drawn, [(name, "yes") for name in names])
    return {name: found.rate(name, "yes").values for name in RATES}


def fairlearns(
    truth: np.ndarray, answer: np.ndarray, group: np.ndarray, resamples: int = 0
) -> dict[str, np.ndarray]:
    """The same rates by fairlearn; resamples: of its own bootstrap."""
    from fairlearn import metrics

    boot = {"n_boot": resamples, "ci_quantiles": [0.025, 0.975], "random_state": 0} if resamples else {}
    frame = metrics.MetricFrame(
        metrics={name: getattr(metrics, name) for name in RATES},
        y_true=truth,
        y_pred=answer,
        sensitive_features=group,
        **boot,
    )
    return {name: frame.by_group[name].to_numpy() for name in RATES}


def measure(quick: bool) -> Figures:
    """CPU-seconds of each, the fastest of three in turns, and their ratios."""
    given = decisions(100_000 if quick else 1_000_000)
    arms = {"fairness": ours, "fairlearn_plain": fairlearns}
    times: dict[str, list[float]] = {name: [] for name in arms}
    values = {}
    for _ in range(3):
        for name, arm in arms.items():
            begun = time.process_time()
            values[name] = arm(*given)
            times[name].append(time.process_time() - begun)
    for name in RATES:
        np.testing.assert_allclose(values["fairness"][name], values["fairlearn_plain"][name])
    begun = time.process_time()
    fairlearns(*given, resamples=FEW)
    boot = time.process_time() - begun
    seconds = {name: min(each) for name, each in times.items()}
    extrapolated = seconds["fairlearn_plain"] + (boot - seconds["fairlearn_plain"]) / FEW * RESAMPLES
    return {
        "fairness_cpu_seconds": seconds["fairness"],
        "fairlearn_plain_cpu_seconds": seconds["fairlearn_plain"],
        "fairlearn_vs_ours": seconds["fairlearn_plain"] / seconds["fairness"],
        "fairlearn_1000_extrapolated_cpu_seconds": extrapolated,
    }


if __name__ == "__main__":
    main(measure, __doc__ or "")
