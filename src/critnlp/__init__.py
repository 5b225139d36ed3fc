"""critnlp: the free-text eligibility section of a clinical trial as structured, computable JSON."""
