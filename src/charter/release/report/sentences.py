"""The sentences of the evidence in Chinese.

Evidence is written in English and stays so: verdicts are derived anew and compared as text, and findings are kept as
they were measured. A page in Chinese looks each sentence up in this catalogue of templates. `{name}` stands for any text and
is carried over; `{name!}` is itself looked up; `{name#}` is a number. A sentence of several parts
joined by `; ` is read part by part. What no template fits (a plug-in's own words) is shown
as it stands.
"""

import re
from functools import cache

from charter.release.report.claims_sentences import CLAIMS
from charter.release.report.fairness_sentences import FAIR
from charter.release.report.privacy_sentences import PRIVATE
from charter.release.report.row_sentences import ROWS

CATALOGUE: tuple[tuple[str, str], ...] = (
    # accounting
    ("privacy loss distributions (dp-accounting {version})", "隐私损失分布（dp-accounting {version}）"),
    # verdicts
    ("its value is {value#}", "测得值为 {value}"),
    ("its value for {slice} is {value#}", "{slice} 的测得值为 {value}"),
    ("the low end of its {share} interval is {value#}", "其 {share} 区间的下端为 {value}"),
    ("the high end of its {share} interval is {value#}", "其 {share} 区间的上端为 {value}"),
    ("the low end of its {share} interval for {slice} is {value#}", "{slice} 的 {share} 区间下端为 {value}"),
    ("the high end of its {share} interval for {slice} is {value#}", "{slice} 的 {share} 区间上端为 {value}"),
    ("the low end of its interval is {value#}", "其区间的下端为 {value}"),
    ("the high end of its interval is {value#}", "其区间的上端为 {value}"),
    ("the low end of its interval for {slice} is {value#}", "{slice} 的区间下端为 {value}"),
    ("the high end of its interval for {slice} is {value#}", "{slice} 的区间上端为 {value}"),
    (
        "its value {value#} would keep it, but that is not proven",
        "测得值 {value} 本可遵守限值，但尚未得到证明",
    ),
    (
        "it was measured without an interval; say judge: point to judge its value",
        "测量时没有区间；若要按测得值评判，请写 judge: point",
    ),
    ("no slice it covers has enough evidence", "它所涵盖的部分都没有足够的证据"),
    (
        "no audit measured {metric} on the test split; measured were: {metrics}",
        "没有审计在测试集上测量 {metric}；测量过的有：{metrics}",
    ),
    (
        "no audit measured {metric} of the training rows; measured were: {metrics}",
        "没有审计对训练行测量 {metric}；测量过的有：{metrics}",
    ),
    ("no such slice was measured; there are: {slices}", "没有测量过这样的部分；已有的部分：{slices}"),
    ("{metric} was measured over all rows", "{metric} 只在全部行上测量过"),
    ("{metric} was measured by {ways}", "{metric} 的测量方式：按 {ways}"),
    ("{metric} was measured over all rows, by {ways}", "{metric} 的测量方式：全部行，按 {ways}"),
    (
        "purpose.risk is {risk!}, which demands evidence of {area!}, and no audit measured it",
        "purpose.risk 为“{risk}”，要求有关于{area}的证据，但没有审计测量它",
    ),
    (
        "purpose.risk is {risk!}, which demands evidence of {area!}, and its audit found too little evidence on these rows",
        "purpose.risk 为“{risk}”，要求有关于{area}的证据，但审计在这些行上得到的证据太少",
    ),
    (
        "the charter states no limit, so nothing is proven; write one under limits",
        "章程没有写明限值，因此什么也没有得到证明；请在 limits 下写明",
    ),
    ("evidence of {area!}", "关于{area}的证据"),
    ("at least one limit", "至少一条限值"),
    ("minimal", "极低"),
    ("limited", "有限"),
    ("high", "高"),
    ("performance", "性能"),
    ("calibration", "校准"),
    ("fairness", "公平性"),
    ("robustness", "鲁棒性"),
    ("explanations", "可解释性"),
    ("privacy", "隐私"),
    # few examples
    (
        "only {n#} training rows per class, and with fewer than {few#} a head fitted to the base's vectors is often "
        "better: training: {objective: {use: contrastive}, epochs: 0}, or 20 epochs to teach the encoder too",
        "每个类别只有 {n} 行训练数据；少于 {few} 行时，在基座向量上拟合的输出头往往更好："
        "training: {{objective: {{use: contrastive}}, epochs: 0}}；若也要训练编码器，则用 20 轮",
    ),
    (
        "best with every class described in a sentence: task.descriptions",
        "最好再用一句话描述每个类别：task.descriptions",
    ),
    (
        "only {n#} updates, which hardly move the encoder; raise training.epochs",
        "只有 {n} 次更新，编码器几乎不变；请增加 training.epochs",
    ),
    (
        "this base can't be made to read the mean over a text's tokens, so texts are compared by what its head reads, which "
        "is worse; a BERT, RoBERTa, ELECTRA, DistilBERT or ModernBERT can",
        "该基座无法改为读取文本各词元的平均，因此只能按输出头所读的向量比较文本，效果较差；"
        "BERT、RoBERTa、ELECTRA、DistilBERT 与 ModernBERT 可以",
    ),
    # energy
    ("this machine shows no energy counter", "这台机器没有可读的能耗计数器"),
    (
        "this machine's energy counters can be read by its administrator only",
        "这台机器的能耗计数器只有管理员可以读取",
    ),
    (
        "the GPU's counter is read by nvidia-ml-py, which is not installed: {command}",
        "读取 GPU 计数器需要 nvidia-ml-py，而它没有安装：{command}",
    ),
    ("the GPU has no energy counter that NVML could read", "该 GPU 没有 NVML 可读的能耗计数器"),
    (
        "it was learned in parts, and not each of them was measured by the same counters",
        "学习分几次完成，而各次并非由相同的计数器测量",
    ),
    ("not measured: {why!}", "未测量：{why}"),
    ("counted by {sources!}", "由 {sources} 计数"),
    ("NVML, NVIDIA GPUs", "NVML（NVIDIA GPU）"),
    ("RAPL, processor packages and their memory", "RAPL（处理器及其内存）"),
    (
        "NVML, NVIDIA GPUs and RAPL, processor packages and their memory",
        "NVML（NVIDIA GPU）与 RAPL（处理器及其内存）",
    ),
    ("whatever else they computed is in it", "其间的其他计算也包含在内"),
    # language models
    (
        "{n#} rows are of the calibration split, and task {task} has nothing to calibrate: they stay aside, and no score or choice is "
        "made by them",
        "有 {n} 行属于校准部分，而任务 {task} 没有可校准的内容：它们留在一旁，不用于任何得分或选择",
    ),
    ("without data.split.calibration they are learned from", "去掉 data.split.calibration，它们便用于学习"),
    (
        "documents are read in pieces of at most {n#} tokens, and each token is foretold from those before it in its piece "
        "alone",
        "文档按最多 {n} 个词元分段读取，每个词元只由同一段中它之前的词元预测",
    ),
    (
        "documents are read in pieces of at most {n#} tokens, of which {share} are hidden, the same ones each time, and found from "
        "the rest of their piece",
        "文档按最多 {n} 个词元分段读取，其中 {share} 被遮盖（每次遮盖相同的词元），由同一段的其余部分还原",
    ),
    (
        "documents are read in pieces of at most {n#} tokens, each parted in two segments at a sentence's end, of which {share} are "
        "hidden, and pairs and hidden tokens are the same each time",
        "文档按最多 {n} 个词元分段读取，每段在句末分为两部分，其中 {share} 的词元被遮盖；每次的句对与遮盖的词元都相同",
    ),
    (
        "documents are read in pieces of at most {n#} tokens, of which the generator is asked for {share}, the same ones each time, "
        "and fills in the same ones",
        "文档按最多 {n} 个词元分段读取，其中 {share} 由生成器填写，每次位置相同、填写的词元也相同",
    ),
    (
        "perplexity after pre-training over that before, on the same tokens",
        "预训练后的困惑度除以预训练前的困惑度，在相同的词元上测得",
    ),
    (
        "the base is new, with random weights: before pre-training there is nothing to foretell with",
        "基座是新的，权重随机：预训练之前没有可用于预测的能力",
    ),
    (
        "the base has no head of its own for this objective, so before pre-training it foretells nothing",
        "基座没有用于该训练目标的输出头，因此预训练之前不作任何预测",
    ),
    (
        "processor time of all threads of the first process, interruptions left out",
        "第一个进程所有线程的处理器时间，不计中断",
    ),
    # why there is no evidence
    ("insufficient evidence: {what!}", "证据不足：{what}"),
    ("{n#} rows, at least {least#} are needed", "只有 {n} 行，至少需要 {least} 行"),
    ("{n#} decisions, at least {least#} are needed", "只有 {n} 个判断，至少需要 {least} 个"),
    (
        "{n#} decisions, worth {u#} independent ones, at least {least#} are needed",
        "{n} 个判断只相当于 {u} 个相互独立的，至少需要 {least} 个",
    ),
    ("{n#} of class {label}, at least {least#} are needed", "类别 {label} 只有 {n} 个，至少需要 {least} 个"),
    (
        "{n#} predicted as class {label}, at least {least#} are needed",
        "预测为类别 {label} 的只有 {n} 个，至少需要 {least} 个",
    ),
    (
        "{n#} rows, worth {u#} independent ones, at least {least#} are needed",
        "{n} 行只相当于 {u} 个相互独立的行，至少需要 {least} 行",
    ),
    (
        "{n#} of class {label}, worth {u#} independent ones, at least {least#} are needed",
        "类别 {label} 的 {n} 个只相当于 {u} 个相互独立的，至少需要 {least} 个",
    ),
    (
        "{n#} predicted as class {label}, worth {u#} independent ones, at least {least#} are needed",
        "预测为类别 {label} 的 {n} 个只相当于 {u} 个相互独立的，至少需要 {least} 个",
    ),
    (
        "the score is not defined on these rows (nothing predicted, one class only, or all answers alike)",
        "该得分在这些行上没有定义（没有预测、只有一个类别，或所有回答都相同）",
    ),
    (
        "task {task} states no probabilities, and no intervals: too few rows were left to fit them on",
        "任务 {task} 不给出概率，也没有区间：可用于拟合的行太少",
    ),
    ("task {task} states no probabilities", "任务 {task} 不给出概率"),
    ("the training rows hold one class only", "训练行只有一个类别"),
    ("the training rows hold one tag only", "训练行只有一种标签"),
    ("it can't be fitted ({why})", "无法拟合（{why}）"),
    (
        "the baseline's score is not defined on these rows, so there is nothing to gain over",
        "基线的得分在这些行上没有定义，因此无从谈提升",
    ),
    ("no baseline is written for task {task}", "任务 {task} 没有现成的基线"),
    ("no calibration audit is asked for", "章程没有要求校准审计"),
    ("no row is left to fit it on", "没有可用于拟合的行"),
    (
        "{right#} right and {wrong#} wrong decisions, at least {least#} of each are needed",
        "正确的判断 {right} 个、错误的 {wrong} 个，两者至少各需 {least} 个",
    ),
    (
        "the likelihood is best at the end of the range that is searched, and may be better still beyond it",
        "似然在搜索范围的端点处最大，范围之外可能还会更好",
    ),
    ("no temperature is better than 1", "没有比 1 更好的温度"),
    (
        "the task's answers are numbers, which are alike by degrees only",
        "该任务的回答是数值，只有程度上的相近",
    ),
    # how it was measured
    ("it is the first format, which the others are compared with", "它就是首个格式，其他格式都与它比较"),
    ("share of test rows answered as by the first format", "与首个格式回答相同的测试行所占比例"),
    (
        "median {clock!} of texts answered one by one in one thread of the machine that ran this",
        "在本次运行的机器上以单线程逐条回答文本时所需{clock}的中位数",
    ),
    ("processor time", "处理器时间"),
    ("time", "时间"),
    ("bytes of its files", "其全部文件的字节数"),
    ("ms", "毫秒"),
    ("MB", "MB"),
    ("count", "计数"),
    ("tokens read over the wall clock", "读取的词元数除以实际用时"),
    ("the losses of training and of validation texts by update", "每次更新时训练文本与验证文本的损失"),
    ("characters of held-out texts over their tokens", "留出文本的字符数除以词元数"),
    ("share of held-out texts' tokens", "占留出文本词元的比例"),
    ("wall clock", "实际时间"),
    ("nats", "单位为奈特"),
    ("percentile bootstrap, {n#} resamples", "百分位自助法，重抽样 {n} 次"),
    ("percentile bootstrap over rows, {n#} resamples", "按行的百分位自助法，重抽样 {n} 次"),
    (
        "percentile bootstrap over {u#} units of one person's or of like rows, {n#} resamples",
        "按 {u} 个单元（同一人的行或相似的行合为一个）的百分位自助法，重抽样 {n} 次",
    ),
    (
        "percentile bootstrap over rows, {n#} resamples, not defined in {m#}",
        "按行的百分位自助法，重抽样 {n} 次，其中 {m} 次没有定义",
    ),
    (
        "percentile bootstrap over {u#} units of one person's or of like rows, {n#} resamples, not defined in {m#}",
        "按 {u} 个单元（同一人的行或相似的行合为一个）的百分位自助法，重抽样 {n} 次，其中 {m} 次没有定义",
    ),
    ("not defined in most of them", "其中大多数没有定义"),
    ("widened by Wilson score interval", "以 Wilson 得分区间加宽"),
    ("widened by its classes' intervals (MOVER)", "按各类别的区间加宽（MOVER）"),
    ("widened as its least certain class", "按最不确定的类别加宽"),
    ("widened by Wilson's interval of the accuracy", "以准确率的 Wilson 区间加宽"),
    ("Wilson score interval", "Wilson 得分区间"),
    ("paired {rest!}", "配对的{rest}"),
    ("{metric} of the model minus {other} of the baseline", "模型的 {metric} 减去基线的 {other}"),
    (
        "share of judged tokens where the likeliest token is that of the first format",
        "在所评判的词元中，最可能的词元与首个格式相同者所占的比例",
    ),
    ("{metric} of the model over {other} of the baseline", "模型的 {metric} 除以基线的 {other}"),
    (
        "{n#} bins of equal numbers of decisions, bias taken off by the bootstrap",
        "{n} 个判断数相等的区段，以自助法去偏",
    ),
    (
        "split conformal intervals (Lei et al. 2018), fitted on the calibration split, {n#} rows, to hold {share#}",
        "分割保形区间（Lei 等人，2018），在校准集的 {n} 行上拟合，目标覆盖率为 {share}",
    ),
    (
        "split conformal intervals (Lei et al. 2018), fitted on the calibration and validation splits, {n#} rows, to hold {share#}",
        "分割保形区间（Lei 等人，2018），在校准集与验证集的 {n} 行上拟合，目标覆盖率为 {share}",
    ),
    ("counts in bins of equal width, truth by prediction", "等宽区段中真实值与预测值的计数"),
    ("sum over classes of squared differences", "各类别平方差之和"),
    ("counts, truth by prediction", "真实与预测的计数"),
    ("the value is their diagonal's share", "数值为对角线所占的比例"),
    (
        "temperature scaling (Guo et al. 2017), fitted on the calibration split, folded into the released weights",
        "温度缩放（Guo 等人，2017），在校准集上拟合，已并入发布的权重",
    ),
    (
        "temperature scaling (Guo et al. 2017), fitted on the calibration and validation splits, folded into the released weights",
        "温度缩放（Guo 等人，2017），在校准集与验证集上拟合，已并入发布的权重",
    ),
    (
        "temperature scaling (Guo et al. 2017), not fitted: {because!}",
        "温度缩放（Guo 等人，2017），没有拟合：{because}",
    ),
    (
        "rows of a plain random test split, none dropped for another one, with a text in the rest at least {s#} similar",
        "不去除任何重复或相似行的普通随机测试集中，在其余行里有相似度不低于 {s} 的文本的行",
    ),
    (
        "rows of the split with a training text at least {s#} similar",
        "该部分中与某条训练文本相似度不低于 {s} 的行",
    ),
    (
        "rows of the split that a training text holds: {share#} of their runs of {n#} words or more",
        "该部分中包含在某条训练文本里的行：其连续 {n} 个词的片段中至少有 {share} 出现在其中",
    ),
    ("rows of the split that share a subject with training", "该部分中与训练集涉及同一人的行"),
    (
        "most rows joined by similarity of at least {s#} or by one subject",
        "因相似度不低于 {s} 或涉及同一人而相连的行的最大数目",
    ),
    ("they stay on one side", "它们留在划分的一侧"),
    ("this split, given or by time, may part them", "此划分（给定的或按时间的）可能把它们分开"),
    (
        "pairs kept on one side without being compared: too many rows share one mould to compare them all",
        "未经比较就留在同一侧的配对：同一模板的行太多，无法逐一比较",
    ),
    (
        "share of the rows; {asked#} was asked for, rows that stay together are too many",
        "占全部行的比例；要求 {asked}，但须留在一起的行太多",
    ),
    ("the lowest loss on validation", "验证集上损失最低的一次"),
    (
        "texts not learned from: equal or similar (at least {s#}) to a row that the task is judged on, or holding one",
        "未用于学习的文本：与评判任务所用的某一行相同或相似（不低于 {s}），或含有这样的一行",
    ),
    ("the best {metric} on validation", "验证集上 {metric} 最高的一次"),
    ("no validation rows: the last update", "没有验证行：取最后一次更新"),
    ("share of the training texts' tokens", "占训练文本词元的比例"),
    (
        "the best of {n#} trials on the rows that chose it, so it is too high",
        "{n} 次试验中在用来选择的行上最好的一次，因此偏高",
    ),
    ("the test split says how good the model is", "模型究竟如何，由测试集说明"),
    ("the highest score on validation, the earliest of equals", "验证集上得分最高的一次，同分取最早的"),
    (
        "the loss is no number any more at update {a#} of {b#}: lower training.learning_rate, or set training.max_grad_norm",
        "在第 {a} 次更新（共 {b} 次）时损失已不是数：请降低 training.learning_rate，或设定 training.max_grad_norm",
    ),
    (
        "the validation loss is no number any more after update {a#}: lower training.learning_rate, or set "
        "training.max_grad_norm",
        "在第 {a} 次更新之后验证损失已不是数：请降低 training.learning_rate，或设定 training.max_grad_norm",
    ),
    (
        "after the last update {n#} weights are no numbers any more, such as {name}: lower training.learning_rate, or set "
        "training.max_grad_norm",
        "最后一次更新之后有 {n} 组权重已不是数，例如 {name}：请降低 training.learning_rate，或设定 training.max_grad_norm",
    ),
    # what a run notes as it goes
    (
        "tracker {name} failed and is told nothing more ({why}); the run goes on without it",
        "跟踪器 {name} 出错，不再向它报告（{why}）；运行照常继续",
    ),
    (
        "every setting of training.search was tried, after {n#} trials",
        "training.search 的全部设置在 {n} 次试验后都已试过",
    ),
    ("goes on from update {a#} of {b#}", "从第 {a} 次更新继续，共 {b} 次"),
    (
        "the checkpoint can't be read or is of another model, so training starts anew; it is now {place}",
        "检查点无法读取或属于另一个模型，因此重新开始训练；它现在位于 {place}",
    ),
    (
        "{share} of the training texts' tokens are unknown to the base: its vocabulary is of another language "
        "or script, and it reads little of these texts; name a base of their language",
        "训练文本的词元中有 {share} 是基础模型不认识的：它的词表属于另一种语言或文字，几乎读不懂这些文本；请换用该语言的基础模型",
    ),
    (
        "the fractions of data.split are not met ({shares}): {largest} of {rows} rows are alike, in chains, or of one "
        "subject, and stay on one side; drop_near_duplicates before it, or a higher data.split.similarity, parts more",
        "data.split 的比例未能满足（{shares}）：{rows} 行中有 {largest} 行彼此相似（连成链）或属于同一人，须留在同一侧；"
        "先用 drop_near_duplicates，或提高 data.split.similarity，可以分得更开",
    ),
    (
        "the {rows} test rows are worth {worth#} independent ones, since {largest} of them are alike, in chains, or of one subject: scores "
        "will read too few. Where they are different cases in one form, as rows of a table are, set "
        "data.split.similarity to 1 (now {now#}), so that only equal ones belong together",
        "{rows} 行测试数据只相当于 {worth} 行独立数据，因为其中 {largest} 行彼此相似（连成链）或属于同一人：分数将显示证据太少。"
        "若它们是同一形式的不同个案（如表格的各行），请把 data.split.similarity 设为 1（现为 {now}），使只有相同的行才合在一起",
    ),
    (
        "{bundle} is still the bundle of run {run}, not of this one",
        "{bundle} 仍是运行 {run} 的发布包，不属于这次运行",
    ),
    ("{bundle} is still an earlier bundle, not of this one", "{bundle} 仍是先前的发布包，不属于这次运行"),
    ("confident learning (Northcutt et al. 2021)", "置信学习（Northcutt 等人，2021）"),
    (
        "probabilities of a linear model on words, trained without the row's unit",
        "概率来自基于词的线性模型，训练时不含该行所在的单元",
    ),
    (
        "the teacher '{name}' learned from the same source, split otherwise: it may have learned from rows that this model "
        "is judged on, and scores may be too high; split both alike (data.split)",
        "教师模型“{name}”从同一来源学习，但划分不同：它可能学过用来评判本模型的行，得分可能偏高；请让两者划分一致（data.split）",
    ),
    # comparisons of runs
    ("their tasks or their classes differ", "任务或类别不同"),
    ("their tasks differ", "任务不同"),
    ("they hide tokens in different ways", "两者遮盖词元的方式不同"),
    ("it counts tokens, and theirs are those of different tokenizers", "它按词元计算，而两者的分词器不同"),
    ("they were judged on different test rows", "评判所用的测试行不同"),
    ("the truth of the same rows differs between them", "同样的行在两者中的真实值不同"),
    ("what run {run} answered on each row is no longer in the store", "运行 {run} 对每行的回答已不在存储中"),
    (
        "simultaneous bootstrap interval over rows, all groups in the same {n#} resamples",
        "按行的同时自助法区间，所有群体用同样的 {n} 次重抽样",
    ),
    (
        "simultaneous bootstrap interval over {units#} units of one person's or of like rows, all groups in the same {n#} resamples",
        "按 {units} 个单元（同一人的行或彼此相似的行）的同时自助法区间，所有群体用同样的 {n} 次重抽样",
    ),
    ("fewer than two groups have enough rows", "行数足够的群体不到两个"),
    ("this score is not measured by group", "该得分不按群体测量"),
    ("the score of a group is not defined in most resamples", "在大多数重抽样中，某个群体的得分没有定义"),
    ("approximate randomisation test over rows, {n#} permutations", "按行的近似随机化检验，置换 {n} 次"),
    (
        "approximate randomisation test over {u#} units of one person's or of like rows, {n#} permutations",
        "按 {u} 个单元（同一人的行或相似的行合为一个）的近似随机化检验，置换 {n} 次",
    ),
    ("paired bootstrap test over rows, {n#} resamples", "按行的配对自助法检验，重抽样 {n} 次"),
    (
        "paired bootstrap test over {u#} units of one person's or of like rows, {n#} resamples",
        "按 {u} 个单元（同一人的行或相似的行合为一个）的配对自助法检验，重抽样 {n} 次",
    ),
    (
        "McNemar's exact test: {won#} rows right only in the second, {lost#} only in the first",
        "McNemar 精确检验：只有后者答对的 {won} 行，只有前者答对的 {lost} 行",
    ),
    ("widened by Bonett and Price's interval", "以 Bonett 与 Price 的区间加宽"),
    ("only {d#} of {u#} units were answered differently", "{u} 个单元中只有 {d} 个的回答不同"),
    *CLAIMS,
    *FAIR,
    *ROWS,
    *PRIVATE,
)

_HOLE = re.compile(r"\{(\w+)([#!]?)\}")


Catalogue = tuple[tuple[str, str], ...]
"""Templates in English, each with its Chinese."""


def translated(text: str, catalogue: Catalogue = CATALOGUE) -> str | None:
    """A sentence of the evidence in Chinese, or None where the catalogue has no template for it."""
    whole = _looked_up(text, catalogue)
    if whole is not None or "; " not in text:
        return whole
    parts = [_looked_up(part, catalogue) for part in text.split("; ")]
    return None if None in parts else "；".join(str(part) for part in parts)


def _looked_up(text: str, catalogue: Catalogue) -> str | None:
    for pattern, chinese, holes in _compiled(catalogue):
        match = pattern.fullmatch(text)
        if match is None:
            continue
        values = {}
        for name, kind in holes:
            value = translated(match[name], catalogue) if kind == "!" else match[name]
            if value is None:
                break
            values[name] = value
        else:
            return chinese.format(**values)
    return None


@cache
def _compiled(catalogue: Catalogue) -> tuple[tuple[re.Pattern[str], str, tuple[tuple[str, str], ...]], ...]:
    found = []
    for english, chinese in catalogue:
        holes = tuple((match[1], match[2]) for match in _HOLE.finditer(english))
        pattern, end = "", 0
        for match in _HOLE.finditer(english):
            inside = r"[-+0-9.e]+" if match[2] == "#" else r".+?"
            pattern += re.escape(english[end : match.start()]) + f"(?P<{match[1]}>{inside})"
            end = match.end()
        found.append((re.compile(pattern + re.escape(english[end:]), re.DOTALL), chinese, holes))
    return tuple(found)
