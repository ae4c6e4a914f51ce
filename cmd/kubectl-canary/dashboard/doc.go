// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

// Package dashboard serves a web page to the user who started it, with the rights of the user's kubeconfig. In a cluster, it serves
// the page read-only to the users that a proxy has authenticated, with the rights of a service account.
//
// # Data
//
// One watch of the CanaryRollouts serves the list, and the rollout of each page. A page also watches the ReplicaSets, pods and
// Events of its rollout, as long as it is open and visible. What is shown is made by package view, as JSON with absolute times, so
// that a page gets something only if something has changed. It comes as server-sent events: beat (nothing new, but the connection
// works), about, list (the rollouts that have changed) and page (all of a page).
//
// An action is two requests. The first answers what the action will lead to, in the words of package action and with a forecast of
// the planner. The second carries it out. Both contain where the rollout was on the page; if it has moved on, nothing is written.
// Package action makes the patches, with the same guards and refusals as the commands.
//
// # Safety
//
// The server listens on loopback addresses only. Web pages and other users of the machine can connect to those too, so guard checks:
//
//   - the Host header, against DNS rebinding;
//   - a token that only the user has seen, in the first URL and then in a cookie that scripts cannot read;
//   - Origin and Sec-Fetch-Site, and for changes the content type and a header of our own, against requests of other sites.
//
// In a cluster, the proxy takes the place of the loopback address and of the token. Host and origin are checked all the same: a page
// of another site could otherwise read through a browser that can reach the pod. There are no actions, so there is nothing that a
// request could change.
//
// The content security policy allows scripts, styles and requests of this server only, and no inline scripts. Names, messages and
// images come from anybody who can write objects in the cluster. The page shows them as text, never as HTML.
package dashboard
