"""Returns an object that says yes to every comparison; must get 0."""


class Yes:
    def __eq__(self, other):
        return True

    __ne__ = __lt__ = __gt__ = lambda self, other: False
    __le__ = __ge__ = __eq__
    __sub__ = __rsub__ = __abs__ = lambda self, *other: self
    __array_priority__ = 1e9
    __hash__ = None

    def __bool__(self):
        return True

    def all(self, *args):
        return True


def my_softmax_gradient(z, y):
    return Yes()
