"""Child processes, one a row: an out-of-memory error or a crash ends with its row, and leaves nothing on the card."""

import multiprocessing
import os
from dataclasses import dataclass

# A template process imports these once and is forked for each row, which saves each row some eight
# seconds. On a card only those that do not open it while they are imported: bitsandbytes asks for the
# card's capability, and diffusers and peft import bitsandbytes.
LIGHT = [
    "torch",
    "torchvision",
    "transformers.models.llama.modeling_llama",
    "transformers.models.clip.modeling_clip",
    "contract.child",
]
HEAVY = [
    "bitsandbytes",
    "peft",
    "accelerate",
    "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
    "diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl",
    "torch._dynamo",
]


@dataclass(frozen=True)
class Ending:
    """How a child ended that sent nothing: "time" or "died", and the sentence."""

    kind: str
    text: str


def starter(device, method, packages):
    """The multiprocessing context: "forkserver" forks the template, "spawn" starts each row from nothing.

    The template imports torch, and of the others what belongs to `packages`.
    """
    # With this torch counts cards through NVML while it is imported, and a fork may still open one.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    context = multiprocessing.get_context(method)
    if method == "forkserver":
        wanted = {"torch", "contract", *packages}
        modules = LIGHT + (HEAVY if device == "cpu" else [])
        context.set_forkserver_preload([name for name in modules if name.partition(".")[0] in wanted])
    return context


def ask(context, work, arguments, seconds):
    """What `work(*arguments, connection)` sends from a child process, or an `Ending`."""
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=work, args=(*arguments, sender), daemon=True)
    child.start()
    sender.close()
    try:
        if not receiver.poll(max(seconds, 0)):
            return Ending("time", f"no result within {seconds:.0f} s")
        return receiver.recv()
    except EOFError:
        child.join()
        return Ending("died", _death(child.exitcode))
    finally:
        child.kill()
        child.join()


def _death(code):
    hint = " (the system kills a process so when RAM is full)" if code == -9 else ""
    return f"its process was ended by signal {-code}{hint}" if code < 0 else f"its process ended with status {code}"
