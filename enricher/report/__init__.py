"""What is told of a job: as one JSON object for programs, as text for people."""
