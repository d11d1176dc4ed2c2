"""The sentences of the evidence in Chinese.

Evidence is written in English and stays so: verdicts are derived anew and compared as text, and findings are kept as
they were measured. A page in Chinese looks each sentence up in this catalogue of templates. `{name}` stands for any text and
is carried over; `{name!}` is itself looked up; `{name#}` is a number. A sentence of several parts
joined by `; ` is read part by part. What no template fits (a plug-in's own words) is shown
as it stands.
"""

import re
from functools import cache

CATALOGUE: tuple[tuple[str, str], ...] = (
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
    ("no such slice was measured; there are: {slices}", "没有测量过这样的部分；已有的部分：{slices}"),
    ("{metric} was measured over all rows", "{metric} 只在全部行上测量过"),
    ("{metric} was measured by {ways}", "{metric} 的测量方式：按 {ways}"),
    ("{metric} was measured over all rows, by {ways}", "{metric} 的测量方式：全部行，按 {ways}"),
    (
        "purpose.risk is {risk!}, which demands evidence of {area!}, and no audit measured it",
        "purpose.risk 为“{risk}”，要求有关于{area}的证据，但没有审计测量它",
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
        "only {n#} training rows per class, and with fewer than {few#} a head fitted to the base's vectors is usually "
        "better: training: {objective: {use: contrastive}, epochs: 0}, or 20 epochs to teach the encoder too",
        "每个类别只有 {n} 行训练数据；少于 {few} 行时，在基座向量上拟合的输出头通常更好："
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
    # why there is no evidence
    ("insufficient evidence: {what!}", "证据不足：{what}"),
    ("{n#} rows, at least {least#} are needed", "只有 {n} 行，至少需要 {least} 行"),
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
        "the score is not defined on these rows (nothing predicted, or one class only)",
        "该得分在这些行上没有定义（没有预测，或只有一个类别）",
    ),
    (
        "task {task} states no probabilities, and no intervals: too few rows were left to fit them on",
        "任务 {task} 不给出概率，也没有区间：可用于拟合的行太少",
    ),
    ("task {task} states no probabilities", "任务 {task} 不给出概率"),
    ("the training rows hold one class only", "训练行只有一个类别"),
    ("the training rows hold one tag only", "训练行只有一种标签"),
    ("it can't be fitted ({why})", "无法拟合（{why}）"),
    ("no baseline is written for task {task}", "任务 {task} 没有现成的基线"),
    ("no calibration audit is asked for", "章程没有要求校准审计"),
    ("no row is left to fit it on", "没有可用于拟合的行"),
    (
        "{right#} right and {wrong#} wrong decisions, at least {least#} of each are needed",
        "正确的判断 {right} 个、错误的 {wrong} 个，两者至少各需 {least} 个",
    ),
    (
        "the likelihood is best at the end of the range, {value#}: these rows say nothing certain",
        "似然在取值范围的端点 {value} 处最大：这些行说明不了什么",
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
        "{bundle} is still the bundle of run {run}, not of this one",
        "{bundle} 仍是运行 {run} 的发布包，不属于这次运行",
    ),
    ("{bundle} is still an earlier bundle, not of this one", "{bundle} 仍是先前的发布包，不属于这次运行"),
    ("confident learning (Northcutt et al. 2021)", "置信学习（Northcutt 等人，2021）"),
    (
        "probabilities of a linear model on words, trained without the row's unit",
        "概率来自基于词的线性模型，训练时不含该行所在的单元",
    ),
    # comparisons of runs
    ("their tasks or their classes differ", "任务或类别不同"),
    ("their tasks differ", "任务不同"),
    ("they were judged on different test rows", "评判所用的测试行不同"),
    ("the truth of the same rows differs between them", "同样的行在两者中的真实值不同"),
    ("what run {run} answered on each row is no longer in the store", "运行 {run} 对每行的回答已不在存储中"),
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
    # splits and values of slices
    ("train", "训练集"),
    ("validation", "验证集"),
    ("test", "测试集"),
    ("similar text", "相似文本"),
    ("same subject", "同一人"),
    ("before", "之前"),
    ("after", "之后"),
    ("minimum", "最短"),
    ("median", "中位数"),
    ("95 %", "95% 分位"),
    ("maximum", "最长"),
    ("(missing)", "（缺失）"),
    ("majority", "多数类"),
    ("random_order", "随机排序"),
    ("bm25", "BM25"),
    ("tfidf_cosine", "TF-IDF 余弦相似度"),
    (
        "{n#} test pairs are too many to score every text for every query; at most {most#}",
        "测试对有 {n} 个，无法为每个查询给每条文本打分；最多 {most} 个",
    ),
    ("no_answer", "从不作答"),
    ("lexical_overlap", "共有词最多"),
    ("training_mean", "训练行的平均值"),
    ("tfidf_ridge", "TF-IDF 与岭回归"),
    ("mean", "平均值"),
    ("standard deviation", "标准差"),
    ("tfidf_logistic_regression", "TF-IDF 与逻辑回归"),
    ("nearest_description", "与类别描述最相近者（零样本）"),
    ("word_features_logistic_regression", "词特征与逻辑回归"),
    # rows that were rejected, dropped, changed
    ("equal text with another label", "文本相同而标签不同"),
    ("equal text", "文本相同"),
    ("similar text (at least {s#})", "文本相似（不低于 {s}）"),
    ("left out by sampling", "抽样时未选中"),
    ("no text is left", "没有剩下文本"),
    ("another language ({code})", "其他语言（{code}）"),
    ("fewer than {n#} words", "少于 {n} 个词"),
    ("fewer than {n#} characters", "少于 {n} 个字符"),
    ("in evaluation set '{name}': {why!}", "见于评测集“{name}”：{why}"),
    ("{n#} words in a row", "有连续 {n} 个词相同"),
    ("its class has more than {n#} training rows", "该类别的训练行超过 {n} 行"),
    ("left out to balance the training rows", "为平衡训练行而舍去"),
    ("its label is probably wrong (confident learning)", "标签很可能有误（置信学习）"),
    # rows that were made, and what a preparation left
    ("repeated to balance the training rows", "为平衡训练行而重复"),
    ("augmented: {method!}", "数据增强：{method}"),
    ("delete", "删词"),
    ("swap", "换位"),
    ("typos", "错字"),
    ("left: {what!}", "保留：{what}"),
    ("too short to tell its language", "太短，无法判断语言"),
    ("its language is not certain", "语言不确定"),
    ("texts too short to be changed", "文本太短，无法改动"),
    ("classes or groups still rarer than asked for", "仍比要求少见的类别或群体"),
    ("rows of evaluation set '{name}' that can't be read", "评测集“{name}”中无法读取的行"),
    ("no text in column '{column}'", "列“{column}”没有文本"),
    ("no number in column '{column}'", "列“{column}”没有数值"),
    (
        "neither 0 nor 1 in one of the target's {n#} columns",
        "目标的 {n} 列中有一列既不是 0 也不是 1",
    ),
    ("no text in columns {columns}", "列 {columns} 都没有文本"),
    ("no target in column '{column}'", "列“{column}”没有目标"),
    (
        "an answer of column '{column}' does not stand in column '{other}'",
        "列“{column}”中有答案未出现在列“{other}”的文本里",
    ),
    ("nothing is left of its answers", "答案所在的文本已全部消失"),
    ("no time in column '{column}'", "列“{column}”没有时间"),
    ("column '{column}' says none of {names}", "列“{column}”的值不是 {names} 之一"),
    ("a span of column '{column}' lies outside the text", "列“{column}”中有片段超出文本"),
    (
        "words and tags differ in number (columns '{column}' and '{other}')",
        "词与标签数目不同（列“{column}”与“{other}”）",
    ),
    ("a tag is missing in column '{column}'", "列“{column}”缺少标签"),
    ("spans whose text vanished", "文本已消失的片段"),
    ("no value in column '{column}'", "列“{column}”没有值"),
    ("wrong type in column '{column}'", "列“{column}”的类型不对"),
    ("wrong encoding", "编码不对"),
    ("wrong number of fields", "字段数不对"),
    ("unreadable line", "无法读取的行"),
    ("unreadable record", "无法读取的记录"),
    ("not a JSON object", "不是 JSON 对象"),
    ("no partner in {name}", "在 {name} 中没有对应的行"),
    ("no key in column '{column}'", "列“{column}”没有键"),
    ("a file that is no document", "不是文档的文件"),
    ("an unreadable document", "无法读取的文档"),
    ("a document with a password", "有密码的文档"),
    ("a document larger than {size#} MiB", "大于 {size} MiB 的文档"),
    ("a decompression bomb", "解压炸弹"),
    ("a line without word and tag", "缺少词或标签的行"),
    ("mojibake", "乱码"),
    ("html entities", "HTML 实体"),
    ("carriage returns", "回车符"),
    ("control characters", "控制字符"),
    ("left: undecodable characters", "保留：无法解码的字符"),
    ("labels changed", "标签改写"),
    # units
    ("rows", "行"),
    ("places", "处"),
    ("characters", "字符"),
    ("updates", "次更新"),
    ("parameters", "个参数"),
    ("seconds", "秒"),
    ("share", "比例"),
    ("pairs", "对"),
    ("trials", "次试验"),
    ("trial", "试验序号"),
    ("classes", "个类别"),
    ("decisions", "个判断"),
)

_HOLE = re.compile(r"\{(\w+)([#!]?)\}")


def translated(text: str) -> str | None:
    """A sentence of the evidence in Chinese, or None where the catalogue has no template for it."""
    whole = _looked_up(text)
    if whole is not None or "; " not in text:
        return whole
    parts = [_looked_up(part) for part in text.split("; ")]
    return None if None in parts else "；".join(str(part) for part in parts)


def _looked_up(text: str) -> str | None:
    for pattern, chinese, holes in _compiled():
        match = pattern.fullmatch(text)
        if match is None:
            continue
        values = {}
        for name, kind in holes:
            value = translated(match[name]) if kind == "!" else match[name]
            if value is None:
                break
            values[name] = value
        else:
            return chinese.format(**values)
    return None


@cache
def _compiled() -> tuple[tuple[re.Pattern[str], str, tuple[tuple[str, str], ...]], ...]:
    found = []
    for english, chinese in CATALOGUE:
        holes = tuple((match[1], match[2]) for match in _HOLE.finditer(english))
        pattern, end = "", 0
        for match in _HOLE.finditer(english):
            inside = r"[-+0-9.e]+" if match[2] == "#" else r".+?"
            pattern += re.escape(english[end : match.start()]) + f"(?P<{match[1]}>{inside})"
            end = match.end()
        found.append((re.compile(pattern + re.escape(english[end:]), re.DOTALL), chinese, holes))
    return tuple(found)
