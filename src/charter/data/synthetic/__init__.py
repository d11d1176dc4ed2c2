"""Made-up texts with marked personal data, for teaching and testing what finds it. Nothing in them is about anybody."""
