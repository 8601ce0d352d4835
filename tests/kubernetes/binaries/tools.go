//go:build tools

// Package binaries pins what `make kube` builds: Kubernetes' own API server, etcd below it, and Helm.
package binaries

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "helm.sh/helm/v3/cmd/helm"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
)
