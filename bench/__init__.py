"""What the operator costs, beside what the two APIs make inevitable and beside the obvious way: `make bench`."""
