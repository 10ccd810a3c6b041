"""Raises an error whose text is code for the page's template; must get 0, and nothing of it may be carried out."""


def my_softmax_gradient(z, y):
    raise ValueError("{{ 7 * 191 }} {{ ''.__class__.__mro__ }} {% for x in results %}{{ x }}{% endfor %}")
