"""The words of lineage and continual learning, in both languages; part of `words`."""

from collections.abc import Mapping

ENGLISH: Mapping[str, str] = {
    "lineage": "Bundles that this model descends from, the nearest first",
    "lineage_name": "Model",
    "lineage_digest": "Bundle",
    "lineage_data": "Learned from",
    "lineage_status": "Outcome",
    "head_kept": "its head goes on too",
}
CHINESE: Mapping[str, str] = {
    "lineage": "本模型由哪些发布包而来（最近的在前）",
    "lineage_name": "模型",
    "lineage_digest": "发布包",
    "lineage_data": "学习所用的数据",
    "lineage_status": "结果",
    "head_kept": "其输出头也沿用",
}
