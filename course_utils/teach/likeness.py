"""What stays of an attempt's text where comments, spacing and the names of its own variables do not count."""

import builtins
import hashlib
import io
import keyword
import tokenize

_FEWEST_TOKENS = 30  # shorter right answers are alike by nature
_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER, tokenize.ENCODING}


def likeness(text, known=frozenset()):
    """Hex sha256 that two attempts share which differ in nothing that counts; "" for a short one.

    `known` are names that keep their meaning beside Python's own, such as `np`.
    """
    tokens = _plain(text, known | set(dir(builtins)) | set(keyword.kwlist))
    if len(tokens) < _FEWEST_TOKENS:
        return ""
    return hashlib.sha256("\n".join(tokens).encode("utf-8", "replace")).hexdigest()


def _plain(text, known):
    new, tokens, before = {}, [], None
    for token in _tokens(text):
        if token.type in _LAYOUT:
            continue
        attribute = before is not None and before.string == "."
        if token.type == tokenize.NAME and not attribute and token.string not in known:
            tokens.append(new.setdefault(token.string, f"name{len(new)}"))
        elif token.type in (tokenize.INDENT, tokenize.DEDENT):
            tokens.append(tokenize.tok_name[token.type])
        elif not _is_docstring(token, before):
            tokens.append(token.string)
        before = token
    return tokens


def _tokens(text):
    """The tokens as far as the text is Python."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.ERRORTOKEN and not token.string.isspace():
                return  # Python 3.12 stops here too; what follows may take the square of its length
            yield token
    except (tokenize.TokenError, SyntaxError, ValueError, RecursionError):
        return


def _is_docstring(token, before):
    return token.type == tokenize.STRING and (before is None or before.type == tokenize.INDENT)
