// Copyright The CanaryRollout Authors.
// SPDX-License-Identifier: Apache-2.0

package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/canaryrollout/canaryrollout/api/v1alpha1"
	"github.com/canaryrollout/canaryrollout/controllers/plan"
	revisions "github.com/canaryrollout/canaryrollout/controllers/revision"
)

// Rollout is a rollout with the objects that are shown with it.
type Rollout struct {
	Object      *v1alpha1.CanaryRollout
	ReplicaSets []appsv1.ReplicaSet
	Pods        []corev1.Pod
	// Flags are the connection flags that commands in the text need to reach the same rollout, for example " -n shop".
	Flags string
}

// currentStep returns the index of the current step, or -1 if there is none. The first deployment skips the steps.
func (r Rollout) currentStep() int {
	if memory := r.Object.Status.Memory; memory == nil || memory.StableRevision == "" {
		return -1
	}
	index, _ := plan.CurrentStep(r.Object)
	return index
}

// Render shows a rollout: its state and what it waits for, its steps, its metrics, and the tree of its pods. In a wide terminal, the
// steps appear beside the state.
func (r Rollout) Render(s Style, now time.Time) string {
	var lines []string
	if s.isWide() {
		const right = 52
		lines = beside(r.header(s, s.Width-right, now), r.steps(s, right), s.Width-right)
	} else {
		lines = r.header(s, s.Width, now)
		if steps := r.steps(s, cmp.Or(s.Width, 1000)); steps != nil {
			lines = append(append(lines, ""), steps...)
		}
	}
	if analysis := r.analysis(s); analysis != nil {
		lines = append(append(lines, ""), analysis...)
	}
	return join(append(append(lines, ""), r.tree(s, now)...))
}

// beside puts two blocks next to each other.
func beside(left, right []string, width int) []string {
	var lines []string
	for i := range max(len(left), len(right)) {
		var l, r string
		if i < len(left) {
			l = left[i]
		}
		if i < len(right) {
			r = right[i]
		}
		if r != "" {
			l += strings.Repeat(" ", max(width-visible(l), 1))
		}
		lines = append(lines, l+r)
	}
	return lines
}

// visible returns how many columns a line takes, not counting escape codes.
func visible(line string) int {
	width := 0
	for i, part := range strings.Split(line, "\x1b[") {
		if i > 0 {
			_, part, _ = strings.Cut(part, "m")
		}
		width += utf8.RuneCountInString(part)
	}
	return width
}

// keyWidth is the width of the key column.
const keyWidth = 12

// header shows the state of a rollout as keys and values.
func (r Rollout) header(s Style, width int, now time.Time) []string {
	var lines []string
	add := func(key string, texts ...string) {
		for i, text := range texts {
			if i > 0 {
				key = ""
			} else {
				key = s.paint(bold, key) + strings.Repeat(" ", keyWidth-len(key))
			}
			lines = append(lines, cmp.Or(key, strings.Repeat(" ", keyWidth))+text)
		}
	}
	room := width - keyWidth - 1
	if width <= 0 {
		room = 0
	}
	add("Name:", r.Object.Name)
	add("Namespace:", r.Object.Namespace)
	add("Status:", r.status(s))
	if message := Message(r.Object, r.Flags); message != "" {
		add("Message:", Wrap(message, room, "", "")...)
	}
	if next := r.next(); next != "" {
		add("Next:", Wrap(next, room, "", "")...)
	}
	if pause := r.pause(now); pause != "" {
		add("Pause:", pause)
	}
	if weight := r.weight(s); weight != "" {
		add("Weight:", weight)
	}
	add("Ready:", r.ready())
	if trouble := r.trouble(); trouble != "" {
		add("Not ready:", Wrap(trouble, room, "", "")...)
	}
	add("Images:", r.images(s, room)...)
	return lines
}

func (r Rollout) status(s Style) string {
	status := r.Object.Status
	look := lookOf(status.State)
	text := s.paint(look.color, strings.TrimSpace(s.glyph(look.icon, "")+" "+stateWord(status)))
	if r.currentStep() >= 0 && status.Step != "" {
		text += ", step " + status.Step
	}
	if status.ObservedGeneration != r.Object.Generation {
		text += s.paint(yellow, " (the last change of the spec is not processed yet)")
	}
	return text
}

// Message returns what a rollout waits for. The operator writes commands for plain kubectl; they are replaced by those
// of the plugin, which are shorter.
func Message(rollout *v1alpha1.CanaryRollout, flags string) string {
	command := func(verb string) string { return "kubectl canary " + verb + " " + rollout.Name }
	message := rollout.Status.Message
	for _, known := range [][2]string{
		{v1alpha1.PromoteAnnotation + "=true", command("promote") + flags},
		{v1alpha1.PromoteAnnotation + "=full", command("promote") + " --full" + flags},
		{v1alpha1.AbortAnnotation + "=true", command("abort") + flags},
		{v1alpha1.RetryAnnotation + "=true", command("retry") + flags},
	} {
		message = strings.ReplaceAll(message, plan.AnnotateCommand(rollout.Namespace, rollout.Name, known[0]), known[1])
	}
	return message
}

// next returns the command that would move a rollout, if its message does not name one.
func (r Rollout) next() string {
	status := r.Object.Status
	command := func(verb string) string { return "kubectl canary " + verb + " " + r.Object.Name + r.Flags }
	switch {
	case Message(r.Object, r.Flags) != status.Message: // it names the command
		return ""
	case status.Pause != nil && status.Pause.Reason == v1alpha1.ReasonSpecPaused:
		return command("resume")
	case status.State == v1alpha1.StateDegraded && status.Memory != nil && status.Canary != nil &&
		plan.Refused(r.Object, status.Memory.Template.Revision, v1alpha1.AbortAnnotation, "true") == "":
		return "fix what the message says, or: " + command("abort")
	default:
		return ""
	}
}

// pause returns the remaining time of a pause.
func (r Rollout) pause(now time.Time) string {
	pause := r.Object.Status.Pause
	if pause == nil || pause.Until == nil {
		return ""
	}
	text := left(pause.Until.Time, now) + " left"
	if pause.StartedAt != nil {
		text += " of " + plan.Duration(pause.Until.Sub(pause.StartedAt.Time))
	}
	if _, step := plan.CurrentStep(r.Object); step != nil && step.Timeout != nil {
		text += ", then " + string(step.OnTimeout)
	}
	return text
}

func (r Rollout) weight(s Style) string {
	status := r.Object.Status
	weight := status.RevisionWeight
	if weight == nil {
		return ""
	}
	cells := 20
	if s.isWide() {
		cells = 30
	}
	text := fmt.Sprintf("%s %d %% verified", s.bar(*weight, cells), weight.Verified)
	if weight.Verified != weight.Desired {
		text += fmt.Sprintf(", %d %% desired", weight.Desired)
	}
	if status.Traffic != nil && status.Traffic.MirrorPercent > 0 {
		text += fmt.Sprintf("; mirror %d %%", status.Traffic.MirrorPercent)
	}
	if status.Traffic != nil && len(status.Traffic.HeaderRoutes) > 0 {
		text += "; header routes: " + strings.Join(status.Traffic.HeaderRoutes, ", ")
	}
	return text
}

func (r Rollout) ready() string {
	status := r.Object.Status
	text := cmp.Or(status.Ready, "-")
	if status.Stable != nil && status.Canary != nil {
		text += fmt.Sprintf(" (stable %d/%d, canary %d/%d)", status.Stable.Ready, status.Stable.Desired,
			status.Canary.Ready, status.Canary.Desired)
	}
	return text
}

// trouble returns why the revisions that should serve lack pods, unless the message already says so.
func (r Rollout) trouble() string {
	var words []string
	for _, v := range r.revisions() {
		if v.role == roleDraining || v.role == roleFormer || v.set == nil || v.set.Status.ReadyReplicas >= desiredReplicas(v.set) {
			continue
		}
		why := cmp.Or(revisions.Failure(desiredReplicas(v.set), v.set.Status), revisions.Unready(v.pods))
		if why != "" && !strings.Contains(r.Object.Status.Message, why) {
			words = append(words, fmt.Sprintf("revision %s: %s", v.name, why))
		}
	}
	return strings.Join(words, "; ")
}

// images returns the images of the revisions that serve or will serve, each with its roles.
func (r Rollout) images(s Style, room int) []string {
	images, roles := r.rolesOfImages()
	var lines []string
	for _, image := range images {
		suffix := " (" + strings.Join(roles[image], ", ") + ")"
		if room > 0 {
			image = s.cutHead(image, room-utf8.RuneCountInString(suffix))
		}
		lines = append(lines, image+suffix)
	}
	if len(lines) == 0 {
		return []string{cmp.Or(r.Object.Status.Images, "-")}
	}
	return lines
}

// rolesOfImages returns the images in the order of their revisions, and the roles of each.
func (r Rollout) rolesOfImages() (images []string, roles map[string][]string) {
	roles = map[string][]string{}
	for _, rev := range r.revisions() {
		if rev.role == roleFormer || rev.role == roleDraining || rev.set == nil {
			continue
		}
		for _, image := range imagesOf(rev.set) {
			if !slices.Contains(images, image) {
				images = append(images, image)
			}
			if !slices.Contains(roles[image], string(rev.role)) {
				roles[image] = append(roles[image], string(rev.role))
			}
		}
	}
	return images, roles
}

func imagesOf(set *appsv1.ReplicaSet) []string {
	var images []string
	for _, container := range set.Spec.Template.Spec.Containers {
		images = append(images, container.Image)
	}
	return images
}
