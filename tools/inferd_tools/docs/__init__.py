"""`make docs`: writes the generated parts of docs/ and checks that they are current."""
