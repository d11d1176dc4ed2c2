"""The metrics of privacy, in both languages; part of `metrics`."""

from collections.abc import Mapping

from charter.release.report.metric import Metric

PRIVACY: Mapping[str, Metric] = {
    "epsilon": Metric(
        "Epsilon spent",
        "已用的 ε",
        "How much the training may have learned of any one row or person at most: e to the power of epsilon bounds how far the chances of "
        "any model differ with and without them. 0 is nothing; below 1 is strong; above 8 is weak by itself.",
        "训练最多可能学到任何一行或一个人的多少：有与没有其数据时，得到任一模型的概率之比不超过 e 的 ε 次方。"
        "0 为一无所获；小于 1 较强；大于 8 本身较弱。",
        share=False,
    ),
    "epsilon_renyi": Metric(
        "Epsilon by the Renyi accountant",
        "ε（Rényi 记账法）",
        "The same by another accountant, which is never lower in theory and stands beside as a check.",
        "由另一种记账法得到的同一数值，理论上不会更低，列出以便核对。",
        share=False,
    ),
    "delta": Metric(
        "Delta",
        "δ",
        "The chance that the bound of epsilon does not hold; it should be far below one over the number of people.",
        "ε 的界限不成立的概率；应远小于人数的倒数。",
    ),
    "noise_multiplier": Metric(
        "Noise multiplier",
        "噪声倍数",
        "The standard deviation of the noise over the largest influence of a row or a person on an update.",
        "噪声的标准差与一行或一个人对一次更新的最大影响之比。",
        share=False,
    ),
    "sampling_rate": Metric(
        "Sampling rate",
        "抽样率",
        "The chance of a row or a person to be read by an update; nobody knows by which ones it was.",
        "一行或一个人被某次更新读取的概率；没有人知道究竟被哪些更新读取。",
    ),
    "noise_bands": Metric(
        "Bands of the noise",
        "噪声的带数",
        "Over how many updates the noise hangs together: an update takes back part of the noise of those before it.",
        "噪声在多少次更新之间相互关联：一次更新会收回此前若干次更新的一部分噪声。",
        share=False,
    ),
    "noise_in_sums": Metric(
        "Noise in the sums of gradients",
        "梯度之和中的噪声",
        "What a model is after some updates depends on the sum of their gradients; so much noise is in it, in clipping norms.",
        "模型在若干次更新之后的状态取决于这些更新的梯度之和；其中的噪声有这么大，以裁剪范数为单位。",
        share=False,
    ),
    "clipping_norm": Metric(
        "Clipping norm",
        "裁剪范数",
        "The largest norm that the gradient of a row or a person may have in an update; a larger one is scaled down.",
        "一行或一个人的梯度在一次更新中的最大范数；超出者按比例缩小。",
        share=False,
    ),
    "private_updates": Metric(
        "Private updates",
        "私有更新次数",
        "The updates that spent privacy.",
        "消耗隐私预算的更新次数。",
        share=False,
    ),
    "privacy_units": Metric(
        "Units of privacy",
        "隐私单位数",
        "How many rows or persons were learned from, each protected by itself.",
        "学习了多少行或多少人，各自受到保护。",
        share=False,
    ),
    "rows_outside_epsilon": Metric(
        "Rows read outside epsilon",
        "ε 之外读取的行数",
        "Rows that something else than the training reads, which tells of them without noise.",
        "训练之外的环节所读取的行数；其结果不加噪声。",
        share=False,
    ),
}
