"""What this operator relies on of a Kubernetes API: one suite for the sandbox's and for the real kube-apiserver."""
