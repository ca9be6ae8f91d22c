// Package pilot makes of Kubernetes objects what Istio's control plane tells the Envoys of its gateways, with that control plane itself.
package pilot

import (
	"encoding/json"
	"os"
	"testing"

	meshconfig "istio.io/api/mesh/v1alpha1"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pilot/test/xdstest"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/util/protomarshal"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"
)

// A gateway's Envoy, by the name of its Gateway.
type gateway struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Address   string `json:"address"`
	// The annotation of its pod, which the agent beside Envoy tells the control plane.
	ProxyConfig string `json:"proxyConfig"`
}

type request struct {
	// The Gateway API's and Kubernetes' own objects, and Istio's: YAML.
	Kubernetes string    `json:"kubernetes"`
	Istio      string    `json:"istio"`
	Gateways   []gateway `json:"gateways"`
}

// TestTranslate reads a request from the file of REQUEST and writes ANSWER: for each gateway its listeners, routes, clusters, endpoints and
// extensions, as Envoy reads them.
func TestTranslate(t *testing.T) {
	var asked request
	data, err := os.ReadFile(os.Getenv("REQUEST"))
	must(t, err)
	must(t, json.Unmarshal(data, &asked))
	s := xds.NewFakeDiscoveryServer(t, xds.FakeOptions{KubernetesObjectString: asked.Kubernetes, ConfigString: asked.Istio})
	answer := map[string]map[string][]json.RawMessage{}
	for _, each := range asked.Gateways {
		answer[each.Name] = translate(t, s, each)
	}
	data, err = json.Marshal(answer)
	must(t, err)
	must(t, os.WriteFile(os.Getenv("ANSWER"), data, 0o600))
}

func translate(t *testing.T, s *xds.FakeDiscoveryServer, asked gateway) map[string][]json.RawMessage {
	proxyConfig := mesh.DefaultProxyConfig()
	if asked.ProxyConfig != "" {
		with, err := mesh.ApplyProxyConfig(asked.ProxyConfig, &meshconfig.MeshConfig{DefaultConfig: proxyConfig})
		must(t, err)
		proxyConfig = with.DefaultConfig
	}
	labels := map[string]string{"gateway.networking.k8s.io/gateway-name": asked.Name}
	proxy := s.SetupProxy(&model.Proxy{
		ID:              asked.Name + "." + asked.Namespace,
		Type:            model.Router,
		ConfigNamespace: asked.Namespace,
		Labels:          labels,
		IPAddresses:     []string{asked.Address},
		Metadata: &model.NodeMetadata{
			Namespace:    asked.Namespace,
			Labels:       labels,
			ClusterID:    "Kubernetes",
			IstioVersion: "1.31.0",
			ProxyConfig:  (*model.NodeMetaProxyConfig)(proxyConfig),
		},
	})
	listeners := s.Listeners(proxy)
	names := []string{}
	for _, each := range listeners {
		for _, chain := range each.FilterChains {
			for _, filter := range xdstest.ExtractHTTPConnectionManager(t, chain).HttpFilters {
				if filter.GetConfigDiscovery() != nil {
					names = append(names, filter.Name)
				}
			}
		}
	}
	extensions := s.ConfigGen.BuildExtensionConfiguration(proxy, s.PushContext(), names, nil)
	return map[string][]json.RawMessage{
		"listeners":  dump(t, listeners),
		"routes":     dump(t, s.Routes(proxy)),
		"clusters":   dump(t, s.Clusters(proxy)),
		"endpoints":  dump(t, s.Endpoints(proxy)),
		"extensions": dump[*core.TypedExtensionConfig](t, extensions),
	}
}

func dump[T proto.Message](t *testing.T, messages []T) []json.RawMessage {
	made := []json.RawMessage{}
	for _, each := range messages {
		text, err := protomarshal.ToJSON(each)
		must(t, err)
		made = append(made, json.RawMessage(text))
	}
	return made
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
