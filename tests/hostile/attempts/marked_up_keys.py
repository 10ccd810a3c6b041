"""Returns a dict whose keys are HTML, JavaScript and template code, which a verdict may quote; must get 0, all inert."""


def my_softmax_gradient(z, y):
    return {"<script>alert(1)</script>": 1, "{{ key.secret }}": 2, "{% include '/etc/passwd' %}": 3, "`x`**y**": 4}
