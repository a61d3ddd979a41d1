"""What is known of the Cloudflare API, each fact a test over plain HTTP; it runs against the sandbox's API.

Nothing of `cloudflare_ops` is used: the suite says what the API does, not how the operator asks for it.
"""
