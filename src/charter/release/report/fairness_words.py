"""The words of the section on how groups are treated, in both languages; part of `words`."""

from collections.abc import Mapping

ENGLISH: Mapping[str, str] = {
    "fairness": "Are groups treated alike?",
    "fairness_lead": "What each group is given, and how often wrongly. Which criterion matters is for people to say: where groups "
    "truly differ in "
    "how often something is so, not all of them can be met at once (Chouldechova 2017).",
    "fairness_no_proof": "Groups that lie no farther apart than chance allows may still be treated differently: fewer rows show less. "
    "What is told here is "
    "about these columns and these test rows.",
    "criterion": "Criterion",
    "difference": "Difference",
    "smallest_ratio": "Ratio",
    "between": "Between",
    "by_chance": "Chance (p)",
    "uncorrected": "alone {p}",
    "apart": "Across {across}",
    "apart_caption": "The largest difference between two groups of {across}, the smallest ratio, and where",
    "fairness_read": "Intervals hold for all pairs of groups at once, at {confidence}. 0 is no difference, a ratio of 1 none. p: how "
    "often groups handed out by lot "
    "would lie as far apart, corrected for the number of tests (Holm).",
    "four_fifths_below": "Four-fifths rule: {low} is answered “{label}” {ratio} times as often as {high}. Below 0.8, which United States "
    "agencies take as a sign of adverse "
    "impact; it is a rule of thumb, not a proof.",
    "four_fifths_kept": "Four-fifths rule: {low} is answered “{label}” {ratio} times as often as {high}, which is not below 0.8. It is a "
    "rule of thumb, "
    "not a proof.",
    "groups_left_out": "Left out, since they have too few decisions: {groups}. Nothing is known of them.",
    "of_class": " ({label})",
    "groups_compared": "; {compared} of {all} groups have enough decisions",
    "rates_of_class": "Decisions for “{label}”",
    "rates_of_groups": "Each group",
    "selection_drawn": "How often “{label}” is answered, by {column}, with intervals",
    "contrasts": "Held against a reference",
    "contrasts_caption": "How much higher each rate is than the reference group's",
    "held_against": "{group} − {reference}",
    "group": "Group",
    "area_fairness": "fairness",
    "slice_across": "across",
    "slice_reference": "held against",
}
CHINESE: Mapping[str, str] = {
    "fairness": "各群体是否得到同等对待？",
    "fairness_lead": "每个群体得到什么结果，又有多少是错的。哪一条准则重要，须由人来判断：若各群体的真实情况本来就不同，"
    "这些准则不可能同时满足（Chouldechova 2017）。",
    "fairness_no_proof": "群体间的差距未超出偶然范围，并不表示得到同等对待：行数越少，能看出的越少。这里只涉及这些列和这些测试行。",
    "criterion": "准则",
    "difference": "差值",
    "smallest_ratio": "比值",
    "between": "何处差距最大",
    "by_chance": "偶然（p）",
    "uncorrected": "单独为 {p}",
    "apart": "按 {across} 比较",
    "apart_caption": "{across} 的任意两个群体之间的最大差值、最小比值及其所在",
    "fairness_read": "区间对所有成对群体同时成立，置信水平为 {confidence}。差值 0、比值 1 表示没有差别。p "
    "为随机分派群体时出现同样大差距的频率，已按检验次数校正（Holm）。",
    "four_fifths_below": "五分之四规则：{low} 被判为“{label}”的比例是 {high} 的 {ratio} 倍，低于 0.8；美国主管机构将此视为不利影响的迹象。"
    "这是经验规则，不是证明。",
    "four_fifths_kept": "五分之四规则：{low} 被判为“{label}”的比例是 {high} 的 {ratio} 倍，不低于 0.8。这是经验规则，不是证明。",
    "groups_left_out": "因决定太少而未列入比较：{groups}。对它们一无所知。",
    "of_class": "（{label}）",
    "groups_compared": "；{all} 个群体中有 {compared} 个决定足够多",
    "rates_of_class": "关于“{label}”的决定",
    "rates_of_groups": "各群体",
    "selection_drawn": "按 {column} 被判为“{label}”的比例及其区间",
    "contrasts": "与参照群体相比",
    "contrasts_caption": "各项比率比参照群体高多少",
    "held_against": "{group} − {reference}",
    "group": "群体",
    "area_fairness": "公平性",
    "slice_across": "比较",
    "slice_reference": "参照",
}
