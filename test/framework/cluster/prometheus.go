// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// ScrapeInterval is the time between two scrapes of the gateway, and of the manager.
const ScrapeInterval = 2 * time.Second

const (
	// gatewayMetricsAddress is where the gateway serves its metrics.
	gatewayMetricsAddress = "127.0.0.1:8082"
	// managerMetricsAddress is where a manager serves its metrics, with a certificate of its own.
	managerMetricsAddress = "127.0.0.1:8443"
	prometheusConfig      = "prometheus.yaml"
)

// prometheusYAML returns the configuration. The manager asks the API server who may read its metrics, so Prometheus needs a token.
func prometheusYAML(token string) []byte {
	return fmt.Appendf(nil, `global: {scrape_interval: %s}
scrape_configs:
- job_name: gateway
  static_configs: [{targets: ["%s"]}]
- job_name: canaryrollout
  scheme: https
  authorization: {credentials: %q}
  tls_config: {insecure_skip_verify: true}
  static_configs: [{targets: ["%s"]}]
`, ScrapeInterval, gatewayMetricsAddress, token, managerMetricsAddress)
}

func prometheusArgs(int) []string {
	return []string{
		"--config.file=" + prometheusConfig, "--storage.tsdb.path=prometheus", "--web.listen-address=" + PrometheusAddress, "--log.level=warn",
	}
}

// StartPrometheus starts Prometheus again after [Cluster.StopPrometheus], with the data that it had, and waits until it is
// ready.
func (c *Cluster) StartPrometheus(ctx context.Context) error {
	process, err := c.prometheus()
	if err != nil {
		return err
	}
	if err := process.start(); err != nil {
		return err
	}
	return waitFor(ctx, "Prometheus to be ready", func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+PrometheusAddress+"/-/ready", http.NoBody)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			err = errors.New(response.Status)
		}
		return errors.Join(err, response.Body.Close())
	})
}

// StopPrometheus ends Prometheus. Nothing is scraped, and no query is answered, until [Cluster.StartPrometheus].
func (c *Cluster) StopPrometheus() error {
	process, err := c.prometheus()
	if err != nil {
		return err
	}
	return process.Stop(10 * time.Second)
}

func (c *Cluster) prometheus() (*Process, error) {
	process := c.Process(Prometheus)
	if process == nil {
		return nil, errors.New("the cluster has no Prometheus: set Options.Prometheus")
	}
	return process, nil
}
