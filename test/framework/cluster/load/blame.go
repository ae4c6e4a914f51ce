// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
)

// requestIDHeader matches a line of the gateway's access log to a result.
const requestIDHeader = "X-Request-Id"

// blame adds the pod that the gateway had chosen to failed requests that no pod answered. A gateway that died, or had
// no endpoint, logs no address; the pod is unknown then.
func (g *Generator) blame(failures []Result) {
	chosen := readAccessLog(g.options.AccessLog)
	for i := range failures {
		failure := &failures[i]
		if failure.Pod != "" {
			continue
		}
		failure.PodIP = chosen[failure.ID]
		if failure.PodIP != "" && g.options.PodAt != nil {
			failure.Pod = g.options.PodAt(failure.PodIP)
		}
	}
}

// readAccessLog returns the address of the chosen pod by request ID.
func readAccessLog(path string) map[string]string {
	chosen := map[string]string{}
	file, err := os.Open(path)
	if err != nil {
		return chosen // no log was given, or no request has failed yet
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var line struct {
			ID   string `json:"request_X-Request-Id"`
			Addr string `json:"ServiceAddr"`
		}
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			continue // the last line may be incomplete
		}
		if ip, _, err := net.SplitHostPort(line.Addr); err == nil {
			chosen[line.ID] = ip
		}
	}
	return chosen
}
