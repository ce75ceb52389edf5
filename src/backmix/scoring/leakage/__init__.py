"""Whether a model knows what the plant cannot know: the audit, copies of the target, and what is known when."""
