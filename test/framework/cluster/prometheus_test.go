// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"github.com/canaryrollout/canaryrollout/test/framework/cluster"
	"github.com/canaryrollout/canaryrollout/test/framework/cluster/load"
)

// TestPrometheusCountsRequests: Prometheus has what the pods answered, by Service, and still has it after an outage.
func TestPrometheusCountsRequests(t *testing.T) {
	apply(t, workload, "counted-v1", 1)
	apply(t, route, "counted", ref("counted-v1", 1))
	answers(t, "counted.example.com", 50)
	traffic := load.Start(t.Context(), load.Options{Host: "counted.example.com", Rate: 50})
	eventually(t, "50 answers", func() bool { return traffic.Total().Sent >= 50 })
	traffic.Stop()
	requests := `sum(traefik_service_requests_total{service="default-counted-v1-http-9080@kubernetesgateway",code="200"})`
	sent := float64(traffic.Total().Sent)
	eventually(t, "the requests to be counted", func() bool { return query(t, requests) >= sent })
	counted := query(t, requests)

	if err := up.StopPrometheus(); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(t, requests); err == nil {
		t.Error("Prometheus answers while it is stopped")
	}
	if err := up.StartPrometheus(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := query(t, requests); got != counted {
		t.Errorf("%g requests are known after the outage, and %g before it", got, counted)
	}
}

// query returns the value of an instant query with at most one sample.
func query(t *testing.T, query string) float64 {
	t.Helper()
	value, err := ask(t, query)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func ask(t *testing.T, query string) (float64, error) {
	t.Helper()
	address := "http://" + cluster.PrometheusAddress + "/api/v1/query?query=" + url.QueryEscape(query)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var answer struct {
		Error string
		Data  struct {
			Result []struct {
				Value [2]any
			}
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return 0, err
	}
	if answer.Error != "" {
		return 0, fmt.Errorf("%s: %s", query, answer.Error)
	}
	if len(answer.Data.Result) == 0 {
		return 0, nil
	}
	return strconv.ParseFloat(answer.Data.Result[0].Value[1].(string), 64)
}
