"""The composition root: the only place where the pure core, Kubernetes and Cloudflare meet."""
