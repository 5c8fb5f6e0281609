"""The checks of the rule, one module each.

`compliance/rule.py` defines their order. docs/adding-a-check.md shows how to add one.
"""
