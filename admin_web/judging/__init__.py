"""The rule applied to SQL: facts about numbers from the record, and rulings on one number or a million. It writes
nothing.
"""
