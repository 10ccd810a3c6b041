"""What can be wrong before the card does any work: the system, the environment, torch, the driver."""

from course_utils.gpu.doctor import commands
from course_utils.gpu.doctor.facts import version_numbers
from course_utils.gpu.doctor.finding import Finding

# The oldest driver for programs built with each CUDA series, on Linux and on Windows alike as to the
# branch: NVIDIA, "CUDA Compatibility", table of minor version compatibility (CUDA 13.1, December 2025).
MINIMUM_DRIVER = {11: 450, 12: 525, 13: 580}
# The first driver that came with a CUDA version (Linux): CUDA Toolkit Release Notes, table 3.
FIRST_DRIVER = {
    (12, 0): "525.60.13",
    (12, 1): "530.30.02",
    (12, 4): "550.54.14",
    (12, 6): "560.28.03",
    (12, 8): "570.26",
    (12, 9): "575.51.03",
    (13, 0): "580.65.06",
    (13, 1): "590.44.01",
    (13, 2): "595.45.04",
}


def minimum_driver(cuda):
    """The oldest driver branch for a CUDA build such as "13.0", or None where the build is unknown."""
    numbers = version_numbers(cuda)
    return MINIMUM_DRIVER.get(numbers[0]) if numbers else None


def native_windows(facts):
    if facts.system.kind == "windows":
        cause = "This is Python for Windows. The course runs in Linux, which Windows brings along as WSL2."
        return Finding("native Windows", cause, "wsl --install")


def first_wsl(facts):
    if facts.system.kind == "wsl1":
        cause = "This Linux runs in WSL 1, which cannot reach a graphics card. WSL 2 can."
        return Finding("WSL 1", cause, 'wsl.exe --set-version "$WSL_DISTRO_NAME" 2')


def other_environment(facts):
    if facts.environment.is_the_course is False:
        cause = "This Python is not the course's environment: the course is not installed in it."
        return Finding("not the course's environment", cause, commands.lab(facts))


def other_kernel(facts):
    if facts.environment.kernel_is_this is False:
        cause = "Jupyter's kernel “python3” runs another Python than this one: a kernel of that name was installed for your user."
        return Finding("the kernel is another Python", cause, f"JUPYTER_PREFER_ENV_PATH=1 {commands.lab(facts)}")


def no_torch(facts):
    if facts.torch is None:
        return Finding(
            "torch is missing", "torch is not installed in this environment.", commands.reinstall_torch(facts)
        )


def allocator_variable(facts):
    work, value = facts.work, facts.storage.allocator_settings
    if work is None or not value:
        return None
    # A value that torch cannot split ends the process at the import; one it does not know only when a card is opened.
    at_import = work.during == "import torch" and "Alloc" in (work.error or "")
    if at_import or (work.allocator_error and facts.has_nvidia):
        cause = f"torch cannot read the allocator's settings {value!r}: {work.allocator_error or work.error}"
        return Finding("wrong allocator settings", cause, commands.FORGET_ALLOCATOR_SETTINGS)
    return None


def torch_does_not_load(facts):
    if facts.work and facts.work.ended != "finished" and facts.work.during in (None, "import torch"):
        cause = f"torch is installed and cannot be imported: {facts.work.error or facts.work.ended}."
        return Finding("torch does not load", cause, commands.reinstall_torch(facts))


def cpu_wheel(facts):
    work = facts.work
    if work and work.torch and work.cuda is None and facts.has_nvidia:
        cause = f"torch {work.torch} was built for the CPU only, so it cannot use the card that is here."
        return Finding("torch without CUDA", cause, commands.reinstall_torch(facts))


def linux_driver_in_wsl(facts):
    if facts.system.linux_driver_in_wsl and not facts.card_works:
        cause = "A Linux driver was installed inside WSL2. It hides the one that Windows lends; remove it, then restart WSL."
        packages = "'^nvidia-(driver|dkms|kernel).*' '^libnvidia-(compute|gl).*' '^libcuda1.*'"
        return Finding("Linux driver inside WSL2", cause, f"sudo apt purge {packages}")


def old_driver(facts):
    have, need = version_numbers(facts.driver.version), minimum_driver(facts.work and facts.work.cuda)
    if have is None or need is None or have[0] >= need or facts.card_works:
        return None
    runs = f", which runs CUDA {facts.driver.cuda[0]}.{facts.driver.cuda[1]} at most" if facts.driver.cuda else ""
    cause = (
        f"The driver is {facts.driver.version}{runs}; this torch was built with CUDA {facts.work.cuda} "
        f"and needs driver {need} or newer. Install it{_where(facts)}, then restart."
    )
    return Finding("the driver is too old for this torch", cause, commands.install_driver(facts, need))


def driver_not_restarted(facts):
    if facts.driver.failure == "LibRmVersionMismatch":
        loaded = f" ({facts.system.kernel_module})" if facts.system.kernel_module else ""
        cause = f"The driver was renewed while its old kernel module{loaded} is still loaded."
        return Finding("restart after a driver update", cause, commands.restart(facts))


def container_without_card(facts):
    if facts.system.is_container and facts.system.kernel_module and facts.driver.version is None:
        cause = f"The host has driver {facts.system.kernel_module}, but this container was started without the card."
        return Finding("container without the card", cause, "docker run --rm --gpus all ubuntu nvidia-smi")


def driver_not_loaded(facts):
    if facts.driver.failure != "DriverNotLoaded" or facts.system.kind != "linux":
        return None
    if facts.system.has_nvidia_device is False:
        return None  # the package alone, without a card
    if facts.system.secure_boot:
        cause = "The driver is installed, but Secure Boot refuses its kernel module: enrol its key, then restart."
        command = "sudo mokutil --import /var/lib/shim-signed/mok/MOK.der"
        return Finding("Secure Boot refuses the driver", cause, command)
    cause = "The driver is installed, but its kernel module is not loaded; after a new kernel it must be built again."
    return Finding("the driver is not loaded", cause, "sudo modprobe nvidia")


def no_driver(facts):
    if facts.driver.version is not None or not facts.has_nvidia or facts.card_works:
        return None
    need = minimum_driver(facts.work and facts.work.cuda) or max(MINIMUM_DRIVER.values())
    nouveau = " The open driver nouveau holds it, which cannot compute." if facts.system.has_nouveau else ""
    cause = f"An NVIDIA card is here, but no NVIDIA driver answers.{nouveau} Install driver {need} or newer{_where(facts)}, then restart."
    return Finding("no NVIDIA driver", cause, commands.install_driver(facts, need))


def _where(facts):
    return " on the host, not in this container" if facts.system.is_container else ""
