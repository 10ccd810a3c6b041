"""The one command to paste for a cause, right for this system."""

REBUILD_VENV = "rm -rf .venv && make lab"
FORGET_ALLOCATOR_SETTINGS = "unset PYTORCH_ALLOC_CONF PYTORCH_CUDA_ALLOC_CONF"
DOWNLOAD_PAGE = "https://www.nvidia.com/drivers"


def lab(facts):
    """Open the course in the environment that it was installed into."""
    has_venv = facts.environment.clone_has_venv or facts.environment.kind != "conda"
    return "make lab" if has_venv else "course lab"


def reinstall_torch(facts, index=None):
    """Put the build of torch that the course is locked to into this environment."""
    if index is None and facts.environment.kind != "conda":
        return REBUILD_VENV
    source = f" --index-url {index}" if index else " --constraint requirements.lock"
    python = ".venv/bin/python" if facts.environment.clone_has_venv else "python"
    return f"{python} -m pip install --force-reinstall{source} torch torchvision"


def install_driver(facts, branch):
    """Install or renew NVIDIA's driver, of this branch or newer.

    Ubuntu's archive has a package for each branch; Fedora's (RPM Fusion) and Arch's package is the
    newest; every other system gets NVIDIA's own page.
    """
    system = facts.system
    if system.kind in ("wsl2", "wsl1"):
        return f"explorer.exe {DOWNLOAD_PAGE}"  # the driver belongs to Windows; this opens its browser
    if system.kind == "windows":
        return f"start {DOWNLOAD_PAGE}"
    return {
        "ubuntu": f"sudo apt update && sudo apt install nvidia-driver-{branch}",
        "fedora": "sudo dnf install akmod-nvidia",
        "arch": "sudo pacman -Syu nvidia-open",
    }.get(system.distribution, f"xdg-open {DOWNLOAD_PAGE}")


def restart(facts):
    """Restart the part of the system that holds the driver."""
    return "wsl.exe --shutdown" if facts.system.kind == "wsl2" else "sudo reboot"


def who_holds_the_card(facts):
    """List the programs on the card; under WSL2 only Windows can."""
    return "taskmgr.exe" if facts.system.kind == "wsl2" else "nvidia-smi"
