"""The only speaker of Kubernetes: what the controller's ports promise about Pods, routes, Events and the Lease.

    client.py      the seam: two methods, one request and one stream       errors.py      API status -> fsm.errors
    listing.py     a paged list                      reflector.py  list + watch -> cache + changes
    cache.py       what the reflector knows, ordered by resourceVersion
    pods.py        session Pods and their record     annotation.py  the record's compare-and-set, as a JSON patch
    routes.py      IngressRoutes                     route_facts.py what is remembered of one, and whose it is
    events.py      Kubernetes Events about a Pod     one_pod.py     one Pod by its name
    elector.py     leadership                        lease.py       the Lease as a document
    lease_store.py the Lease in the API server, and notes on it

Everything but `client.py` speaks through `Kube`, so that a simulation can put an API server in its place.
"""
