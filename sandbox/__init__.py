"""A Cloudflare API, a Kubernetes API and the demo, all on loopback. Neither in the wheel nor in the image."""
