"""Returns and prints ten million characters of HTML, control codes and line ends; must get 0, all of it inert."""


def my_softmax_gradient(z, y):
    text = "<script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m\x1b[2J\u202e\x07\r\n" * 150_000
    print(text)
    return text[:1_000_000]
