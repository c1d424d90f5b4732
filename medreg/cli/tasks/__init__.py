"""What the verbs do: each a whole process of reading, computing and writing, and the pieces that they share."""
