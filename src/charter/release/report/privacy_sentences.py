"""The sentences of privacy's evidence in Chinese; part of `sentences`."""

PRIVATE: tuple[tuple[str, str], ...] = (
    ("privacy: epsilon <= {e#} at delta {d#}", "隐私：δ 为 {d} 时 ε 不超过 {e}"),
    ("nothing was told of what training spent", "没有记录训练消耗了多少"),
    (
        "accountant of privacy loss distributions (dp-accounting {version#})",
        "隐私损失分布（PLD）记账法（dp-accounting {version}）",
    ),
    ("accountant of Renyi divergences", "Rényi 散度记账法"),
    ("Poisson sampling, each unit drawn by itself", "泊松抽样，每个单位各自独立抽取"),
    ("no sampling, each unit in one update of every epoch", "不抽样，每个单位在每一轮中进入一次更新"),
    ("banded inverse square root of the matrix of weights", "权重矩阵的带状逆平方根"),
    ("root mean square over updates, of the sum of gradients", "对各次更新取均方根，就梯度之和而言"),
    ("times the clipping norm", "倍裁剪范数"),
    (
        "rows are protected, neighbouring data sets differ by one unit added or removed",
        "保护的是行，相邻数据集相差增加或去掉一个单位",
    ),
    (
        "persons are protected, neighbouring data sets differ by one unit added or removed",
        "保护的是个人，相邻数据集相差增加或去掉一个单位",
    ),
    (
        "rows are protected, neighbouring data sets differ by one unit replaced",
        "保护的是行，相邻数据集相差替换一个单位",
    ),
    (
        "persons are protected, neighbouring data sets differ by one unit replaced",
        "保护的是个人，相邻数据集相差替换一个单位",
    ),
    ("as the charter asks", "按章程所定"),
    ("calibrated to the budget before the first update", "在第一次更新之前按预算校准"),
    ("chance of a unit to be in an update", "一个单位进入一次更新的概率"),
    ("clipping {kind}", "裁剪方式 {kind}"),
    (
        "count of the rows that this reads; nothing of it is in epsilon",
        "所读取的行数；均不计入 ε",
    ),
    (
        "not private: sampling and noise follow the charter's seed (privacy.reproducible_noise), so whoever knows it can take them out "
        "again",
        "不具备隐私保护：抽样与噪声由章程的种子决定（privacy.reproducible_noise），知道种子的人可以将其还原",
    ),
    (
        "the last update: under a privacy budget no validation row is read",
        "最后一次更新：在隐私预算之下不读取验证行",
    ),
    ("nats", "奈特"),
    ("chance", "概率"),
    ("times the sensitivity", "倍敏感度"),
    ("norm", "范数"),
    ("persons", "人"),
    ("none", "无"),
)
"""Templates in English, each with its Chinese."""
