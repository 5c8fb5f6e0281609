"""The rule on SQL's side: facts about numbers from the record, and rulings on one number or a million. Reads only."""
