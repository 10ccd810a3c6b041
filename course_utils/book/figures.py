"""Pictures of the executed notebooks as small files with a known size, so that nothing moves while a page loads."""

import base64
import hashlib
import io
import re
from html import escape

FOLDER = "figures"  # in the site
_PICTURE = re.compile(r"data:image/(?:png|jpeg|webp|gif);base64,")


def is_picture(address):
    """Whether an `src` holds the picture itself."""
    return bool(_PICTURE.match(address or ""))


def of_address(address, alt, site):
    """The `<img>` of a picture that an `src` holds."""
    return image(base64.b64decode(_PICTURE.sub("", address)), alt, site)


def image(data, alt, site):
    """Keep a picture's bytes below `site` and return the `<img>` for a page one folder below the site's root."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        size = picture.size
        content = _smaller(picture, data)
    suffix = "webp" if content[8:12] == b"WEBP" else "png"
    name = f"{hashlib.sha256(content).hexdigest()[:16]}.{suffix}"
    (site / FOLDER).mkdir(parents=True, exist_ok=True)
    (site / FOLDER / name).write_bytes(content)
    sizes = f'width="{size[0]}" height="{size[1]}"'
    return f'<img alt="{escape(alt)}" src="../{FOLDER}/{name}" {sizes} loading="lazy">'


def _smaller(picture, data):
    """The same pixels as lossless WebP, or the bytes as they were where those are fewer."""
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", lossless=True, method=4)
    return min(buffer.getvalue(), data, key=len)
