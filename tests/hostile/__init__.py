"""Hostile submissions: none may score above an honest wrong answer, show a hidden input or reach outside its box."""
