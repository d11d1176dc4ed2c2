"""The words of a sweep's page and table, in English and Chinese; `words.py` puts them beside the report's."""

from collections.abc import Mapping

ENGLISH: Mapping[str, str] = {
    "sweep_badge": "Sweep",
    "sweep_title": "{name}: {count} values of {swept}",
    "sweep_why": (
        "Each value is a run of its own, judged but never released. The others are compared with {first}, by {metric}, on the same "
        "test rows."
    ),
    "sweep_public": "The data are declared public, so no point was charged to a privacy ledger.",
    "sweep_charged": "Each private point is charged to the privacy ledger of data {data}: all of them together are what the sweep cost.",
    "sweep_one_answer": (
        "One answer for all test rows at {points}: such a model has learned nothing that tells them apart, and its score says only "
        "how common that answer is."
    ),
    "sweep_one_answer_all": (
        "At every value the model gives one answer for all test rows: {points}. None has learned anything that tells them apart, and the "
        "scores say only how common those answers are."
    ),
    "sweep_one_answer_gap": " A gap between groups then says only how much more common it is in one of them.",
    "sweep_answers_one": "always {answer}",
    "sweep_points": "Against {swept}",
    "sweep_score_plot": "{metric} against {swept}, with its interval",
    "sweep_gap_plot": "Largest minus smallest {metric} among the groups of {column}, with its interval",
    "sweep_plot_log": "the scale is logarithmic",
    "sweep_no_privacy": "no privacy",
    "sweep_value": "Value",
    "sweep_noise": "Noise multiplier",
    "sweep_gap": "Gap by {column}",
    "sweep_gap_of": "{largest} over {smallest}",
    "sweep_seconds": "Training",
    "sweep_limits": "Limits",
    "sweep_kept": "{kept} of {all} kept",
    "sweep_no_limits": "none stated",
    "sweep_no_gap": "no gap: {because}",
    "sweep_no_interval": "without an interval: {because}",
    "sweep_groups": "Groups of {column}",
    "sweep_group": "Group",
    "sweep_groups_lead": "{metric} of each group at each value, with the interval of its own audit.",
    "sweep_losses": "{metric} of each group beside {first}",
    "sweep_losses_lead": (
        "How much higher each group's score is than at {first}, on the very same rows; + is higher. No test is made: intervals of several "
        "groups are not corrected for their number."
    ),
    "sweep_left_out": "Too few rows at one value or more, so not compared: {groups}.",
    "sweep_how": "How to read it",
    "sweep_gap_term": "Gap",
    "sweep_gap_said": (
        "The largest group's score minus the smallest's. All groups are scored in the same resamples of the test rows, and the interval "
        "holds for every difference between two groups at once. Without that, noise alone would widen a gap, and its interval would never "
        "reach 0."
    ),
    "sweep_epsilon_term": "Epsilon",
    "sweep_epsilon_said": (
        "How much anybody's row can change what is released: smaller is more private. It holds for each point by itself; who sees all of "
        "them has seen them together."
    ),
    "sweep_drafts_term": "Runs",
    "sweep_drafts_said": (
        "Points of a sweep are never packed or released. Choosing a value by these test scores uses the test split up: the chosen one's "
        "score is too good by luck."
    ),
    "sweep_page": "Page",
}
CHINESE: Mapping[str, str] = {
    "sweep_badge": "扫描",
    "sweep_title": "{name}：{swept} 的 {count} 个取值",
    "sweep_why": "每个取值各运行一次，照常评判，但绝不发布。其余各点以{metric} 为准，在同样的测试行上与 {first} 相比。",
    "sweep_public": "数据已声明为公开，因此没有任何一点记入隐私账本。",
    "sweep_charged": "每个采用隐私保护的点都记入数据 {data} 的隐私账本：所有点合起来才是这次扫描的花费。",
    "sweep_one_answer": "{points}：对全部测试行给出同一个回答。这样的模型没有学到任何能区分它们的东西，得分只说明这个回答有多常见。",
    "sweep_one_answer_all": (
        "在每个取值下，模型都对全部测试行给出同一个回答：{points}。没有一个学到任何能区分它们的东西，得分只说明这些回答有多常见。"
    ),
    "sweep_one_answer_gap": "此时群体差距也只说明它在某个群体中更常见多少。",
    "sweep_answers_one": "总是 {answer}",
    "sweep_points": "随 {swept} 的变化",
    "sweep_score_plot": "{metric} 随 {swept} 的变化及其区间",
    "sweep_gap_plot": "{column} 各群体之间{metric} 的最大值减最小值及其区间",
    "sweep_plot_log": "刻度为对数",
    "sweep_no_privacy": "无隐私保护",
    "sweep_value": "取值",
    "sweep_noise": "噪声乘数",
    "sweep_gap": "{column} 的群体差距",
    "sweep_gap_of": "{largest} 高于 {smallest}",
    "sweep_seconds": "训练",
    "sweep_limits": "限值",
    "sweep_kept": "{all} 条中遵守 {kept} 条",
    "sweep_no_limits": "没有写明",
    "sweep_no_gap": "没有差距：{because}",
    "sweep_no_interval": "没有区间：{because}",
    "sweep_groups": "{column} 的各群体",
    "sweep_group": "群体",
    "sweep_groups_lead": "各群体在每个取值下的{metric}，区间由各自的审计给出。",
    "sweep_losses": "各群体的{metric} 与 {first} 相比",
    "sweep_losses_lead": (
        "在完全相同的行上，各群体的得分比 {first} 时高多少；正号表示更高。这里不作检验：多个群体的区间没有按其个数校正。"
    ),
    "sweep_left_out": "在某个取值下行数太少，因此不作比较：{groups}。",
    "sweep_how": "如何阅读",
    "sweep_gap_term": "差距",
    "sweep_gap_said": (
        "得分最高的群体减去得分最低的群体。所有群体都在测试行的同样的重抽样中评分，区间对任意两个群体之差同时成立"
        "（否则单凭噪声就会使差距变大，其区间永远到不了 0）。"
    ),
    "sweep_epsilon_term": "Epsilon",
    "sweep_epsilon_said": (
        "任何人的一行数据最多能使发布的结果改变多少：越小越保护隐私。它对每个点单独成立；看到全部各点的人，看到的是它们合起来的结果。"
    ),
    "sweep_drafts_term": "各次运行",
    "sweep_drafts_said": "扫描的各点绝不打包，也绝不发布。凭这些测试得分选取值，就把测试集用掉了：选中者的得分会因运气而偏高。",
    "sweep_page": "页面",
}
