package config

import (
	"slices"
	"strings"

	"github.com/stilehq/stile/server/consent"
)

// resolve turns the needs of each item into indices of items, and fills in the tags' Needs.
func resolve(items []item) [][]int {
	edges := make([][]int, len(items))
	for i := range items {
		for _, at := range items[i].needs {
			name, ok := at.line(maxLine)
			if !ok {
				continue
			}
			j := lookUp(items, name)
			switch {
			case j < 0:
				at.fail(unknownNeed(items, name), "no tag has the name or id %s", quote(name))
			case j == i:
				at.fail("leave it out", "the tag needs itself")
			case slices.Contains(edges[i], j):
				at.fail("remove one of them", "%s is needed twice", quote(name))
			default:
				edges[i] = append(edges[i], j)
				items[i].tag.Needs = append(items[i].tag.Needs, items[j].tag.ID)
			}
		}
	}
	return edges
}

func lookUp(items []item, name string) int {
	if i := slices.IndexFunc(items, func(t item) bool { return t.valid && t.tag.ID == name }); i >= 0 {
		return i
	}
	return slices.IndexFunc(items, func(t item) bool { return t.valid && t.tag.Name == name })
}

func unknownNeed(items []item, name string) string {
	var names []string
	for _, t := range items {
		if t.valid {
			names = append(names, t.tag.ID, t.tag.Name)
		}
	}
	if hint := suggest(name, names); hint != "" {
		return hint
	}
	return "needs are names or ids of tags in this file"
}

// ordered returns the tags, each behind what it needs and otherwise as they are in the file, and reports needs that run
// in a circle.
func ordered(items []item, edges [][]int) []consent.Tag {
	const (
		unseen = iota
		open
		done
	)
	tags := make([]consent.Tag, 0, len(items))
	state := make([]int, len(items))
	var trail []int
	var visit func(i int)
	visit = func(i int) {
		switch state[i] {
		case done:
			return
		case open:
			circle(items, trail[slices.Index(trail, i):])
			return
		}
		state[i] = open
		trail = append(trail, i)
		for _, j := range edges[i] {
			visit(j)
		}
		trail = trail[:len(trail)-1]
		state[i] = done
		tags = append(tags, items[i].tag)
	}
	for i := range items {
		visit(i)
	}
	return tags
}

// circle reports at the first tag of the circle.
func circle(items []item, members []int) {
	var names []string
	for _, i := range members {
		names = append(names, items[i].tag.ID)
	}
	at, next := items[members[0]].at, items[members[1]].tag // a tag that needs itself is no edge: there are two at least
	for _, need := range items[members[0]].needs {
		if name, _ := need.text(); name == next.ID || name == next.Name {
			at = need
		}
	}
	at.fail("remove one of these needs", "the needs run in a circle: %s", strings.Join(append(names, names[0]), " needs "))
}
