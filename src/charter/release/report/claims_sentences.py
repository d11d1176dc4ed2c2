"""What is said of audits of the privacy claim, in Chinese. Templates as in `sentences`, whose catalogue they are part of."""

CLAIMS: tuple[tuple[str, str], ...] = (
    ("membership_inference", "成员推断"),
    ("privacy_lower_bound", "隐私下界"),
    ("extraction", "训练数据提取"),
    ("reidentification", "重识别"),
    # membership inference
    ("loss", "损失阈值"),
    ("lira", "LiRA（在线）"),
    ("lira_offline", "LiRA（离线）"),
    ("rmia", "RMIA（在线）"),
    ("rmia_offline", "RMIA（离线）"),
    ("blind", "对照：从不看模型"),
    ("loss threshold (Yeom et al. 2018)", "损失阈值（Yeom 等 2018）"),
    (
        "likelihood-ratio attack LiRA, online (Carlini et al. 2022)",
        "似然比攻击 LiRA，在线（Carlini 等 2022）",
    ),
    (
        "likelihood-ratio attack LiRA, offline (Carlini et al. 2022)",
        "似然比攻击 LiRA，离线（Carlini 等 2022）",
    ),
    (
        "robust membership inference RMIA, online (Zarifzadeh et al. 2024)",
        "稳健成员推断 RMIA，在线（Zarifzadeh 等 2024）",
    ),
    (
        "robust membership inference RMIA, offline (Zarifzadeh et al. 2024)",
        "稳健成员推断 RMIA，离线（Zarifzadeh 等 2024）",
    ),
    ("control that never sees the model", "从不看模型的对照"),
    ("no shadow model", "没有影子模型"),
    (
        "{n#} shadow models, each trained as this one was, on as many rows, half of the judged ones among them",
        "{n} 个影子模型，每个都与本模型同样训练，行数相同，其中包括一半被评判的行",
    ),
    (
        "the strongest of {n#} attacks, which the interval is corrected for",
        "{n} 种攻击中最强的一种，区间已为此校正",
    ),
    (
        "the split is by time, so that test rows may differ from training rows by more than membership",
        "划分按时间进行，因此测试行与训练行的差别可能不只是是否学过",
    ),
    (
        "the split is given, so that test rows may differ from training rows by more than membership",
        "划分是给定的，因此测试行与训练行的差别可能不只是是否学过",
    ),
    (
        "exact binomial interval, the threshold's own uncertainty included",
        "精确二项区间，已计入阈值自身的不确定性",
    ),
    ("exact binomial interval", "精确二项区间"),
    ("DeLong's interval", "DeLong 区间"),
    (
        "{n} non-members, worth {worth} independent ones, at least {needed} are needed",
        "非成员 {n} 个，相当于 {worth} 个独立的，至少需要 {needed} 个",
    ),
    ("{n} non-members, at least {needed} are needed", "非成员 {n} 个，至少需要 {needed} 个"),
    # lower bound
    (
        "one run with {n#} canaries ({kind!}), each learned from or not by a fair coin (Steinke et al. 2023)",
        "一次训练，含 {n} 个金丝雀行（{kind}），每个是否学习由公平硬币决定（Steinke 等 2023）",
    ),
    ("training rows with a wrong class", "类别被改错的训练行"),
    ("training rows as they are", "原样的训练行"),
    ("of {n#} guesses {right#} are right", "{n} 次猜测中有 {right} 次正确"),
    (
        "the best of {n#} choices fixed beforehand, which the confidence is corrected for",
        "事先定好的 {n} 种选择中最好的一种，置信水平已为此校正",
    ),
    ("delta {delta#}", "δ 为 {delta}"),
    (
        "canaries are there or not, which tests less than the claim, of replacing a row, promises",
        "金丝雀行只有在与不在之分，这比所声明的“替换一行”检验得更少",
    ),
    (
        "were every guess right, epsilon {epsilon#} would be shown, and no more",
        "即使每次都猜对，也只能证明 ε 至少为 {epsilon}",
    ),
    ("{n#} canaries, at least {few#} are needed", "金丝雀行 {n} 个，至少需要 {few} 个"),
    (
        "an audit shows that epsilon is at least {value#} ({sure} sure), which is more than the {claimed#} that the charter claims: the "
        "claim is refuted",
        "审计表明 ε 至少为 {value}（置信水平 {sure}），高于章程所声明的 {claimed}：该声明已被推翻",
    ),
    ("privacy claim of epsilon {epsilon#}", "关于 ε {epsilon} 的隐私声明"),
    # extraction
    (
        "canaries of {words#} random words in a sibling run, among {n} texts made in the same way (Carlini et al. 2019)",
        "同胞训练中由 {words} 个随机词构成的金丝雀文本，与以同样方式生成的 {n} 条文本相比（Carlini 等 2019）",
    ),
    (
        "chance gives 1.44 bits, and {most#} is the most that can be seen",
        "随机水平为 1.44 比特，至多能看到 {most} 比特",
    ),
    ("percentile bootstrap over canaries, {n#} resamples", "按金丝雀文本的百分位自助法，重抽样 {n} 次"),
    ("share that no such text is likelier than", "没有任何这样的文本比其更可能的比例"),
    (
        "given {prefix#} tokens of a text, greedy writing goes on with exactly the next {n#} (Carlini et al. 2023)",
        "给出文本的 {prefix} 个词元后，贪心续写恰好写出其后的 {n} 个（Carlini 等 2023）",
    ),
    (
        "{n#} texts of {length#} tokens or more, at least {few#} are needed",
        "{n} 条文本有 {length} 个词元或更多，至少需要 {few} 条",
    ),
    ("bits", "比特"),
    ("task {task} writes no texts", "任务 {task} 不生成文本"),
    (
        "nothing was given to train siblings with, so it can't be measured here",
        "没有可用来训练同胞模型的手段，因此此处无法测量",
    ),
)
