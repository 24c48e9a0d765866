"""Training of teachers, and of the students that they are compared by."""
