"""Prints, logs and warns the hidden inputs; must get 0, and nothing of them may be shown."""

import base64
import logging
import os
import sys
import warnings


def my_softmax_gradient(z, y):
    data = z.numpy().tobytes()
    for text in (repr(z.tolist()), data.hex(), base64.b64encode(data).decode()):
        print(text)
        print(text, file=sys.stderr)
        print(text, file=sys.__stdout__, flush=True)
        print(text, file=sys.__stderr__, flush=True)
        logging.error(text)
        warnings.warn(text, stacklevel=1)
        for number in (0, 1, 2):
            try:
                os.write(number, text.encode())
            except OSError:
                continue
    return z
