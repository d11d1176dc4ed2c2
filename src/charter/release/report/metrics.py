"""What each metric is called and what it means in a plain sentence, in both languages."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A metric's name and its meaning for a reader without training in statistics.

    share: whether its values are shares from 0 to 1, so that plots may use that scale.
    """

    en: str
    zh: str
    meaning_en: str
    meaning_zh: str
    share: bool = True


METRICS: Mapping[str, Metric] = {
    "accuracy": Metric(
        "Accuracy",
        "准确率",
        "The share of answers that are right (for entities: of words that got the right tag).",
        "回答正确的比例（实体识别中：标签正确的词所占比例）。",
    ),
    "macro_f1": Metric(
        "Macro F1",
        "宏平均 F1",
        "The mean of every class's F1. A rare class counts as much as a common one.",
        "各类别 F1 的平均值；少见的类别与常见的类别同等重要。",
    ),
    "micro_f1": Metric(
        "Micro F1",
        "微平均 F1",
        "F1 over all decisions together. For one class per text it equals accuracy; for entities it is the usual score.",
        "把所有判断放在一起计算的 F1。每条文本只有一个类别时等于准确率；实体识别中是通用的得分。",
    ),
    "macro_precision": Metric(
        "Macro precision",
        "宏平均精确率",
        "The mean of every class's precision.",
        "各类别精确率的平均值。",
    ),
    "macro_recall": Metric(
        "Macro recall", "宏平均召回率", "The mean of every class's recall.", "各类别召回率的平均值。"
    ),
    "micro_precision": Metric(
        "Micro precision",
        "微平均精确率",
        "Of everything that was found, of whatever class, the share that is right.",
        "所有找出的结果（不分类别）中正确的比例。",
    ),
    "micro_recall": Metric(
        "Micro recall",
        "微平均召回率",
        "Of everything that was to be found, of whatever class, the share that was found.",
        "所有应当找出的内容（不分类别）中被找出的比例。",
    ),
    "precision": Metric(
        "Precision",
        "精确率",
        "When the model names this class: how often it is right.",
        "模型判为该类别时，判断正确的比例。",
    ),
    "recall": Metric(
        "Recall",
        "召回率",
        "Of what truly is of this class: the share that the model finds.",
        "真正属于该类别的内容中，被模型找出的比例。",
    ),
    "f1": Metric(
        "F1",
        "F1",
        "Precision and recall in one number (their harmonic mean): high only when both are.",
        "精确率与召回率合成的一个数（调和平均）：两者都高时才高。",
    ),
    "mcc": Metric(
        "MCC",
        "马修斯相关系数（MCC）",
        "Matthews correlation of answers and truth: 1 is perfect, 0 is no better than chance, whatever the balance of classes.",
        "回答与真实之间的马修斯相关：1 为完美，0 与随机无异，不受类别比例影响。",
        share=False,
    ),
    "auroc": Metric(
        "AUROC",
        "AUROC（ROC 曲线下面积）",
        "The chance that a text of a class is given a higher probability of it than a text of another: 0.5 is chance, 1 perfect.",
        "属于某类别的文本比不属于的文本得到更高概率的机会：0.5 为随机，1 为完美。",
    ),
    "auprc": Metric(
        "AUPRC",
        "AUPRC（精确率召回率曲线下面积）",
        "Average precision as the model is asked to find more and more of a class; it shows weak spots in rare classes. Its mean over "
        "classes is known as mean average precision (mAP).",
        "要求模型逐步找出更多该类别内容时的平均精确率；能显出少见类别上的弱点。各类别的平均即 mAP。",
    ),
    "ndcg_at_10": Metric(
        "nDCG at 10",
        "nDCG@10",
        "How near the top a search puts what belongs to the query: 1 when all of it comes first, less the lower it stands, 0 "
        "beyond the tenth place.",
        "检索把相关文本排得多靠前：全部排在最前为 1，越靠后越低，第十名之后计为 0。",
    ),
    "mrr_at_10": Metric(
        "MRR at 10",
        "MRR@10",
        "One divided by the place at which the first right text stands, on average; 0 where it is not among the first ten.",
        "第一条相关文本名次的倒数的平均值；不在前十名时计为 0。",
    ),
    "recall_at_1": Metric(
        "Recall at 1",
        "召回率@1",
        "Of what belongs to a query: the share that the first result holds, on average.",
        "与查询相关的文本中，排在第一名的所占比例的平均值。",
    ),
    "recall_at_10": Metric(
        "Recall at 10",
        "召回率@10",
        "Of what belongs to a query: the share that stands among the first ten results, on average.",
        "与查询相关的文本中，排进前十名的所占比例的平均值。",
    ),
    "answer_f1": Metric(
        "F1 of answers",
        "答案 F1",
        "How many of its words (for Chinese: characters) an answer shares with the right one, on average; a question without "
        "an answer counts fully when none is given.",
        "回答与正确答案在词（中文按字）上重合程度的平均值；没有答案的问题，不作答即得满分。",
    ),
    "exact_match": Metric(
        "Exact match",
        "精确匹配率",
        "The share of questions whose answer is word for word a right one, leaving case, signs and articles aside.",
        "回答与某个正确答案完全相同的问题所占比例（不计大小写、标点与冠词）。",
    ),
    "has_answer_f1": Metric(
        "F1 of answers (answerable)",
        "答案 F1（有答案）",
        "The same of the questions that have an answer.",
        "仅就有答案的问题计算的答案 F1。",
    ),
    "has_answer_exact_match": Metric(
        "Exact match (answerable)",
        "精确匹配率（有答案）",
        "The share of exact answers among the questions that have one.",
        "有答案的问题中，回答完全正确的比例。",
    ),
    "no_answer_accuracy": Metric(
        "Unanswerable questions told",
        "无答案问题识别率",
        "Of the questions that have no answer: the share to which none is given.",
        "没有答案的问题中，模型不作答的比例。",
    ),
    "expected_calibration_error": Metric(
        "Calibration error (ECE)",
        "期望校准误差（ECE）",
        "How far the stated probabilities are, on average, from the share that is right: at 0, of answers given with 80 % "
        "certainty 80 % are right.",
        "模型所说的概率与实际正确率的平均差距：为 0 时，以 80% 把握给出的回答确有 80% 正确。",
    ),
    "brier": Metric(
        "Brier score",
        "Brier 分数",
        "The squared distance between the stated probabilities and what was true: 0 is perfect, 2 the worst.",
        "所说概率与真实情况之间的平方距离：0 为完美，2 为最差。",
        share=False,
    ),
    "negative_log_likelihood": Metric(
        "Log loss",
        "对数损失",
        "How surprised the model is by the truth, in nats: 0 is perfect; being sure and wrong costs most.",
        "模型对真实结果的“意外”程度，单位为奈特：0 为完美；自信却答错的代价最大。",
        share=False,
    ),
    "temperature": Metric(
        "Temperature",
        "温度",
        "One number that all scores are divided by, so that probabilities mean what they say: above 1 the model was too "
        "sure, below 1 not sure enough.",
        "为使概率名副其实而将所有得分除以的一个数：大于 1 表示模型原先过于自信，小于 1 表示不够自信。",
        share=False,
    ),
    "confusion": Metric(
        "Confusion matrix",
        "混淆矩阵",
        "How often each true class was answered with each class; right answers stand on the diagonal.",
        "每个真实类别各被判为哪些类别的次数；对角线上为正确回答。",
    ),
    "samples_f1": Metric(
        "Samples F1",
        "样本平均 F1",
        "F1 of each text's own labels, averaged over texts; a text rightly left without any label counts 1.",
        "逐条文本按其标签计算 F1 再取平均；本无标签且未判标签的文本计为 1。",
    ),
    "subset_accuracy": Metric(
        "All labels right",
        "标签全对的比例",
        "The share of texts of which every label is right, none missing and none too many.",
        "所有标签都判对（不漏也不多）的文本所占比例。",
    ),
    "hamming_loss": Metric(
        "Hamming loss",
        "汉明损失",
        "The share of single yes-or-no decisions, over all texts and labels, that are wrong: 0 is perfect. With rare labels "
        "it is small even for a model that finds none.",
        "所有文本、所有标签的“是/否”判断中错误的比例：0 为完美。标签少见时，一个都找不出的模型也会很小。",
    ),
    "quadratic_weighted_kappa": Metric(
        "Quadratic weighted kappa",
        "二次加权 kappa",
        "Agreement of ordered classes beyond chance; being off by two ranks costs four times as much as by one. 1 is perfect, "
        "0 no better than chance.",
        "有序类别上超出随机的一致程度；差两级的代价是差一级的四倍。1 为完美，0 与随机无异。",
        share=False,
    ),
    "mae": Metric(
        "Mean absolute error",
        "平均绝对误差（MAE）",
        "How far the answer is off on average: in the target's own units, for ordered classes in ranks.",
        "回答平均偏差多少：以目标自身的单位计，有序类别则以等级计。",
        share=False,
    ),
    "macro_mae": Metric(
        "Macro mean absolute error",
        "宏平均绝对误差",
        "The mean of every class's mean absolute error in ranks. A rare class counts as much as a common one.",
        "各类别平均绝对误差（以等级计）的平均值；少见的类别与常见的类别同等重要。",
        share=False,
    ),
    "token_accuracy": Metric(
        "Tokens found",
        "词元命中率",
        "The share of hidden (or next) tokens that the model's first guess is right about.",
        "模型首选猜中的被遮盖（或下一个）词元所占比例。",
    ),
    "pair_accuracy": Metric(
        "Pairs told rightly",
        "句对判断正确率",
        "The share of pairs of segments of which the model tells rightly whether the second follows the first; half are right by "
        "chance.",
        "模型正确判断第二段是否紧接第一段的句对所占比例；随机猜测为一半。",
    ),
    "detection_f1": Metric(
        "F1 of replaced tokens",
        "替换词元 F1",
        "How well the model finds the tokens that a small language model has replaced: few missed, few of the text's own accused.",
        "模型找出被小语言模型替换的词元的能力：既少遗漏，也少误判原文词元。",
    ),
    "detection_accuracy": Metric(
        "Tokens judged rightly",
        "词元判断正确率",
        "The share of all tokens of which the model tells rightly whether they were replaced. Most were not, so even a model that sees "
        "nothing is mostly right.",
        "模型正确判断是否被替换的词元所占比例。多数词元未被替换，因此即使毫无辨别力的模型此值也很高。",
    ),
    "generator_perplexity": Metric(
        "Perplexity of the generator",
        "生成器困惑度",
        "How many equally likely tokens the small model that replaces words is as unsure between as it is on average.",
        "负责替换词元的小模型平均相当于在多少个同样可能的词元之间犹豫。",
        share=False,
    ),
    "generator_token_accuracy": Metric(
        "Tokens found by the generator",
        "生成器词元命中率",
        "The share of hidden tokens that the small model's first guess is right about.",
        "小模型首选猜中的被遮盖词元所占比例。",
    ),
    "alignment": Metric(
        "Alignment",
        "对齐度",
        "How far apart, squared, the vectors of what belongs together lie on average: 0 in one place, 2 unrelated; less is better.",
        "相互对应的文本的向量之间距离平方的平均值：0 为重合，2 为无关；越小越好。",
        share=False,
    ),
    "uniformity": Metric(
        "Uniformity",
        "均匀度",
        "How evenly the vectors of different texts are spread, from 0 (all in one place) down to about -4 (evenly); less is better.",
        "不同文本的向量分布得多均匀：从 0（全部重合）到约 -4（均匀分布）；越小越好。",
        share=False,
    ),
    "perplexity": Metric(
        "Perplexity",
        "困惑度",
        "How many equally likely tokens the model is as unsure between as it is on average; 1 is certain. It compares only "
        "between models with the same tokenizer.",
        "模型平均相当于在多少个同样可能的词元之间犹豫；1 表示完全确定。只能在词元划分相同的模型之间比较。",
        share=False,
    ),
    "perplexity_ratio": Metric(
        "Perplexity after over before",
        "预训练前后困惑度之比",
        "The perplexity of the pre-trained base over that of the base as it was, on the same tokens of the same texts; below 1 "
        "pre-training helped.",
        "预训练后的困惑度除以预训练前的困惑度，在相同文本的相同词元上测得；小于 1 表示预训练有帮助。",
        share=False,
    ),
    "bits_per_byte": Metric(
        "Bits per byte",
        "每字节比特数",
        "How many bits the model would need for each byte of the text; less is better. It compares between tokenizers.",
        "模型编码文本每个字节所需的比特数；越小越好。可在不同词元划分之间比较。",
        share=False,
    ),
    "characters_per_token": Metric(
        "Characters per token",
        "每词元字符数",
        "How many characters a token stands for on average; more means shorter sequences.",
        "一个词元平均代表多少个字符；越多则序列越短。",
        share=False,
    ),
    "membership_tpr_at_0.1pct_fpr": Metric(
        "Members found at 0.1% false alarms",
        "误报率 0.1% 时找出的成员",
        "The share of training rows that an attacker recognises as such while wrongly naming one in 1,000 others; 0.001 is chance.",
        "攻击者每 1000 个非成员只误认一个时，能认出的训练行比例；0.001 为随机水平。",
    ),
    "membership_tpr_at_1pct_fpr": Metric(
        "Members found at 1% false alarms",
        "误报率 1% 时找出的成员",
        "The share of training rows that an attacker recognises as such while wrongly naming one in 100 others; 0.01 is chance.",
        "攻击者每 100 个非成员只误认一个时，能认出的训练行比例；0.01 为随机水平。",
    ),
    "membership_auc": Metric(
        "Membership AUC",
        "成员推断 AUC",
        "The chance that a training row looks more like one than another row does: 0.5 is chance. An average, which hides rows that are "
        "surely recognised.",
        "一个训练行比一个其他行看起来更像训练行的机会：0.5 为随机。它是平均值，会掩盖那些能被确凿认出的行。",
    ),
    "epsilon_lower_bound": Metric(
        "Lower bound of epsilon",
        "epsilon 的下界",
        "An epsilon that canaries show the training surely exceeds. It can refute a claim and never prove one.",
        "由金丝雀行证明训练的 epsilon 至少有这么大。它可以推翻一项声明，但永远不能证明一项声明。",
        share=False,
    ),
    "canary_exposure": Metric(
        "Exposure of canaries",
        "金丝雀文本的暴露度",
        "How far up a planted text stands, by likelihood, among texts made in the same way, in bits: 1.44 on average where it left no "
        "trace, one more for each halving of its rank.",
        "植入的文本在以同样方式生成的文本中按似然排得多靠前，以比特计：没有留下痕迹时平均为 1.44，名次每减半便增加 1。",
        share=False,
    ),
    "canaries_extracted": Metric(
        "Canaries found first",
        "排在首位的金丝雀文本",
        "The share of planted texts that no other text made in the same way is likelier than: whoever tries them all finds these.",
        "没有任何同样方式生成的文本比其更可能的植入文本所占比例：逐一尝试者便能找到它们。",
    ),
    "verbatim_continuation_rate": Metric(
        "Texts continued word for word",
        "逐字续写的文本",
        "The share of training texts that the model, given their beginning, goes on with word for word.",
        "给出开头后，模型能逐字续写下去的训练文本比例。",
    ),
    "rmse": Metric(
        "Root mean squared error",
        "均方根误差（RMSE）",
        "As the mean absolute error, in the target's units, but large errors weigh more.",
        "与平均绝对误差相似，以目标自身的单位计，但大的误差权重更高。",
        share=False,
    ),
    "r2": Metric(
        "R² (explained variance)",
        "R²（决定系数）",
        "The share of the target's variance that the answers explain: 1 is perfect, 0 is as good as always answering the mean "
        "of these rows, below 0 is worse.",
        "回答所能解释的目标方差比例：1 为完美，0 相当于总是回答这些行的平均值，低于 0 则更差。",
        share=False,
    ),
    "pearson": Metric(
        "Pearson correlation",
        "皮尔逊相关系数",
        "How closely answers and truth lie on one straight line: 1 is perfect, 0 is none.",
        "回答与真实值在多大程度上落在一条直线上：1 为完美，0 为毫无关系。",
        share=False,
    ),
    "spearman": Metric(
        "Spearman correlation",
        "斯皮尔曼等级相关系数",
        "How well the answers put the texts in the right order: 1 is perfect, 0 is chance.",
        "回答在多大程度上把文本排成了正确的次序：1 为完美，0 为随机。",
        share=False,
    ),
    "interval_coverage": Metric(
        "Coverage of the intervals",
        "区间覆盖率",
        "How often the true number lies within the interval that is given with the answer.",
        "真实值落在回答所附区间之内的比例。",
    ),
    "interval_width": Metric(
        "Width of the intervals",
        "区间宽度",
        "How wide the intervals given with the answers are, in the target's own units: narrow ones say more.",
        "回答所附区间的宽度，以目标自身的单位计：越窄，信息越多。",
        share=False,
    ),
    "agreement": Metric(
        "Truth by prediction",
        "真实值与预测值",
        "How many rows lie where, by their true number and the answer; on the diagonal both are alike.",
        "按真实值与回答统计各处的行数；在对角线上两者相近。",
    ),
    "label_noise_share": Metric(
        "Contradicted labels",
        "受反对的标签",
        "The share of training labels that a simple model contradicts confidently. Hard rows are among them: fewer are wrong.",
        "训练标签中被一个简单模型有把握地反对的比例；其中也有难例，真正标错的更少。",
    ),
    "label_noise_candidates": Metric(
        "Doubtful labels",
        "存疑的标签",
        "Training rows whose label a simple model, trained without them, contradicts confidently. Hard rows are among them.",
        "用不含这些行训练的简单模型有把握地反对其标签的训练行；其中也有难例。",
        share=False,
    ),
    "headline_gain": Metric(
        "Gain over the baseline",
        "相对基线的提升",
        "The model's main score minus the baseline's, on the same rows and in the same resamples.",
        "在同样的行、同样的重抽样中，模型的主要得分减去基线的得分。",
        share=False,
    ),
    "perplexity_over_baseline": Metric(
        "Perplexity over the baseline's",
        "困惑度与基线之比",
        "The model's perplexity over that of a cheap model, on the same tokens and in the same resamples; below 1 is better.",
        "在相同的词元、同样的重抽样中，模型的困惑度除以便宜模型的困惑度；小于 1 为更好。",
        share=False,
    ),
    "format_agreement": Metric(
        "Agreement",
        "一致率",
        "The share of test rows that a released format answers as the first format does, probabilities aside.",
        "某种发布格式与首个格式回答相同的测试行所占比例（不计概率）。",
    ),
    "forgetting": Metric(
        "Forgetting",
        "遗忘",
        "How much of an earlier task's best score is lost after learning the new data; below 0 it has become better.",
        "学习新数据之后，先前任务的最好得分损失了多少；小于 0 表示反而变好。",
        share=False,
    ),
    "backward_transfer": Metric(
        "Backward transfer",
        "后向迁移",
        "The score on an earlier task now, minus its score when that had just been learned: below 0 it was forgotten.",
        "先前任务现在的得分减去刚学完该任务时的得分：小于 0 即有遗忘。",
        share=False,
    ),
    "forward_transfer": Metric(
        "Forward transfer",
        "前向迁移",
        "What the earlier model knew of the new task before learning it: its score less that of a model of random weights.",
        "先前的模型在学习新任务之前对它已知多少：其得分减去随机权重模型的得分。",
        share=False,
    ),
    "score_then": Metric(
        "Score then",
        "当时的得分",
        "The main score when the earlier task had just been learned.",
        "刚学完先前任务时的主要得分。",
    ),
    "score_now": Metric(
        "Score now",
        "现在的得分",
        "The main score on the same test rows, of this model.",
        "本模型在同样测试行上的主要得分。",
    ),
    "rows_replayed": Metric(
        "Rows replayed",
        "重放的行",
        "Earlier training rows that were learned from again.",
        "再次用于学习的先前训练行。",
        share=False,
    ),
    "rows_kept_apart": Metric(
        "Rows left out",
        "舍去的行",
        "Rows not learned from, since they are like rows that an earlier task is judged on.",
        "因与先前任务的评判行相似而未用于学习的行。",
        share=False,
    ),
    "rows_not_judged": Metric(
        "Earlier test rows left out",
        "舍去的先前测试行",
        "Test rows of an earlier task that are not judged on any more, since given rows like them were learned from.",
        "因给定部分中的相似行已被学习，而不再用于评判的先前任务的测试行。",
        share=False,
    ),
    "texts_known": Metric(
        "Test rows in texts of pre-training",
        "预训练文本中的测试行",
        "Test rows that stand in texts which an earlier model was pre-trained on, without their labels.",
        "出现在先前模型预训练所用文本中的测试行（不含标签）。",
        share=False,
    ),
    "rows_known": Metric(
        "Held-out rows left out",
        "舍去的留出行",
        "Rows not judged on, since the earlier model has learned from like ones.",
        "因先前的模型已学过相似的行而未用于评判的行。",
        share=False,
    ),
    "latency": Metric(
        "Time per text",
        "每条文本耗时",
        "The time that half of the test texts stay below, each answered alone in one thread: it depends on the machine.",
        "在单线程中逐条回答时，半数测试文本不超过的时间；因机器而异。",
        share=False,
    ),
    "size": Metric(
        "Size",
        "大小",
        "The size of a released format's files, its tokenizer among them, in millions of bytes.",
        "发布格式的全部文件（含分词器）的大小，单位为百万字节。",
        share=False,
    ),
}

TERMS: tuple[tuple[str, str, str, str], ...] = (
    (
        "Interval",
        "区间",
        "The range in which the true value plausibly lies, given that only so many rows were tested. A limit is held "
        "against its worse end.",
        "由于只测试了有限的行，真实值可能所在的范围。限值按区间较差的一端评判。",
    ),
    (
        "Test split",
        "测试集",
        "Rows kept away from the model while it learned; every judgement is made on them.",
        "学习时不让模型看到的行；所有评判都在这些行上进行。",
    ),
    (
        "Calibration split",
        "校准集",
        "Rows kept aside to fit what answers need beside the model: temperature, thresholds, intervals. Nothing is judged on them.",
        "专门留出的行，用来拟合模型之外回答所需的东西：温度、阈值、区间；不在其上作任何评判。",
    ),
    (
        "Baseline",
        "基线",
        "A simple method measured on the same rows. A costly model that does not beat it is not worth its cost.",
        "在同样的行上测量的简单方法。昂贵的模型若胜不过它，就不值得其代价。",
    ),
    (
        "Leakage",
        "泄漏",
        "Test rows that have a twin among the training rows: scores on them measure memory, not skill.",
        "测试行在训练行中有“孪生”文本：在其上的得分衡量的是记忆，而不是能力。",
    ),
    (
        "Insufficient evidence",
        "证据不足",
        "Too few rows to say anything; such a part is shown, and is not counted as good.",
        "行数太少，无从判断；这样的部分会列出，但不算合格。",
    ),
)
"""Words of the page that are no metrics: (English, Chinese, meaning in English, meaning in Chinese)."""
