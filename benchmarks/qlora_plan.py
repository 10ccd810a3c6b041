"""Plan QLoRA of Llama-3.1-8B on the 12 GB card, one lever at a time: `python benchmarks/qlora_plan.py`.

Nothing is loaded and no card is needed: the planner traces the real training step.
"""

import json
from datetime import UTC, datetime

from course_utils.gpu.device import installed_version
from course_utils.gpu.plan import card, verdict
from course_utils.gpu.plan.request import parse
from course_utils.learn.paths import project_dir, write_atomically

START = 'llama-3.1-8b --qlora --card "RTX 4070 Ti" --batch 1'
ROWS = {
    "1,024 tokens, rank 16, all linear": "--seq 1024 --rank 16",
    "… with checkpointing": "--seq 1024 --rank 16 --checkpointing",
    "… and paged 8-bit Adam": "--seq 1024 --rank 16 --checkpointing --optimizer paged-adamw-8bit",
    "… and double quantisation": "--seq 1024 --rank 16 --checkpointing --optimizer paged-adamw-8bit --quant nf4-dq",
    "… on q and v only": "--seq 1024 --rank 16 --checkpointing --optimizer paged-adamw-8bit --quant nf4-dq --target-modules q,v",
    "… all linear, rank 64": "--seq 1024 --rank 64 --checkpointing --optimizer paged-adamw-8bit --quant nf4-dq",
    "… rank 16, 512 tokens": "--seq 512 --rank 16 --checkpointing --optimizer paged-adamw-8bit --quant nf4-dq",
    "… rank 16, 2,048 tokens": "--seq 2048 --rank 16 --checkpointing --optimizer paged-adamw-8bit --quant nf4-dq",
}


def main():
    """Plan every row and keep the answers."""
    rows = [planned(label, f"{START} {options}") for label, options in ROWS.items()]
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {name: installed_version(name) for name in ("torch", "transformers", "peft", "bitsandbytes")},
        "measured_on_a_card": False,
        "rows": rows,
    }
    write_atomically(project_dir() / "benchmarks" / "results" / "qlora_plan.json", json.dumps(record, indent=1) + "\n")


def planned(label, line):
    """One row: bytes of the process and of each share at the peak, and the verdict."""
    request = parse(line)
    plan = verdict.plan(request, card.target(request, None))
    print(f"{label:<36}{plan.process_bytes / 2**30:7.2f} GiB  {plan.verdict}", flush=True)
    return {
        "label": label,
        "request": line,
        "allocated_bytes": plan.allocated_bytes,
        "process_bytes": plan.process_bytes,
        "verdict": plan.verdict,
        "shares": dict(plan.shares),
    }


if __name__ == "__main__":
    main()
