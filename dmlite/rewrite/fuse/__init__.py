"""Rules that make fused operators, by topic, and the choice among them by cost."""
