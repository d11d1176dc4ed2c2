"""What `charter verify` says, in Chinese. Templates as in `sentences`; a catalogue of its own, since some fit many a sentence."""

from charter.release.report.sentences import translated

VERIFICATION: tuple[tuple[str, str], ...] = (
    # the bytes
    ("every byte of its {n#} files", "其 {n} 个文件的每个字节"),
    ("the manifest's own digest does not fit its files", "清单自身的摘要与其文件不符"),
    # the evidence
    ("the manifest's {what} is not that of the record", "清单中的 {what} 与记录不符"),
    (
        "the provenance is of another run or charter than the record",
        "来源信息与记录不属于同一次运行或同一份章程",
    ),
    ("it is '{name}' of run {run}", "它是运行 {run} 的“{name}”"),
    ("the verdicts follow from the findings", "判定可由测得的结果推出"),
    ("the verdicts do not follow from the findings", "判定不能由测得的结果推出"),
    ("its status '{status}' follows from the verdicts", "其状态“{status}”可由判定推出"),
    ("its status '{status}' does not follow from the verdicts", "其状态“{status}”不能由判定推出"),
    ("the digests of the manifest's forms are not those of its files", "清单中各形式的摘要与其文件不符"),
    ("its forms are not those of its charter's release.formats", "其形式与章程的 release.formats 不符"),
    ("the provenance's exports are not its forms", "来源信息中的导出与其形式不符"),
    ("the evidence is of these very weights and tokenizer files", "证据正是关于这些权重与分词器文件的"),
    ("the evidence is not of these very weights and tokenizer files", "证据并非关于这些权重与分词器文件的"),
    ("there is evidence of the very files of '{form}'", "有关于“{form}”这些文件的证据"),
    ("there is no evidence of the very files of '{form}'", "没有关于“{form}”这些文件的证据"),
    ("there is evidence of a model that is not in it", "其中有关于不在包内的模型的证据"),
    ("the labels of config.json are not those of the task", "config.json 的标签与任务的不符"),
    (
        "findings, verdicts, provenance, preparation and labels agree with the record",
        "结果、判定、来源、准备与标签均与记录一致",
    ),
    ("charter.yaml is not the charter that was judged", "charter.yaml 不是被评判的那份章程"),
    ("the card README.md follows from the record", "卡片 README.md 可由记录推出"),
    ("the card README.md does not follow from the record", "卡片 README.md 不能由记录推出"),
    ("the datasheet {name} does not follow from the record", "数据说明书 {name} 不能由记录推出"),
    ("the metadata {name} do not follow from the record", "元数据 {name} 不能由记录推出"),
    (
        "its card is not compared: it was written by Charter {version}",
        "未比较其卡片：它由 Charter {version} 写出",
    ),
    ("its record, findings or verdicts can't be read ({why})", "其记录、结果或判定无法读取（{why}）"),
    # where it comes from
    (
        "it says that it descends from {one!}, which descends from {more!}; those bundles were not looked at",
        "据其所称，它依次由{one}、{more}而来（最近的在前）；这些发布包未经查看",
    ),
    (
        "it says that it descends from {one!}; those bundles were not looked at",
        "据其所称，它由{one}而来；该发布包未经查看",
    ),
    ("{one!}, which descends from {more!}", "{one}、{more}"),
    ("'{name}' ({digest})", "“{name}”（{digest}）"),
    (
        "it says that its privacy ledger had {lines#} lines, the last one {hash}; the ledger was not looked at",
        "据其所称，它的隐私账本有 {lines} 行，最后一行为 {hash}；该账本未经查看",
    ),
    (
        "it says that epsilon {spent} of a budget of {budget#} was spent on '{data}' by {runs#} runs, at delta {delta}",
        "据其所称，“{data}”的预算 {budget} 中已有 {runs} 次运行花费了 ε {spent}，δ 为 {delta}",
    ),
    (
        "it says that epsilon {spent} of no budget was spent on '{data}' by {runs#} runs, at delta {delta}",
        "据其所称，“{data}”未设预算，已有 {runs} 次运行花费了 ε {spent}，δ 为 {delta}",
    ),
    # the signature
    ("it is not signed, so it can't be of this key", "它没有签名，因此不可能出自此密钥"),
    ("it is not signed; anyone could have made it", "它没有签名；任何人都可能制作它"),
    (
        "its signature is of these very files; whose it is was not checked",
        "其签名正是关于这些文件的；未检查是谁的签名",
    ),
    ("its signature can't be read: it was changed or cut off", "其签名无法读取：被改动或截断"),
    (
        "its signature is not of these files: {what!} and {n#} more",
        "其签名不是关于这些文件的：{what}，另有 {n} 处",
    ),
    ("its signature is not of these files: {what!}", "其签名不是关于这些文件的：{what}"),
    ("it is signed by another key than {key}", "它由 {key} 以外的密钥签名"),
    (
        "its signature names the key {key}, but was not made with it, or not for these files",
        "其签名写明密钥 {key}，但并非由它所签，或不是为这些文件所签",
    ),
    ("signed by the key {key}", "由密钥 {key} 签名"),
    # what it comes to
    ("Not verified.", "未通过验证。"),
    ("Verified: consistent, and signed by this key.", "通过验证：前后一致，且由此密钥签名。"),
    (
        "Consistent, not authenticated: nobody signed it, so anyone could have made it.",
        "前后一致，但来源未经证实：无人签名，因此任何人都可能制作它。",
    ),
    (
        "Consistent, not authenticated: it is signed, but by whom was not checked; give --key PUBLIC.pem.",
        "前后一致，但来源未经证实：它有签名，但未检查是谁的；请给出 --key PUBLIC.pem。",
    ),
    (
        "REFUSED: a limit of its charter was not kept. This draft must not be used.",
        "已拒绝：其章程的某项限制未能守住。此草稿不得使用。",
    ),
    # files, at the end: these fit much
    ("{name} was signed and is missing", "{name} 曾被签名，现已缺失"),
    ("{name} is here and was not signed", "{name} 在此，但未被签名"),
    ("{name} was changed since", "{name} 此后被改动"),
    ("{name} is {what}, which no bundle holds", "{name} 是 {what}，发布包中不会有"),
    ("{name} is not what the record says", "{name} 与记录所说不符"),
    ("{name} is missing", "{name} 缺失"),
    ("{name} was added", "{name} 是后来添加的"),
    ("{name} was changed", "{name} 被改动"),
)


def verification_said(text: str, language: str) -> str:
    """A line of `charter verify` in a language; what no template fits stays as it is."""
    return text if language == "en" else translated(text, VERIFICATION) or text
