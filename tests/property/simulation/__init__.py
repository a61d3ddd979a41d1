"""The shipped controller, several replicas of it, on virtual time and in a world that lies.

    loop.py        who runs next, and what the time is      network.py     loses and delays what is said
    kube.py, cloudflare.py    the sandbox's two pure cores behind the product's own seams
    names.py       who plays                                scene.py       what routers, people and tools do
    simulation.py  the scene with replicas                  fates.py, crowds.py   what can happen, by name
    trials.py      what a session has to get over
    eyes.py        what is there now, and what was          monitor.py     the invariants, in two halves:
                                                              cloudflare_monitor.py, kube_monitor.py
    ending.py      how the world has to be in the end       kill_points.py every await, and where replicas were killed
    tally.py       what stories covered                     soak.py        many of them, for `make soak`

`test_simulation` is the storyteller.
"""
