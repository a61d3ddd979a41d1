"""`make demo`: the whole story on loopback, told by `story`, shown by `board`."""
