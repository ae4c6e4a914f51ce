// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"regexp"
	"strconv"
	"strings"
)

var (
	webURL = regexp.MustCompile(`^(https?://[^/?#]+)(/[^/#][^#]*|/)?$`)
	// jsonPath is a path of fields and indexes, the part of JSONPath that CEL can express.
	jsonPath = regexp.MustCompile(`^\{? *\$?((?:\.[A-Za-z_][A-Za-z0-9_-]*|\[[0-9]+\]|\['[^']+'\])*) *\}?$`)
	segment  = regexp.MustCompile(`\.[A-Za-z_][A-Za-z0-9_-]*|\[[0-9]+\]|\['[^']+'\]`)
)

var argoWeb = table[*metric]{
	carried: map[string]func(*metric, field){
		"url": (*metric).setURL, "jsonPath": (*metric).setJSONPath, "method": (*metric).checkMethod,
	},
	dropped: map[string]verdict{
		"headers": lostCredentials, "authentication": lostCredentials, "insecure": lostCredentials, "timeoutSeconds": lostTimeout,
		"body":     lost("a request has no body", "put what it says into the path"),
		"jsonBody": lost("a request has no body", "put what it says into the path"),
	},
}

// setURL makes a provider of the host, and a path of the rest.
func (m *metric) setURL(f field) {
	parts := webURL.FindStringSubmatch(renamed(text(f.value)))
	if parts == nil {
		f.failed("this is not the URL of a page", "correct it")
		return
	}
	name := identifier(withoutScheme(parts[1]), maxProviderName)
	set(m.source, "provider", name)
	if parts[2] != "" {
		set(m.source, "path", parts[2])
	}
	loseAddress(f, parts[1], "web provider "+name)
}

// setJSONPath lets the conditions be about a part of the document.
func (m *metric) setJSONPath(f field) {
	parts := jsonPath.FindStringSubmatch(strings.TrimSpace(text(f.value)))
	if parts == nil {
		f.failed("only a path of fields and indexes can be converted", "write the condition in CEL, for example result.items.all(i, i.ok)")
		m.result = ""
		return
	}
	for _, part := range segment.FindAllString(parts[1], -1) {
		switch {
		case strings.HasPrefix(part, "['"):
			part = "[" + strconv.Quote(part[len("['"):len(part)-len("']")]) + "]"
		case strings.Contains(part, "-"):
			part = "[" + strconv.Quote(part[len("."):]) + "]"
		}
		m.result += part
	}
}

func (m *metric) checkMethod(f field) {
	if !strings.EqualFold(text(f.value), "GET") {
		f.lost("a web provider is asked by GET", "let the provider answer a GET request")
		return
	}
	f.unneeded("a web provider is asked by GET", "")
}
