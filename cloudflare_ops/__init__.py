"""The only speaker of `cloudflare`: DNS records in batches and the tunnel's one document, by group commit."""
