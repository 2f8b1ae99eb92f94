"""Programs for working on the project. None of them is installed with it."""
