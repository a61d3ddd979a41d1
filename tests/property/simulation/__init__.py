"""The shipped controller, several replicas of it, on virtual time and in a world that lies.

`loop` decides who runs next and what the time is, `network` loses and delays what is said, `kube` and `cloudflare` put
the sandbox's two pure cores behind the product's own seams, `monitor` watches every effect, `simulation` is the stage
on which the rules of `test_simulation` play.
"""
