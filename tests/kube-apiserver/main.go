// Names what the tests build: k8s.io/kubernetes/cmd/kube-apiserver, of the version in go.mod.
package main

import _ "k8s.io/kubernetes/cmd/kube-apiserver/app"

func main() {}
