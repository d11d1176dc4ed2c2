"""The metrics of fairness, in both languages; part of `metrics`."""

from collections.abc import Mapping

from charter.release.report.metric import Metric

_RATES: Mapping[str, Metric] = {
    "selection_rate": Metric(
        "Answered so", "被判为此类的比例", "How often this class is answered.", "模型给出该类别的比例。"
    ),
    "true_positive_rate": Metric(
        "True positives",
        "真阳性率",
        "Of those of whom it is so, how many are answered so; the rest is missed.",
        "确属该类者中被判为该类的比例；其余即被漏掉。",
    ),
    "false_positive_rate": Metric(
        "False positives",
        "假阳性率",
        "Of those of whom it is not so, how many are answered so all the same.",
        "不属该类者中仍被判为该类的比例。",
    ),
    "false_negative_rate": Metric(
        "False negatives",
        "假阴性率",
        "Of those of whom it is so, how many are missed.",
        "确属该类者中被漏掉的比例。",
    ),
    "positive_predictive_value": Metric(
        "Right when so answered",
        "阳性预测值",
        "Of those who are answered so, of how many it is so.",
        "被判为该类者中确属该类的比例。",
    ),
    "base_rate": Metric(
        "Truly so", "真实比例", "How often it truly is so in the test rows.", "测试行中真正属于该类的比例。"
    ),
}
_CRITERIA: Mapping[str, tuple[str, str, str, str]] = {
    "demographic_parity": (
        "Demographic parity",
        "人口统计均等",
        "how often groups are given an answer, whatever the truth",
        "各群体得到某一回答的比例，不论事实如何",
    ),
    "equalised_odds": (
        "Equalised odds",
        "均等几率",
        "how often groups are answered rightly where it is so and wrongly where it is not; the worse of both",
        "各群体在“确实如此”时被答对、在“并非如此”时被误判的比例，取两者中较差的一个",
    ),
    "equal_opportunity": (
        "Equal opportunity",
        "机会均等",
        "how often groups are answered so where it is so",
        "各群体在确实如此时被判为如此的比例",
    ),
    "predictive_parity": (
        "Predictive parity",
        "预测均等",
        "how often an answer is true for each group",
        "各群体所得回答属实的比例",
    ),
    "accuracy": ("Accuracy", "准确率", "how often groups are answered rightly", "各群体被答对的比例"),
}


def _apart() -> Mapping[str, Metric]:
    found = {}
    for name, (en, zh, about, about_zh) in _CRITERIA.items():
        found[f"{name}_difference"] = Metric(
            f"{en}: difference",
            f"{zh}：差值",
            f"The largest difference between two groups in {about}. 0 is none.",
            f"任意两个群体之间的最大差值：{about_zh}。0 为没有差别。",
        )
        found[f"{name}_ratio"] = Metric(
            f"{en}: ratio",
            f"{zh}：比值",
            f"The smallest ratio of two groups in {about}. 1 is no difference.",
            f"任意两个群体之间的最小比值：{about_zh}。1 为没有差别。",
        )
    return found


FAIRNESS: Mapping[str, Metric] = {
    **_RATES,
    **_apart(),
    **{
        f"{name}_contrast": Metric(
            f"{one.en}: against the reference",
            f"{one.zh}：与参照相比",
            f"How much higher it is than in the reference group. {one.meaning_en}",
            f"比参照群体高多少。{one.meaning_zh}",
            share=False,
        )
        for name, one in _RATES.items()
    },
    "worst_group_accuracy": Metric(
        "Accuracy of the worst group",
        "最差群体的准确率",
        "The accuracy of the group that has the lowest.",
        "准确率最低的群体的准确率。",
    ),
    "headline_difference": Metric(
        "Main score: difference",
        "主要分数：差值",
        "The largest difference between two groups in the task's main score.",
        "任意两个群体之间任务主要分数的最大差值。",
        share=False,
    ),
    "overconfidence": Metric(
        "Overconfidence",
        "过度自信",
        "How much higher the stated probability of answers is than how often they are right; below 0 it is too modest.",
        "所说概率比实际正确率高多少；低于 0 表示过于谨慎。",
        share=False,
    ),
    "overconfidence_difference": Metric(
        "Overconfidence: difference",
        "过度自信：差值",
        "The largest difference between two groups in how much surer answers are than they are right.",
        "任意两个群体之间过度自信程度的最大差值。",
        share=False,
    ),
    "mean_error": Metric(
        "Mean error",
        "平均误差",
        "By how much answers are too high on average; below 0 they are too low. In the target's units.",
        "回答平均偏高多少；低于 0 表示偏低。单位与目标相同。",
        share=False,
    ),
    "mean_error_difference": Metric(
        "Mean error: difference",
        "平均误差：差值",
        "The largest difference between two groups in how much too high answers are.",
        "任意两个群体之间回答偏高程度的最大差值。",
        share=False,
    ),
}
