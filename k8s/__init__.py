"""The only speaker of `kubernetes`: watches, the record in annotations, routes, Events and the lease."""
