"""The checks of the rule, one module each. `compliance/rule.py` puts them in order; docs/adding-a-check.md adds one."""
