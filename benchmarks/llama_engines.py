"""Tokens a second of week 07's way to llama.cpp against llama.cpp without it: `python benchmarks/llama_engines.py`.

The course talks to llama.cpp's server on localhost with the `openai` client, streaming. The direct way calls the same
engine in this process, in the plainest loop, with no socket and no client. Same GGUF, same prompt, same number of
tokens, in turn; the clock runs from the question to the last token. Beside them stands what llama.cpp's own timer says
of decode alone. With a CUDA card two rows more: decode against the bandwidth roofline, and NF4 in transformers. Those
two were not run on a GPU yet.
"""

import argparse
import json
import os
import statistics
import time
from datetime import UTC, datetime

from course_utils import assets
from course_utils.gpu.device import find_card, installed_version
from course_utils.learn.paths import project_dir, write_atomically

RESULT = project_dir() / "benchmarks" / "results" / "llama_engines.json"
PACKAGES = ("xllamacpp", "openai", "gguf", "torch", "transformers", "bitsandbytes")
MESSAGES = [{"role": "user", "content": "Explain in detail how a graphics card draws a picture."}]
GOAL, ROOFLINE_GOAL = 0.95, 0.75


def main():
    """Measure, print the table, write the JSON; exit status 1 where the ratio misses the goal."""
    options = _options()
    path = assets.load("smollm2-135m-gguf")
    server = start(path, options.threads)
    rows = interleaved(server, options.repeats, options.tokens)
    record = _record(options, path, rows)
    record["card"] = on_card(server, path, options.tokens) if find_card() else "not run on a GPU"
    print(as_table(record))
    write_atomically(RESULT, json.dumps(record, indent=1) + "\n")
    return 0 if record["ratio"] >= GOAL else 1


def _options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser.parse_args()


def start(path, threads):
    """llama.cpp serving the file, as the notebook starts it."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.verbosity = str(path), 2048, 0
    params.cpuparams.n_threads = threads
    return xllamacpp.Server(params)


def interleaved(server, repeats, tokens):
    """One dictionary per repeat: tokens a second of both ways."""
    course, direct = through_client(server), in_process(server)
    for way in (course, direct):
        way(8)  # the first call of each allocates
    rows = []
    for repeat in range(repeats):
        runs = [way(tokens) for way in ((course, direct) if repeat % 2 else (direct, course))]
        rows.append({name: speed for run in runs for name, speed in run.items()})
    return rows


def request(tokens):
    """The question, with the prompt read anew each time and no early end."""
    end = {"cache_prompt": False, "ignore_eos": True}
    return {"messages": MESSAGES, "max_tokens": tokens, "temperature": 0}, end


def through_client(server):
    from openai import OpenAI

    client = OpenAI(base_url=f"{server.listening_address}/v1", api_key="none needed")

    def run(tokens):
        asked, end = request(tokens)
        started, pieces = time.perf_counter(), 0
        for part in client.chat.completions.create(model="local", stream=True, extra_body=end, **asked):
            pieces += bool(part.choices and part.choices[0].delta.content)
        return {"course": speed(tokens, pieces, started)}

    return run


def in_process(server):
    def run(tokens):
        asked, end = request(tokens)
        started = time.perf_counter()
        reply = server.handle_chat_completions(asked | end)
        direct = speed(tokens, reply["usage"]["completion_tokens"], started)
        return {"direct": direct, "timer": reply["timings"]["predicted_per_second"]}

    return run


def speed(tokens, written, started):
    """Tokens a second; stops the script where `written` is not about `tokens`, for then the ways differ."""
    seconds = time.perf_counter() - started
    if not 0.9 * tokens <= written <= tokens:  # a piece may hold back half a character
        raise SystemExit(f"{written} tokens were written, not {tokens}: the two ways would not be comparable.")
    return tokens / seconds


def on_card(server, path, tokens):
    """Decode against the ceiling bandwidth / bytes, and NF4 in transformers, on the card of this machine."""
    from course_utils.gpu import datasheet

    card = find_card()
    sheet = datasheet.find(card.name)
    decode = statistics.median(in_process(server)(tokens)["timer"] for _ in range(5))
    ceiling = sheet.bandwidth_gb_per_s * 1e9 / path.stat().st_size if sheet else None
    return {
        "name": card.name,
        "decode_tokens_per_s": decode,
        "roofline_tokens_per_s": ceiling,
        "share_of_roofline": decode / ceiling if ceiling else None,
        "goal": ROOFLINE_GOAL,
        "nf4_tokens_per_s": nf4(tokens),
    }


def nf4(tokens):
    """Tokens a second of greedy decoding with transformers and bitsandbytes' NF4, the prompt not counted."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

    folder = assets.model("smollm2-135m")
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
    model = AutoModelForCausalLM.from_pretrained(folder, quantization_config=config, device_map="cuda")
    ids = AutoTokenizer.from_pretrained(folder)(MESSAGES[0]["content"], return_tensors="pt").to("cuda")

    def seconds(count):
        torch.cuda.synchronize()
        started = time.perf_counter()
        model.generate(**ids, min_new_tokens=count, max_new_tokens=count, do_sample=False)
        torch.cuda.synchronize()
        return time.perf_counter() - started

    seconds(8)
    return tokens / (seconds(tokens + 1) - seconds(1))


def _record(options, path, rows):
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": _processor(),
        "threads": options.threads,
        "load_average": os.getloadavg()[0],
        "versions": {name: installed_version(name) for name in PACKAGES},
        "gguf": path.name,
        "tokens": options.tokens,
        "rows": rows,
        "medians": {name: statistics.median(row[name] for row in rows) for name in rows[0]},
        "ratio": statistics.median(row["course"] / row["direct"] for row in rows),
        "goal": GOAL,
    }


def _processor():
    with open("/proc/cpuinfo") as file:
        return next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "unknown")


def as_table(record):
    """The medians as text; each ratio is that of a pair measured one after the other."""
    lines = [f"{record['gguf']}, {record['tokens']} tokens, {len(record['rows'])} repeats, {record['machine']}"]
    lines += [f"{name:8}{median:8.1f} tokens/s" for name, median in record["medians"].items()]
    lines.append(f"ratio course / direct: {record['ratio']:.3f} (goal {record['goal']})")
    lines.append(f"card: {record['card'] if isinstance(record['card'], str) else json.dumps(record['card'])}")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
