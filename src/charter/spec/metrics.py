"""What the built-in audits measure, by which slices, and within which range: a limit nothing can prove is refused before a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from charter.spec import fairness
from charter.spec.limits import Limit
from charter.spec.messages import near

GAIN = "headline_gain"
MULTIPLE = "perplexity_over_baseline"
BESIDE_BASELINES = (GAIN, MULTIPLE)
"""What is measured of the model beside a baseline, and may be limited."""
"""How much better the model's headline score is than a baseline's, measured with each baseline as its slice."""
OF_THE_TABLE = (
    "k_anonymity",
    "rows_in_small_classes",
    "rows_alone",
    "class_size",
    "distinct_l_diversity",
    "entropy_l_diversity",
    "t_closeness",
)
"""What the audit `reidentification` measures of the training rows as a whole, whatever the task."""
HEADLINES: Mapping[str, str] = {
    "causal_language_modelling": "token_accuracy",
    "classification": "macro_f1",
    "text_pair_classification": "macro_f1",
    "multi_label_classification": "macro_f1",
    "ordinal": "quadratic_weighted_kappa",
    "masked_language_modelling": "token_accuracy",
    "multiple_choice": "accuracy",
    "next_sentence_prediction": "token_accuracy",
    "question_answering": "answer_f1",
    "regression": "r2",
    "replaced_token_detection": "detection_f1",
    "sentence_embedding": "ndcg_at_10",
    "sentence_order_prediction": "token_accuracy",
    "simcse": "ndcg_at_10",
    "sentence_similarity": "pearson",
    "token_classification": "micro_f1",
}
"""Task -> its main score: what early stopping and the comparison with the baselines read."""
_MACRO = ("macro_f1", "macro_precision", "macro_recall")
_OF_CLASSES = ("accuracy", "macro_f1", "micro_f1", "macro_precision", "macro_recall", "mcc", "auroc", "auprc")
_MICRO = ("micro_f1", "micro_precision", "micro_recall")
_PROBABILITIES = ("expected_calibration_error", "brier", "negative_log_likelihood")
EMBEDDINGS = ("sentence_embedding", "sentence_similarity")
"""Tasks that give vectors, and state no probabilities."""
HEADS_CONTINUED = ("classification", "text_pair_classification", "multi_label_classification", "ordinal")
"""Tasks that can go on from an earlier model by the section `continual`: what it knew is held on to, and measured."""
HEADS_KEPT = (*HEADS_CONTINUED, "token_classification", "question_answering")
"""Tasks whose heads can go on from a released bundle, also with more classes."""

SENTENCE_PAIRS = ("next_sentence_prediction", "sentence_order_prediction")
"""Tasks that learn from pairs of segments of texts, beside hidden tokens."""
BEFORE_A_TASK = ("replaced_token_detection", "simcse")
"""What teaches a base before a task and is no task by itself: it is judged by other answers than what is released gives."""
LANGUAGE_MODELS = (
    "causal_language_modelling",
    "masked_language_modelling",
    *SENTENCE_PAIRS,
    *BEFORE_A_TASK,
)
"""Tasks that learn from texts without labels, and state no probability of an answer."""
WITHOUT_TARGET = ("sentence_embedding", *LANGUAGE_MODELS)
WITHOUT_CLASSES = (*EMBEDDINGS, *LANGUAGE_MODELS)
"""Tasks without classes, whose probabilities nobody could calibrate."""
CLAIMS = ("membership_inference", "privacy_lower_bound", "extraction")
"""Audits of what the model gives away of its training rows; they train siblings of it."""
RATES: Mapping[float, str] = {
    0.001: "membership_tpr_at_0.1pct_fpr",
    0.01: "membership_tpr_at_1pct_fpr",
}
"""False-positive rate -> the true-positive rate at it."""
AUC, LOWER_BOUND = "membership_auc", "epsilon_lower_bound"
EXPOSURE, EXTRACTED, VERBATIM = "canary_exposure", "canaries_extracted", "verbatim_continuation_rate"
OF_CLAIMS = (*RATES.values(), AUC, LOWER_BOUND, EXPOSURE, EXTRACTED, VERBATIM)
JUDGED_BY_ROW = (
    "causal_language_modelling",
    "classification",
    "text_pair_classification",
    "multi_label_classification",
    "ordinal",
    "masked_language_modelling",
    "multiple_choice",
    "token_classification",
)
"""Tasks whose model states how likely the truth of a row is, which membership is told by."""
OVERALL: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "performance": {
        "classification": _OF_CLASSES,
        "text_pair_classification": _OF_CLASSES,
        "multi_label_classification": (
            *_MACRO, *_MICRO, "samples_f1", "subset_accuracy", "hamming_loss", "auroc", "auprc",
        ),
        "ordinal": ("quadratic_weighted_kappa", "mae", "macro_mae", "accuracy", *_MACRO),
        "multiple_choice": ("accuracy",),
        "causal_language_modelling": ("token_accuracy", "perplexity", "bits_per_byte"),
        "masked_language_modelling": ("token_accuracy", "perplexity"),
        "simcse": ("ndcg_at_10", "mrr_at_10", "recall_at_1", "recall_at_10", "alignment", "uniformity"),
        "replaced_token_detection": (
            "detection_f1", "detection_accuracy", "generator_perplexity", "generator_token_accuracy",
        ),
        **dict.fromkeys(SENTENCE_PAIRS, ("token_accuracy", "perplexity", "pair_accuracy")),
        "sentence_embedding": ("ndcg_at_10", "mrr_at_10", "recall_at_1", "recall_at_10"),
        "sentence_similarity": ("pearson", "spearman"),
        "question_answering": (
            "answer_f1", "exact_match", "has_answer_f1", "has_answer_exact_match", "no_answer_accuracy",
        ),
        "regression": ("r2", "mae", "rmse", "pearson", "spearman"),
        "token_classification": ("accuracy", "macro_f1", *_MICRO, "macro_precision", "macro_recall"),
    },
    "calibration": {
        **{task: _PROBABILITIES for task in HEADLINES if task not in ("regression", *WITHOUT_CLASSES)},
        **dict.fromkeys(WITHOUT_CLASSES, ()),
        "regression": ("interval_coverage", "interval_width"),
    },
    "fairness": {task: (*fairness.across_groups(task), *fairness.of_groups(task)) for task in HEADLINES},
    "reidentification": dict.fromkeys(HEADLINES, OF_THE_TABLE),
    "membership_inference": {task: (*RATES.values(), AUC) if task in JUDGED_BY_ROW else () for task in HEADLINES},
    "privacy_lower_bound": {task: (LOWER_BOUND,) if task in JUDGED_BY_ROW else () for task in HEADLINES},
    "extraction": {
        task: (EXPOSURE, EXTRACTED, VERBATIM) if task == "causal_language_modelling" else () for task in HEADLINES
    },
}  # fmt: skip
"""Audit -> task -> the scores measured over all rows and by each value of a group column."""
OF_TOKENS = tuple(
    metric
    for metric in dict.fromkeys(
        one for task in LANGUAGE_MODELS for one in OVERALL["performance"].get(task, ())
    )
    if metric != "bits_per_byte"
)
"""Scores of language models that count tokens, so that they compare between models of one tokenizer only."""
_BY_CLASS = ("precision", "recall", "f1")
PER_CLASS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "performance": {
        "classification": (*_BY_CLASS, "auroc", "auprc"),
        "text_pair_classification": (*_BY_CLASS, "auroc", "auprc"),
        "multi_label_classification": (*_BY_CLASS, "auroc", "auprc"),
        "ordinal": (*_BY_CLASS, "mae"),
        **dict.fromkeys(("multiple_choice", "question_answering", *WITHOUT_CLASSES), ()),
        "regression": (),
        "token_classification": _BY_CLASS,
    },
    "calibration": {"multi_label_classification": _PROBABILITIES},
    "reidentification": {},
}
"""Audit -> task -> the scores measured for each class."""
OF_FORMATS = ("format_agreement", "latency", "size")
"""What is measured of every released format, whatever the audits: with the first one, milliseconds per text, megabytes."""
CONTINUAL = ("forgetting", "backward_transfer", "forward_transfer")
"""What is measured of a model that goes on from an earlier one, whatever the audits, of the task's main score."""
EARLIER_TASK = "earlier_task"
"""The slice of an earlier task, by its data's id."""
_OF_TEXTS = ("majority", "tfidf_logistic_regression")
UNIGRAM = "unigram"
"""The baseline beside language models: each token as likely as it is frequent in the training texts."""
BASELINES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("classification", "text_pair_classification"), _OF_TEXTS),
    **dict.fromkeys(("multi_label_classification", "ordinal"), _OF_TEXTS),
    "multiple_choice": ("majority", "bm25"),
    "question_answering": ("no_answer", "lexical_overlap"),
    **dict.fromkeys(LANGUAGE_MODELS, (UNIGRAM,)),
    **dict.fromkeys(BEFORE_A_TASK, ()),
    "sentence_embedding": ("random_order", "bm25"),
    "sentence_similarity": ("training_mean", "tfidf_cosine"),
    "regression": ("training_mean", "tfidf_ridge"),
    "token_classification": ("majority", "word_features_logistic_regression"),
}
"""Task -> the baselines that the audit `performance` measures beside the model: a trivial one, then a strong one."""
NEAREST = "nearest_description"
"""The baseline beside these where classes have descriptions: the class whose description the base finds nearest."""
TRIVIAL = ("majority", "training_mean", "no_answer", "random_order")
"""Baselines that learn nothing of the texts."""
OWN_SLICES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "performance": {},
    "calibration": {"temperature": ("before",)},
    "fairness": {fairness.ACROSS: (), fairness.REFERENCE: ()},
    "reidentification": {},
    "membership_inference": {"attack": ("loss", "lira", "lira_offline", "rmia", "rmia_offline", "blind")},
    "privacy_lower_bound": {},
    "extraction": {"repeated": (), "split": ("test",)},
}
"""Audit -> slices of its own making, and their values; none: any."""
SLICES = (
    "class",
    "baseline",
    "temperature",
    "split",
    "kind",
    "statistic",
    EARLIER_TASK,
    "attack",
    "repeated",
    fairness.ACROSS,
    fairness.REFERENCE,
)
"""Names of slices that findings have already: a group column called so could not be told from them."""
RANGES: Mapping[str, tuple[float, float]] = {
    "latency": (0.0, inf),
    "size": (0.0, inf),
    "mcc": (-1.0, 1.0),
    "brier": (0.0, 2.0),
    "negative_log_likelihood": (0.0, inf),
    "quadratic_weighted_kappa": (-1.0, 1.0),
    "r2": (-inf, 1.0),
    "pearson": (-1.0, 1.0),
    "spearman": (-1.0, 1.0),
    "perplexity": (1.0, inf),
    "generator_perplexity": (1.0, inf),
    "alignment": (0.0, 4.0),
    "uniformity": (-8.0, 0.0),
    "bits_per_byte": (0.0, inf),
    "mae": (0.0, inf),
    "macro_mae": (0.0, inf),
    "rmse": (0.0, inf),
    "interval_width": (0.0, inf),
    GAIN: (-1.0, 1.0),
    MULTIPLE: (0.0, inf),
    LOWER_BOUND: (0.0, inf),
    EXPOSURE: (0.0, inf),
    **dict.fromkeys(CONTINUAL, (-1.0, 1.0)),
    **fairness.RANGES,
    **dict.fromkeys(("k_anonymity", "class_size", "distinct_l_diversity", "entropy_l_diversity"), (1.0, inf)),
}
"""Metric -> its lowest and highest value; the others are shares, within 0 and 1."""
ERRORS = (
    *_PROBABILITIES,
    "perplexity",
    MULTIPLE,
    "generator_perplexity",
    "alignment",
    "uniformity",
    "bits_per_byte",
    "hamming_loss",
    "mae",
    "macro_mae",
    "rmse",
    "interval_width",
)
"""Errors: of these less is better."""
COSTS = (
    "latency",
    "size",
    CONTINUAL[0],
    "rows_in_small_classes",
    "rows_alone",
    "t_closeness",
    *OF_CLAIMS,
    *fairness.LESS,
)
"""Costs: of these less is better, too."""


@dataclass(frozen=True)
class Measuring:
    """What decides which metrics a run gives: built-in audits, a built-in task, the group columns.

    described: whether what was learned is measured beside the classes' descriptions. continual: whether the charter has that
    section, so that what earlier tasks lost is measured.
    """

    audits: tuple[str, ...]
    task: str
    groups: tuple[str, ...]
    described: bool = False
    continual: bool = False

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric that is measured, by whatever slice."""
        names = [name for audit in self.audits for name in OVERALL[audit][self.task]]
        names += [name for audit in self.audits for name in per_class(audit, self.task)]
        if "performance" in self.audits:
            names += BESIDE_BASELINES if UNIGRAM in BASELINES[self.task] else (GAIN,)
        names += OF_FORMATS
        names += CONTINUAL if self.continual else ()
        return tuple(dict.fromkeys(names))


def is_built_in(audits: tuple[str, ...], task: str) -> bool:
    """Whether all that measures is known here; what plug-ins measure is not."""
    return set(audits) <= set(OVERALL) and task in HEADLINES


def per_class(audit: str, task: str) -> tuple[str, ...]:
    """The scores that an audit measures for each class."""
    return PER_CLASS.get(audit, {}).get(task, ())


def audit_of(metric: str) -> str | None:
    """The built-in audit that measures a metric, for one task at least."""
    if metric in BESIDE_BASELINES:
        return "performance"
    measured = {
        audit: {
            name
            for table in (OVERALL, PER_CLASS)
            for names in table.get(audit, {}).values()
            for name in names
        }
        for audit in OVERALL
    }
    return next((audit for audit, names in measured.items() if metric in names), None)


def why_pointless(limit: Limit) -> str:
    """Why a limit on a metric known here says nothing or can never be kept, by its bound alone; empty where it is sound."""
    if audit_of(limit.metric) is None and limit.metric not in (*OF_FORMATS, *CONTINUAL):
        return ""
    low, high = RANGES.get(limit.metric, (0.0, 1.0))
    upward = limit.comparison in (">=", ">")
    downward = limit.metric in (*ERRORS, *COSTS)
    if upward == downward and limit.metric not in fairness.NEUTRAL:
        better, write = ("less", "<=") if downward else ("more", ">=")
        return (
            f"{limit.metric} {limit.comparison} {limit.bound:g} asks for a bad model: of {limit.metric} {better} is better. "
            f"Write {write}"
        )
    if not low <= limit.bound <= high or _is_never(limit, low, high):
        percent = (
            f". Write {limit.bound / 100:g} for {limit.bound:g} percent"
            if high == 1 < limit.bound <= 100
            else ""
        )
        return f"the bound is {limit.bound:g}, but {limit.metric} lies within {low:g} and {high:g}{percent}"
    return ""


def keeps_anything(limit: Limit) -> bool:
    """Whether every model keeps a limit, because its bound is the end of its metric's range."""
    if audit_of(limit.metric) is None and limit.metric not in (*OF_FORMATS, *CONTINUAL):
        return False
    low, high = RANGES.get(limit.metric, (0.0, 1.0))
    return (limit.comparison, limit.bound) in ((">=", low), ("<=", high))


def _is_never(limit: Limit, low: float, high: float) -> bool:
    return (limit.comparison, limit.bound) in ((">", high), ("<", low))


def why_never(limit: Limit, measuring: Measuring) -> str:
    """Why no audit of a charter can ever measure a limit; empty where one does."""
    metric, task, known = limit.metric, measuring.task, measuring.metrics
    if metric == "format_agreement" and task in (*EMBEDDINGS, "regression"):
        return (
            f"it counts answers that are the same, and those of task {task} are numbers, alike by degrees only; limit its "
            "scores instead: they are measured of every format"
        )
    if metric in OF_FORMATS:
        return f"{metric} is measured of each released format as a whole, by no slice" if limit.slices else ""
    if metric in CONTINUAL:
        return _why_not_continual(limit, measuring)
    if metric in OF_THE_TABLE and limit.slices:
        return f"{metric} is measured of the training rows as a whole, by no slice; remove the brackets"
    audit = audit_of(metric)
    if audit is not None and audit not in measuring.audits:
        return f"{metric} is measured by the audit '{audit}', which the charter does not name; add {{use: {audit}}} to audits"
    if audit is None or metric not in known:
        if metric == "epsilon":
            return (
                "what training spends is judged without a limit, against privacy.epsilon: remove it; what an attack shows of it is "
                "epsilon_lower_bound"
            )
        other = f" for task {task}" if audit else ""
        hint = "" if audit else near(metric, known)
        return f"no audit measures '{metric}'{other}.{hint} Measured: {', '.join(known) or 'nothing'}."
    if metric in OF_CLAIMS:
        return _why_not_of_claim(limit, audit)
    if audit == "fairness":
        return fairness.why_not_fair(limit, task, measuring.groups)
    if metric in BESIDE_BASELINES:
        return _why_no_gain(limit, (*BASELINES[task], *((NEAREST,) if measuring.described else ())))
    return _why_not_so_sliced(limit, audit, measuring)


def _why_not_continual(limit: Limit, measuring: Measuring) -> str:
    metric, slices = limit.metric, tuple(name for name, _ in limit.slices)
    if not measuring.continual:
        return f"{metric} is measured of a model that goes on from an earlier one: add a section continual, such as continual: {{}}"
    if slices not in ((), (EARLIER_TASK,)):
        return f"{metric} is measured over the earlier tasks together, and of each as {metric}[{EARLIER_TASK}=DATA ID]"
    if slices and metric == CONTINUAL[2]:
        return f"{metric} is about the new task, by no slice; remove the brackets"
    return ""


def _why_not_of_claim(limit: Limit, audit: str) -> str:
    metric, slices, own = limit.metric, limit.slices, OWN_SLICES[audit]
    if metric == LOWER_BOUND and limit.judge != "point":
        return f"{metric} is the low end of what nobody knows the high end of: write {{limit: '{limit}', judge: point}}"
    if metric in (EXPOSURE, EXTRACTED):
        if tuple(name for name, _ in slices) == ("repeated",):
            return ""
        return f"{metric} is measured for each number of repetitions: say which, as {metric}[repeated=1], or {metric}[repeated=*]"
    if not slices:
        return ""
    name, value = slices[0]
    if len(slices) > 1 or name not in own or (metric == VERBATIM) != (name == "split"):
        by = ", ".join(f"[{one}=...]" for one in own if (metric == VERBATIM) == (one == "split"))
        return f"{metric} is measured over all judged rows{', and by ' + by if by else ''}, not by {name}"
    return _why_not_among(value, name, own[name])


def _why_no_gain(limit: Limit, baselines: tuple[str, ...]) -> str:
    slices = dict(limit.slices)
    if set(slices) != {"baseline"}:
        name = limit.metric
        return f"{name} is measured beside a baseline: write {name}[baseline=NAME], where NAME is one of: {', '.join(baselines)}"
    return _why_not_among(slices["baseline"], "baseline", baselines)


def _why_not_among(value: str, name: str, values: tuple[str, ...]) -> str:
    if value == "*" or value in values:
        return ""
    return f"there is no {name} '{value}'.{near(value, values)} Measured: {', '.join(values)}."


def _why_not_so_sliced(limit: Limit, audit: str, measuring: Measuring) -> str:
    metric, task, groups = limit.metric, measuring.task, measuring.groups
    slices = tuple(name for name, _ in limit.slices)
    own = OWN_SLICES[audit]
    by_class = per_class(audit, task)
    overall = metric in OVERALL[audit][task]
    if not slices and not overall:
        return f"{metric} is measured for each class, not over all rows: say which, as {metric}[class=NAME], or {metric}[class=*]"
    if not slices or (slices == ("class",) and metric in by_class):
        return ""
    if len(slices) > 1:
        return f"{metric} is measured by one slice at a time, not by {' and '.join(slices)} together"
    name, value = limit.slices[0]
    if overall and name in own:
        return _why_not_among(value, name, own[name])
    if name == "class":
        classwise = f"; by class there are {', '.join(by_class)}" if by_class else ""
        return f"{metric} is measured over all rows, not for each class{classwise}"
    if name in groups:
        by_group = ", ".join(OVERALL[audit][task])
        return (
            ""
            if overall
            else f"{metric} is measured for each class, not by group; by group there are {by_group}"
        )
    if name == "baseline":
        return f"limits are on the model: of the baselines only {GAIN}[baseline=NAME] is judged"
    listed = f"; groups: {', '.join(groups)}" if groups else ""
    return f"'{name}' is not in data.groups, so nothing is measured by it; add the column there{listed}"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: a, b and c."""
    return f"{', '.join(names[:-1])} and {names[-1]}"
