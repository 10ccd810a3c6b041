"""Returns a list that holds itself, and so never ends; must get 0."""


def my_softmax_gradient(z, y):
    endless = []
    endless.append(endless)
    return endless
