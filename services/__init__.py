"""What the shop does; knows nothing of a web request."""
