"""A plain transformers classifier that reads the mean over the tokens: what it reads, and that nothing unsets it."""

import pytest
import torch
import transformers

from charter import plugins
from charter.models.features import reading_features
from charter.models.forward import forward_of
from charter.models.pooling import SET, keep_set, pool_mean, vectors_of

CLOSE = {"modernbert": 0.998}
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
OTHER = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}
IDS = {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}


def pooled(kind):
    """A small random classifier."""
    sizes = OTHER if kind == "distilbert" else SMALL | ({"embedding_size": 16} if kind == "electra" else {})
    config = transformers.AutoConfig.for_model(
        kind, **sizes, **IDS, max_position_embeddings=40, vocab_size=60, num_labels=3
    )
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return transformers.AutoModelForSequenceClassification.from_config(config).eval()


def batch():
    """A padded batch of random tokens; two texts have the same length."""
    lengths = (9, 3, 30, 9, 1, 17)
    ids = torch.ones((len(lengths), 30), dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(4, 60, (length,), generator=torch.Generator().manual_seed(row))
        mask[row, :length] = 1
    return {"input_ids": ids, "attention_mask": mask}


def mean_of(model, inputs):
    """The mean of the last hidden states over each text's tokens, by hand."""
    states, mask = model.base_model(**inputs).last_hidden_state, inputs["attention_mask"][..., None]
    return (states * mask).sum(1) / mask.sum(1)


@pytest.mark.parametrize(
    "kind", ["bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert", "modernbert"]
)
@torch.inference_mode()
def test_the_last_layer_reads_the_mean_over_the_tokens_and_packing_changes_nothing(kind):
    model, inputs = pooled(kind), batch()
    wanted = vectors_of(mean_of(model, inputs))
    pool_mean(model)
    with reading_features(model):
        read, packed = (vectors_of(one(**inputs).logits) for one in (model, forward_of(model)))
    assert (wanted * read).sum(1).min() > CLOSE.get(kind, 0.99998)
    torch.testing.assert_close(packed, read, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra", "distilbert", "modernbert"])
@torch.inference_mode()
def test_a_pooled_model_is_saved_and_opened_by_plain_transformers_as_it_is(kind, tmp_path):
    model, inputs = pooled(kind), batch()
    pool_mean(model)
    model.save_pretrained(tmp_path)
    opened = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(opened(**inputs).logits, model(**inputs).logits)


@pytest.mark.parametrize("adapter", ["full", "head", "bias", "lora"])
@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert"])
def test_what_is_set_never_learns_whatever_the_adapter(kind, adapter):
    model = pooled(kind)
    pool_mean(model)
    model = plugins.make("adapter", adapter, {}).apply(model)
    keep_set(model)
    marked = [one for one in model.modules() if getattr(one, SET, False)]
    assert len(marked) >= 2
    assert not any(weight.requires_grad for one in marked for weight in one.parameters())
    assert any(weight.requires_grad for weight in model.parameters())


@torch.inference_mode()
def test_an_architecture_whose_attention_can_t_be_made_equal_is_left_as_it_is():
    model = pooled("deberta-v2")
    before = {name: one.clone() for name, one in model.state_dict().items()}
    pool_mean(model)
    assert {name: one.shape for name, one in model.state_dict().items()} == {
        name: one.shape for name, one in before.items()
    }
