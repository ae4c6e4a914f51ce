// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
)

const (
	contentCloudEvents = "application/cloudevents+json"
	contentJSON        = "application/json"
	// typePrefix begins the type of each CloudEvent, as in dev.canaryrollout.release.started.
	typePrefix = "dev.canaryrollout.release."
)

// cloudEvent is an event in the structured mode of CloudEvents 1.0.
type cloudEvent struct {
	SpecVersion string `json:"specversion"`
	// ID is the same in each attempt to deliver a transition.
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Subject         string    `json:"subject"`
	Type            string    `json:"type"`
	Time            string    `json:"time,omitempty"`
	DataContentType string    `json:"datacontenttype"`
	Data            eventData `json:"data"`
}

// eventData says who did what, why, and what can follow.
type eventData struct {
	Sequence       int64              `json:"sequence"`
	Dropped        int64              `json:"dropped,omitempty"`
	Transition     string             `json:"transition"`
	Namespace      string             `json:"namespace"`
	Name           string             `json:"name"`
	UID            string             `json:"uid"`
	Generation     int64              `json:"generation,omitempty"`
	Revision       string             `json:"revision,omitempty"`
	StableRevision string             `json:"stableRevision,omitempty"`
	Images         string             `json:"images,omitempty"`
	Step           string             `json:"step,omitempty"`
	Weight         *weightData        `json:"weight,omitempty"`
	By             string             `json:"by,omitempty"`
	Message        string             `json:"message,omitempty"`
	Commands       []followingCommand `json:"commands,omitempty"`
}

type weightData struct {
	Verified int32 `json:"verified"`
	Desired  int32 `json:"desired"`
}

type followingCommand struct {
	Action  string `json:"action"`
	Command string `json:"command"`
}

func newCloudEvent(of Rollout, transition *v1alpha1.TransitionMemory, dropped int64) cloudEvent {
	data := eventData{
		Sequence: transition.Sequence, Dropped: dropped, Transition: string(transition.Type), Namespace: of.Namespace, Name: of.Name, UID: string(of.UID),
		Generation: transition.Generation, Revision: transition.Revision, StableRevision: transition.StableRevision,
		Images: transition.Images, Step: transition.Step, By: transition.By, Message: transition.Message,
	}
	if transition.Weight != nil {
		data.Weight = &weightData{transition.Weight.Verified, transition.Weight.Desired}
	}
	for _, command := range plan.FollowingCommands(of.Namespace, of.Name, transition) {
		data.Commands = append(data.Commands, followingCommand{command.Action, command.Command})
	}
	event := cloudEvent{
		SpecVersion: "1.0", ID: fmt.Sprintf("%s/%d", of.UID, transition.Sequence), DataContentType: contentJSON, Data: data,
		Source:  fmt.Sprintf("/apis/%s/namespaces/%s/canaryrollouts/%s", v1alpha1.GroupVersion, of.Namespace, of.Name),
		Subject: transition.Revision, Type: typePrefix + strings.ToLower(string(transition.Type)),
	}
	if transition.At != nil {
		event.Time = transition.At.UTC().Format(time.RFC3339Nano)
	}
	return event
}

// slackMessage is the body of a request to a webhook of Slack.
type slackMessage struct {
	Text string `json:"text"`
}

// slackEscapes are the characters that have a meaning in the markup of Slack.
var slackEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func newSlackMessage(event cloudEvent) slackMessage {
	data := event.Data
	lines := []string{fmt.Sprintf("*%s/%s* %s (#%d): %s", data.Namespace, data.Name, words(data.Transition), data.Sequence, data.Message)}
	about := []string{"revision " + cmp.Or(data.Revision, "unknown")}
	if data.Images != "" {
		about = append(about, data.Images)
	}
	if data.Step != "" {
		about = append(about, "step "+data.Step)
	}
	if data.Weight != nil {
		about = append(about, fmt.Sprintf("weight %d %% of %d %%", data.Weight.Verified, data.Weight.Desired))
	}
	if data.By != "" {
		about = append(about, "by "+data.By)
	}
	lines = append(lines, strings.Join(about, ", "))
	for _, command := range data.Commands {
		lines = append(lines, command.Action+": `"+command.Command+"`")
	}
	return slackMessage{slackEscapes.Replace(strings.Join(lines, "\n"))}
}

// words returns the name of a transition in lower case, with spaces.
func words(transition string) string {
	var text strings.Builder
	for i, r := range transition {
		if i > 0 && unicode.IsUpper(r) {
			text.WriteByte(' ')
		}
		text.WriteRune(unicode.ToLower(r))
	}
	return text.String()
}

// body returns the body of a request to a sink, and its type.
func (s *sink) body(of Rollout, transition *v1alpha1.TransitionMemory, dropped int64) (body []byte, contentType string, err error) {
	event := newCloudEvent(of, transition, dropped)
	if s.config.Slack != nil {
		body, err = json.Marshal(newSlackMessage(event))
		return body, contentJSON, err
	}
	body, err = json.Marshal(event)
	return body, contentCloudEvents, err
}
