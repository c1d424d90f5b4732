"""The descent: one loop, exchangeable rules for the step, and a record of how it went."""
