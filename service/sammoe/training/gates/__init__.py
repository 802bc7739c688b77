"""What chooses between the experts, and how it learns to."""
