package tally

import (
	"net/http"
	"strings"
)

// Class is a kind of device.
type Class uint8

// The classes there are. What says nothing of itself is a desktop.
const (
	Desktop Class = iota
	Phone
	Tablet
	classes
)

var classNames = [classes]string{"desktop", "phone", "tablet"}

func (c Class) String() string { return classNames[c] }

// ClassOf tells a device's class by what its browser says: Sec-CH-UA-Mobile, or the platform in its User-Agent. Nothing else
// of that is looked at, and nothing kept (C5). A tablet that asks for pages as a desktop does is taken for one.
func ClassOf(h http.Header) Class {
	if mobile := h["Sec-Ch-Ua-Mobile"]; len(mobile) > 0 && mobile[0] == "?1" {
		return Phone
	}
	agents := h["User-Agent"]
	if len(agents) == 0 {
		return Desktop
	}
	agent := agents[0]
	if len(agent) > 512 {
		agent = agent[:512]
	}
	if at := strings.IndexByte(agent, '('); at >= 0 {
		for _, p := range platforms {
			if strings.HasPrefix(agent[at+1:], p.begins) {
				return p.class
			}
		}
	}
	switch {
	case strings.Contains(agent, "Mobi"):
		return Phone
	case strings.Contains(agent, "Android") && !strings.Contains(agent, "TV"), strings.Contains(agent, "Tablet"),
		strings.Contains(agent, "Kindle"):
		return Tablet // Android's telephones say Mobile
	}
	return Desktop
}

// platforms are how the first parenthesis of most User-Agents begins.
var platforms = [...]struct {
	begins string
	class  Class
}{{"iPhone", Phone}, {"Windows NT", Desktop}, {"Macintosh", Desktop}, {"X11", Desktop}, {"iPad", Tablet}, {"iPod", Phone}}
