"""The words of the comparison's page and table, in English and Chinese; `words.py` puts them beside the report's."""

from collections.abc import Mapping

ENGLISH: Mapping[str, str] = {
    "cmp_badge": "Comparison",
    "cmp_title": "{count} runs compared: {names}",
    "cmp_why": "Each run is compared with the first one, {first}, by {metric}.",
    "cmp_better": "{other} is better than {first}: {metric} {gain}, p = {p}.",
    "cmp_worse": "{other} is worse than {first}: {metric} {gain}, p = {p}.",
    "cmp_not_shown": "{other} is not shown to differ from {first}: {metric} {gain}, p = {p}.",
    "cmp_apart": "{other} and {first} can't be paired ({because}). Their intervals of {metric} are apart: {theirs} and {ours}.",
    "cmp_overlapping": (
        "{other} and {first} can't be paired ({because}). Their intervals of {metric} overlap: {theirs} and {ours}; "
        "no difference is shown, and none is ruled out."
    ),
    "cmp_not_comparable": "{other} and {first} can't be compared by {metric}: {because}.",
    "cmp_no_interval": "one of them has no interval of it",
    "cmp_paired_on": "{other}: paired on the same {rows} test rows ({units} independent units); they differ on {differing}.",
    "cmp_shared": "{other}: {shared} of the first run's test rows are among its own.",
    "cmp_chosen": (
        "Whoever chooses among runs by their test scores uses the test split up: the chosen one's score is too good by luck. "
        "Choose on validation, or confirm on new rows."
    ),
    "cmp_hardware": "The runs were trained on different machines: their times are not comparable.",
    "cmp_run": "Run",
    "cmp_first": "first",
    "cmp_scores": "Scores",
    "cmp_scores_lead": "Over each run's own test rows, with the interval that its own audit gave.",
    "cmp_scores_caption": "Scores of each run",
    "cmp_forest": "{metric} of each run with its interval; the dashed line is the first run",
    "cmp_only": "Measured for some runs only, so not compared: {metrics}.",
    "cmp_differences": "Differences on the same rows",
    "cmp_differences_lead": (
        "How much higher a score is than the first run's, on the very same test rows; + is higher. Before you look, decide "
        "which score counts: p-values are corrected for the number of runs, not for the number of scores."
    ),
    "cmp_difference": "Difference",
    "cmp_p": "p = {p}",
    "cmp_p_holm": "p = {p} (Holm)",
    "cmp_of_each": "{what} of each run",
    "cmp_keys": "Differing keys",
    "cmp_conclusion": "Conclusion",
    "cmp_said_better": "better",
    "cmp_said_worse": "worse",
    "cmp_said_not_shown": "not shown to differ",
    "cmp_said_apart": "intervals apart, not paired",
    "cmp_said_overlapping": "intervals overlap, not paired",
    "cmp_said_not_comparable": "not comparable",
    "cmp_against": "{other} against {first}",
    "cmp_contrast": "{metric}: difference from {first} with its {confidence} interval; the dashed line is no difference",
    "cmp_unpaired": "{other} could not be paired with {first}: {because}. Only the intervals above can be compared.",
    "cmp_slices": "By class and group",
    "cmp_slices_lead": "Scores of parts; too few rows are no evidence. No test is made here: look, then ask on new rows.",
    "cmp_part": "Part",
    "cmp_limits_lead": "Each limit that one of the charters states. A dash: that charter does not state it.",
    "cmp_cost": "Cost",
    "cmp_score_apart": "{metric} of {other} is {value} by itself and not to be put beside {first}'s: {because}.",
    "cmp_began": "Where each began",
    "cmp_began_from": "Began from",
    "cmp_began_before": "Learned before the task",
    "cmp_began_after": "Earlier models",
    "cmp_began_teacher": "Teacher",
    "cmp_began_learned": "What learned",
    "cmp_texts": "{count} texts",
    "cmp_pretraining_seconds": "Pre-training",
    "cmp_teaching_seconds": "Asking the teacher",
    "cmp_learning_seconds": "Pre-training, teacher and training",
    "cmp_training_tokens": "Tokens read in training",
    "cmp_pretraining_tokens": "Tokens read in pre-training",
    "cmp_cost_before": (
        "Pre-training is counted though other runs may use its base again; what the base's publisher, or the teacher's own training, "
        "spent is not counted."
    ),
    "cmp_training_seconds": "Training",
    "cmp_run_seconds": "All stages",
    "cmp_answer_milliseconds": "Per answer",
    "cmp_milliseconds": "{value} ms",
    "cmp_energy_joules": "Energy",
    "cmp_joules": "{value} kJ",
    "cmp_trainable_parameters": "Parameters trained",
    "cmp_parameters": "Parameters",
    "cmp_size_bytes": "Size of the model",
    "cmp_megabytes": "{value} MB",
    "cmp_energy_unknown": "not measured",
    "cmp_unknown": "not known",
    "cmp_cost_lead": (
        "Times are of the run that made each stage, also where a later one reused it; per answer: batches of held-out rows."
    ),
    "cmp_charters": "What the charters say otherwise",
    "cmp_charters_lead": "Key by key, with every default filled in; names are left out. A dash: no such key there.",
    "cmp_same_charters": "The charters are the same but for their names.",
    "cmp_key": "Key",
    "cmp_methods": "How it was compared",
    "cmp_units": "Units",
    "cmp_units_said": (
        "What the split kept together counts as one: a person's rows, rows that are alike. Where two runs' splits differ in "
        "that, whatever either keeps together."
    ),
    "cmp_intervals": "Intervals of differences",
    "cmp_intervals_said": (
        "Paired percentile bootstrap over units (Efron and Tibshirani 1993); with fewer than 10 discordant rows at least "
        "the adjusted Wald interval (Bonett and Price 2012)."
    ),
    "cmp_tests": "Tests",
    "cmp_tests_said": (
        "Approximate randomisation test, two-sided: the two models' answers are swapped unit by unit at random (Noreen 1989; "
        "Yeh 2000; p-values after Phipson and Smyth 2010). Accuracy of independent rows: McNemar's exact test (1947). Scores "
        "of ranks: twice the smaller share of bootstrap resamples on either side of no difference."
    ),
    "cmp_holm": "Several runs",
    "cmp_holm_said": "p-values are corrected over the {count} comparisons of the same score by Holm's method (1979).",
    "cmp_holm_one": "One comparison: p-values need no correction for the number of runs.",
    "cmp_level": "Level",
    "cmp_level_said": "A difference is called shown where the corrected p-value is at most {level}.",
    "cmp_page": "Page",
    "term_stages": "Stages of the run",
    "term_progress": "Progress",
}
CHINESE: Mapping[str, str] = {
    "cmp_badge": "对比",
    "cmp_title": "对比 {count} 次运行：{names}",
    "cmp_why": "以{metric} 为准，把每次运行与第一次（{first}）相比。",
    "cmp_better": "{other} 优于 {first}：{metric} {gain}，p = {p}。",
    "cmp_worse": "{other} 不如 {first}：{metric} {gain}，p = {p}。",
    "cmp_not_shown": "未能证明 {other} 与 {first} 有差别：{metric} {gain}，p = {p}。",
    "cmp_apart": "{other} 与 {first} 无法配对（{because}）。两者{metric} 的区间互不重叠：{theirs} 与 {ours}。",
    "cmp_overlapping": (
        "{other} 与 {first} 无法配对（{because}）。两者{metric} 的区间有重叠：{theirs} 与 {ours}；"
        "既没有证明有差别，也没有排除差别。"
    ),
    "cmp_not_comparable": "{other} 与 {first} 无法按{metric} 比较：{because}。",
    "cmp_no_interval": "其中一方没有该得分的区间",
    "cmp_paired_on": "{other}：在同样的 {rows} 行测试数据（{units} 个相互独立的单元）上配对；回答不同的有 {differing} 个。",
    "cmp_shared": "{other}：第一次运行的测试行中有 {shared} 行也在它的测试行里。",
    "cmp_chosen": "凭测试得分在多次运行中挑选，就把测试集用掉了：选中者的得分会因运气而偏高。请在验证集上挑选，或用新的数据确认。",
    "cmp_hardware": "这些运行在不同的机器上训练：所用时间不可相比。",
    "cmp_run": "运行",
    "cmp_first": "第一次",
    "cmp_scores": "得分",
    "cmp_scores_lead": "各自在自己的测试行上测得，区间由各自的审计给出。",
    "cmp_scores_caption": "每次运行的得分",
    "cmp_forest": "每次运行的{metric} 及其区间；虚线为第一次运行",
    "cmp_only": "只有部分运行测量过，因此不作比较：{metrics}。",
    "cmp_differences": "同样行上的差别",
    "cmp_differences_lead": (
        "在完全相同的测试行上，得分比第一次运行高多少；正号表示更高。看之前请先定下以哪个得分为准："
        "p 值按运行的个数作了校正，没有按得分的个数校正。"
    ),
    "cmp_difference": "差",
    "cmp_p": "p = {p}",
    "cmp_p_holm": "p = {p}（Holm）",
    "cmp_of_each": "每次运行的{what}",
    "cmp_keys": "不同的项",
    "cmp_conclusion": "结论",
    "cmp_said_better": "更好",
    "cmp_said_worse": "更差",
    "cmp_said_not_shown": "未能证明有差别",
    "cmp_said_apart": "区间不重叠，未配对",
    "cmp_said_overlapping": "区间有重叠，未配对",
    "cmp_said_not_comparable": "无法比较",
    "cmp_against": "{other} 与 {first} 相比",
    "cmp_contrast": "{metric}：与 {first} 的差及其 {confidence} 区间；虚线表示没有差别",
    "cmp_unpaired": "{other} 无法与 {first} 配对：{because}。只能比较上面的区间。",
    "cmp_slices": "按类别与群体",
    "cmp_slices_lead": "各部分的得分；行数太少不算证据。这里不作检验：先看，再用新的数据验证。",
    "cmp_part": "部分",
    "cmp_limits_lead": "任一章程写明的每条限值。短横表示该章程没有写明。",
    "cmp_cost": "代价",
    "cmp_score_apart": "{other} 的{metric} 单独来看是 {value}，不可与 {first} 的并列：{because}。",
    "cmp_began": "各自的起点",
    "cmp_began_from": "起点",
    "cmp_began_before": "任务之前所学",
    "cmp_began_after": "先前的模型",
    "cmp_began_teacher": "教师模型",
    "cmp_began_learned": "学习的部分",
    "cmp_texts": "{count} 条文本",
    "cmp_pretraining_seconds": "预训练",
    "cmp_teaching_seconds": "向教师模型提问",
    "cmp_learning_seconds": "预训练、教师与训练合计",
    "cmp_training_tokens": "训练时读过的词元",
    "cmp_pretraining_tokens": "预训练时读过的词元",
    "cmp_cost_before": "预训练计入成本，尽管其基座可供其他运行再用；基座发布者的花费以及教师模型自身的训练未计入。",
    "cmp_training_seconds": "训练",
    "cmp_run_seconds": "全部阶段",
    "cmp_answer_milliseconds": "每个回答",
    "cmp_milliseconds": "{value} 毫秒",
    "cmp_energy_joules": "能耗",
    "cmp_joules": "{value} 千焦",
    "cmp_trainable_parameters": "训练的参数",
    "cmp_parameters": "参数",
    "cmp_size_bytes": "模型大小",
    "cmp_megabytes": "{value} MB",
    "cmp_energy_unknown": "未测量",
    "cmp_unknown": "未知",
    "cmp_cost_lead": "时间取自实际完成各阶段的那次运行，后来沿用的也是如此；每个回答的时间按成批的留出行计算。",
    "cmp_charters": "章程的不同之处",
    "cmp_charters_lead": "逐项列出，默认值均已补全；名称除外。短横表示没有这一项。",
    "cmp_same_charters": "除名称外，章程完全相同。",
    "cmp_key": "项",
    "cmp_methods": "比较的方法",
    "cmp_units": "单元",
    "cmp_units_said": (
        "划分时放在一起的算作一个单元：同一人的行、彼此相似的行。"
        "两次运行的划分在这一点上不同时，任一方放在一起的都算一个单元。"
    ),
    "cmp_intervals": "差的区间",
    "cmp_intervals_said": (
        "按单元配对的百分位自助法（Efron 与 Tibshirani，1993）；不一致的行少于 10 个时，"
        "至少取校正的 Wald 区间（Bonett 与 Price，2012）。"
    ),
    "cmp_tests": "检验",
    "cmp_tests_said": (
        "近似随机化检验，双侧：随机地逐单元交换两个模型的回答（Noreen，1989；Yeh，2000；p 值按 Phipson 与 Smyth，2010）。"
        "行相互独立时，准确率用 McNemar 精确检验（1947）。排序类得分：自助法重抽样落在“没有差别”两侧的比例中较小者的两倍。"
    ),
    "cmp_holm": "多次运行",
    "cmp_holm_said": "同一得分的 {count} 个比较的 p 值按 Holm 方法（1979）校正。",
    "cmp_holm_one": "只有一个比较：p 值无需按运行个数校正。",
    "cmp_level": "水平",
    "cmp_level_said": "校正后的 p 值不大于 {level} 时，才称差别已得到证明。",
    "cmp_page": "页面",
    "term_stages": "运行的各阶段",
    "term_progress": "进度",
}
