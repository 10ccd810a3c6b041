"""Drops asserts and puts a number where a later cell asks for points, with an AST transformer; must get 0."""

import ast


class FullMarks(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.copy_location(ast.Pass(), node)

    def visit_Call(self, node):
        return (
            ast.copy_location(ast.Constant(2), node)
            if "softmax" in ast.unparse(node) and "nbgrader_points" in ast.unparse(node.func)
            else node
        )


def my_softmax_gradient(z, y):
    return z


get_ipython().ast_transformers.append(FullMarks())  # noqa: F821
