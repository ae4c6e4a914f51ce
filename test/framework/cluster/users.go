// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// A User is a client of the API server. Every user has its own token and kubeconfig.
type User string

const (
	// Admin may do everything.
	Admin User = "admin"
	// Operator is the service account of the shipped manager, with exactly the rights that are bound to it.
	Operator User = "operator"
	// Spare1 has no rights until a test binds some to its name.
	Spare1 User = "user-1"
	// Spare2 is like Spare1.
	Spare2 User = "user-2"
	// Spare3 is like Spare1.
	Spare3 User = "user-3"
	// Spare4 is like Spare1.
	Spare4 User = "user-4"

	controllerManager User = "kube-controller-manager"
	scheduler         User = "kube-scheduler"
	kubelet           User = "kwok"
	gateway           User = "traefik"
)

// OperatorNamespace is the namespace of the operator's service account, which exists only by name. Start creates the
// namespace.
const OperatorNamespace = "canaryrollout-system"

// OperatorUsername is the user name of [Operator] in the API server: that of the shipped service account, so that the
// shipped role bindings apply.
const OperatorUsername = "system:serviceaccount:" + OperatorNamespace + ":canaryrollout-controller-manager"

// identities maps each user to its user name and groups in the API server.
var identities = map[User]struct{ name, groups string }{
	Admin:             {"admin", "system:masters"},
	Operator:          {OperatorUsername, "system:serviceaccounts,system:serviceaccounts:" + OperatorNamespace},
	Spare1:            {name: "user-1"},
	Spare2:            {name: "user-2"},
	Spare3:            {name: "user-3"},
	Spare4:            {name: "user-4"},
	controllerManager: {"kube-controller-manager", "system:masters"},
	scheduler:         {"kube-scheduler", "system:masters"},
	kubelet:           {"kwok", "system:masters"},
	gateway:           {name: "traefik"},
}

// credentials holds the users' tokens and the API server's certificate. They are generated for each cluster, because
// every process of the host may be able to reach its port.
type credentials struct {
	dir    string
	tokens map[User]string
	ca     []byte
}

func newCredentials(dir string, ca []byte) (*credentials, error) {
	c := &credentials{dir: dir, tokens: map[User]string{}, ca: ca}
	var csv strings.Builder
	for user, identity := range identities {
		c.tokens[user] = randomToken()
		fmt.Fprintf(&csv, "%s,%s,%s,%q\n", c.tokens[user], identity.name, identity.name, identity.groups)
	}
	if err := os.WriteFile(filepath.Join(dir, "tokens.csv"), []byte(csv.String()), 0o600); err != nil {
		return nil, err
	}
	for user := range identities {
		if err := c.writeKubeconfig(user, "https://"+APIAddress, c.kubeconfig(user)); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func randomToken() string {
	token := make([]byte, 16)
	rand.Read(token)
	return hex.EncodeToString(token)
}

func (c *credentials) kubeconfig(user User) string {
	return filepath.Join(c.dir, string(user)+".kubeconfig")
}

func (c *credentials) writeKubeconfig(user User, server, path string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["cluster"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: c.ca}
	config.AuthInfos[string(user)] = &clientcmdapi.AuthInfo{Token: c.tokens[user]}
	config.Contexts["cluster"] = &clientcmdapi.Context{Cluster: "cluster", AuthInfo: string(user)}
	config.CurrentContext = "cluster"
	return clientcmd.WriteToFile(*config, path)
}

// RESTConfig returns a client configuration for user, without a client-side rate limit. Each call returns a new copy.
// An unknown user gets no token, and so the rights of system:anonymous.
func (c *Cluster) RESTConfig(user User) *rest.Config {
	return &rest.Config{
		Host:            "https://" + APIAddress,
		BearerToken:     c.credentials.tokens[user],
		TLSClientConfig: rest.TLSClientConfig{CAData: c.credentials.ca},
		QPS:             -1,
	}
}

// Kubeconfig returns the path of user's kubeconfig file, for processes inside the namespaces.
func (c *Cluster) Kubeconfig(user User) string {
	return c.credentials.kubeconfig(user)
}

// WriteKubeconfig writes a kubeconfig for user with another address (host:port on 127.0.0.1) of the API server: the
// one that [Outside] returns for [APIAddress], for a terminal on the host.
func (c *Cluster) WriteKubeconfig(user User, address, path string) error {
	if _, known := identities[user]; !known {
		return fmt.Errorf("no user %q: see the User constants", user)
	}
	return c.credentials.writeKubeconfig(user, "https://"+address, path)
}
