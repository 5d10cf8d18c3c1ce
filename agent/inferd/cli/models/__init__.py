"""Commands about models: list and fetch them, run one on files, vet one, see and steer what an agent serves."""
