"""Week 09's reference solutions against the libraries that the lesson uses: PEFT, transformers and TRL."""

import pytest
import torch

from course_utils.exercises.week09 import answer_loss, lora_forward, lora_parameters, mask_prompt
from course_utils.learn import catalog
from course_utils.run.cells import load

pytest.importorskip("peft", reason="the extra llm is not installed: make extra NAME=llm")
pytestmark = pytest.mark.slow


def adapted(inputs, outputs, r, alpha):
    """A linear layer without bias, with a PEFT adapter whose A and B are random."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(3)
    net = torch.nn.ModuleDict({"layer": torch.nn.Linear(inputs, outputs, bias=False)})
    net.forward = lambda x: net["layer"](x)
    model = get_peft_model(net, LoraConfig(r=r, lora_alpha=alpha, target_modules=["layer"]))
    layer = model.base_model.model["layer"]
    torch.nn.init.normal_(layer.lora_B["default"].weight)
    return model.double(), layer


@pytest.mark.parametrize(("inputs", "outputs", "r", "alpha"), [(8, 6, 3, 16), (5, 5, 1, 2), (16, 48, 4, 4)])
def test_the_lora_forward_equals_pefts_unmerged_and_merged(inputs, outputs, r, alpha):
    model, layer = adapted(inputs, outputs, r, alpha)
    x = torch.randn(2, 7, inputs, dtype=torch.float64)
    W = layer.base_layer.weight.detach().clone()
    A, B = (half["default"].weight.detach().clone() for half in (layer.lora_A, layer.lora_B))
    mine = lora_forward.reference(x, W, A, B, alpha)
    with torch.no_grad():
        torch.testing.assert_close(mine, model.base_model.model(x))
        assert not torch.allclose(mine, x @ W.T)  # else the adapter would not be tested
        merged = model.merge_and_unload()["layer"]
        assert type(merged) is torch.nn.Linear
        torch.testing.assert_close(mine, merged(x))
        torch.testing.assert_close(merged.weight, W + alpha / r * B @ A)


def tiny_llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(5)
    sizes = {"hidden_size": 16, "intermediate_size": 44, "num_hidden_layers": 2, "vocab_size": 30}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    return LlamaForCausalLM(LlamaConfig(**sizes, **heads, initializer_range=0.5)).eval()


def test_the_answer_loss_equals_transformers_for_a_tiny_llama():
    ids = torch.randint(30, (3, 9), generator=torch.Generator().manual_seed(1))
    start, length = torch.tensor([2, 4, 6]), torch.tensor([9, 6, 8])
    labels = mask_prompt.reference(ids, start, length)
    with torch.no_grad():
        out = tiny_llama()(input_ids=ids, labels=labels)
    assert out.loss > 1
    torch.testing.assert_close(answer_loss.reference(out.logits, labels), out.loss)


def words_tokenizer():
    """A tokenizer of 30 words w0 … w29; w2 ends a text and is the padding too, as in SmolLM2."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({f"w{number}": number for number in range(30)}, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="w2", pad_token="w2")


def test_the_mask_equals_that_of_trl(tmp_path):
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    rows = [{"prompt": "w5 w6 w7", "completion": " w8 w9"}, {"prompt": "w11", "completion": " w12"}]
    config = SFTConfig(tmp_path, report_to="none", use_cpu=True, bf16=False, dataset_num_proc=None)
    tools = {"args": config, "processing_class": words_tokenizer()}
    trainer = SFTTrainer(tiny_llama(), train_dataset=Dataset.from_list(rows), **tools)
    batch = trainer.data_collator(list(trainer.train_dataset))
    ids = torch.tensor([[5, 6, 7, 8, 9, 2], [11, 12, 2, 2, 2, 2]])
    assert torch.equal(batch["input_ids"], ids)
    mine = mask_prompt.reference(ids, torch.tensor([3, 1]), torch.tensor([6, 3]))
    assert torch.equal(batch["labels"], mine)


@pytest.mark.parametrize("r", [4, 16])
def test_the_count_equals_that_of_peft_on_llama_2_7b(r):
    # The bundled fact lora-parameters-7b says the same for rank 16.
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig())  # transformers' default is the shape of Llama-2-7B
    shapes = [tuple(m.weight.shape) for name, m in model.named_modules() if type(m) is torch.nn.Linear]
    config = LoraConfig(r=r, target_modules="all-linear")
    with torch.device("meta"):
        trainable, _ = get_peft_model(model, config).get_nb_trainable_parameters()
    shapes.remove(tuple(model.lm_head.weight.shape))
    assert lora_parameters.reference(shapes, r) == trainable == 39_976_960 * r // 16


def test_the_interval_of_the_lesson_is_that_of_scipy():
    from scipy.stats import binomtest

    sources = [cell.source for cell in load(catalog.resolve("week09").path).code]
    names = {}
    exec(next(one for one in sources if "def wilson(" in one), names)
    for right, n in [(0, 5), (3, 5), (5, 5), (11, 18), (131, 174)]:
        expected = binomtest(right, n).proportion_ci(method="wilson")
        assert names["wilson"](right, n) == pytest.approx([100 * expected.low, 100 * expected.high], rel=1e-3, abs=1e-9)
