"""What the results of each image are worth: written by hand, after looking at the pictures."""

BELIEFS: dict[str, str] = {}
