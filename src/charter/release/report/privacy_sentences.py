"""The sentences of privacy's evidence in Chinese; part of `sentences`."""

PRIVATE: tuple[tuple[str, str], ...] = (
    ("privacy: epsilon <= {e#} at delta {d#}", "隐私：δ 为 {d} 时 ε 不超过 {e}"),
    ("nothing was told of what training spent", "没有记录训练消耗了多少"),
    (
        "accountant of privacy loss distributions (dp-accounting {version#})",
        "隐私损失分布（PLD）记账法（dp-accounting {version}）",
    ),
    (
        "accountant of Renyi divergences of the best of a random number of trials (dp-accounting {version#})",
        "随机次数的试验中最好一次的 Rényi 散度记账法（dp-accounting {version}）",
    ),
    ("accountant of Renyi divergences", "Rényi 散度记账法"),
    (
        "mean of the distribution that their number was drawn from in secret",
        "试验次数秘密地从一个分布中抽取，此为该分布的均值",
    ),
    ("how many there were is told nobody", "究竟有多少次不告诉任何人"),
    (
        "the best of a random number of trials on the rows that chose it, so it is too high",
        "随机次数的试验中在用来选择的行上最好的一次，因此偏高",
    ),
    (
        "the settings are searched within the privacy budget: how many trials there are, and how far they are, is told nobody",
        "设置在隐私预算之内搜索：试验有多少次、进行到哪里，不告诉任何人",
    ),
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
        "the last update: under a privacy budget no validation row chooses among updates",
        "最后一次更新：在隐私预算之下不用验证行在各次更新之间挑选",
    ),
    ("nats", "奈特"),
    ("chance", "概率"),
    ("times the sensitivity", "倍敏感度"),
    ("norm", "范数"),
    ("persons", "人"),
    ("none", "无"),
    # notes of a run
    (
        "the privacy ledger has an account of data '{id}', or of rows in it; learning without privacy is on record there, at "
        "infinite cost",
        "隐私账本中有数据“{id}”（或其中某些行）的账户；不带隐私保护的学习已记入其中，代价为无穷大",
    ),
    (
        "{n} of the rows that are learned from were learned from under the id '{name}' before; each of the two data sets is "
        "charged in full",
        "所学的行中有 {n} 行此前曾以标识“{name}”被学习过；两个数据集各自全额计费",
    ),
    (
        "delta {delta#} is no less than one over the {n} rows: it allows that somebody's row is given away whole; set "
        "data.privacy_budget.delta lower",
        "δ {delta} 不小于行数 {n} 的倒数：它允许某个人的行被完整泄露；请把 data.privacy_budget.delta 设得更低",
    ),
    (
        "privacy.delta {delta#} is no less than one over the {n} rows: a training that gives somebody's data away whole could keep it; set "
        "it well below {most#}",
        "privacy.delta {delta} 不小于 {n} 行的倒数：即使训练完整泄露某个人的数据也可能符合它；请设为远低于 {most}",
    ),
    (
        "privacy.delta {delta#} is no less than one over the {n} persons: a training that gives somebody's data away whole could keep it; "
        "set it well below {most#}",
        "privacy.delta {delta} 不小于 {n} 人的倒数：即使训练完整泄露某个人的数据也可能符合它；请设为远低于 {most}",
    ),
    (
        "batch_size {size#} is small for private training: an update gets the same noise whatever its size, so fewer and larger ones say "
        "more; try batch_size {low#} to {high#} (memory does not grow with it)",
        "batch_size {size} 对私有训练来说偏小：无论批量多大，每次更新的噪声都一样，因此次数少而批量大的更新更有用；"
        "可试 batch_size {low} 至 {high}（内存不会随之增加）",
    ),
    (
        "learning_rate {rate#} is small for private training: with few large updates 5e-4 to 2e-3 are usual for adamw",
        "learning_rate {rate} 对私有训练来说偏小：更新次数少而批量大时，adamw 通常取 5e-4 至 2e-3",
    ),
    (
        "only {steps} updates: batch_size counts rows here, {batch#} of {n}; lower training.batch_size or raise training.epochs",
        "只有 {steps} 次更新：此处 batch_size 按行计，每次 {batch} 行，共 {n} 行；请减小 training.batch_size 或增大 training.epochs",
    ),
    (
        "only {steps} updates: batch_size counts persons here, {batch#} of {n}; lower training.batch_size or raise training.epochs",
        "只有 {steps} 次更新：此处 batch_size 按人计，每次 {batch} 人，共 {n} 人；请减小 training.batch_size 或增大 training.epochs",
    ),
)
"""Templates in English, each with its Chinese."""
