"""What is said of fairness, in Chinese. Templates as in `sentences`, whose catalogue they are part of."""

FAIR: tuple[tuple[str, str], ...] = (
    (
        "simultaneous bootstrap interval over rows (max-t), {g#} groups, {n#} resamples",
        "按行的同时自助区间（max-t），{g} 个群体，重抽样 {n} 次",
    ),
    (
        "simultaneous bootstrap interval over {u#} units of one person's or of like rows (max-t), {g#} groups, {n#} resamples",
        "按 {u} 个单元（同一人的行或相似的行合为一个）的同时自助区间（max-t），{g} 个群体，重抽样 {n} 次",
    ),
    ("left out for fewer than {n#} decisions: {g#}", "因决定少于 {n} 个而未列入的群体：{g} 个"),
    ("bootstrap interval of the difference, {n#} resamples", "差值的自助区间，重抽样 {n} 次"),
    (
        "insufficient evidence: fewer than two groups have enough decisions",
        "证据不足：决定足够多的群体少于两个",
    ),
    (
        "insufficient evidence: {n#} decisions, at least {few#} are needed",
        "证据不足：决定 {n} 个，至少需要 {few} 个",
    ),
    (
        "insufficient evidence: {n#} decisions, worth {worth#} independent ones, at least {few#} are needed",
        "证据不足：决定 {n} 个，相当于 {worth} 个独立的，至少需要 {few} 个",
    ),
    (
        "normal interval over rows",
        "按行的正态区间",
    ),
    (
        "normal interval over {u#} units of one person's or of like rows",
        "按 {u} 个单元（同一人的行或相似的行合为一个）的正态区间",
    ),
    ("insufficient evidence: this score is not measured by group", "证据不足：该分数没有按群体测量"),
    (
        "insufficient evidence: the score of a group is not defined in most resamples",
        "证据不足：某个群体的分数在大多数重抽样中没有定义",
    ),
    (
        "simultaneous bootstrap interval over rows, all groups in the same {n#} resamples",
        "按行的同时自助区间，所有群体使用同样的 {n} 次重抽样",
    ),
    (
        "simultaneous bootstrap interval over {u#} units of one person's or of like rows, all groups in the same {n#} resamples",
        "按 {u} 个单元（同一人的行或相似的行合为一个）的同时自助区间，所有群体使用同样的 {n} 次重抽样",
    ),
)
