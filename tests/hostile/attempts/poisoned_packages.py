"""Plants modules and start files that the next student's process would import; must get 0."""

import os
import site
import sys

EVIL = "import sys\nsys.stdout.write('CANARY planted')\n"


def my_softmax_gradient(z, y):
    for folder in {*sys.path, *site.getsitepackages(), site.getusersitepackages(), os.path.dirname(os.__file__)}:
        for name in ("sitecustomize.py", "usercustomize.py", "course.pth", "torch.py", "numpy.py", "json.py"):
            try:
                os.makedirs(folder, exist_ok=True)
                with open(os.path.join(folder, name), "x") as file:
                    file.write(EVIL)
            except OSError:
                continue
    return z
