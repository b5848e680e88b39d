package mail

import (
	"net/http"
	"strings"
)

// Reason is why a fetch is not a person's.
type Reason string

// The reasons there are: labels of a metric, a fixed set.
const (
	Head     Reason = "head"     // nothing was shown
	Prefetch Reason = "prefetch" // a browser fetched ahead of its visitor
	Nameless Reason = "nameless" // every mail program and browser says what it is
	Apple    Reason = "apple"
	Gmail    Reason = "gmail"
	Yahoo    Reason = "yahoo"
	Outlook  Reason = "outlook"
	Scanner  Reason = "scanner"
	Program  Reason = "program"
)

// machines are parts of the User-Agents of what fetches a mail's pictures and links without its reader, in lower case. The
// name itself is kept nowhere (C5). Google's, Yahoo's and Microsoft's are as these companies' proxies send them and mailers
// report them; the names of scanners are those they go by where they say who they are. Scanners that pass for a browser
// (Safe Links among them) cannot be told apart by what they send.
var machines = []struct {
	name string
	why  Reason
}{
	{"googleimageproxy", Gmail},        // fetches for the reader, once for ever, and for the spam filter too
	{"edge/12.246 mozilla/5.0", Gmail}, // its prefetch, under the name of a browser that never was
	{"yahoomailproxy", Yahoo},          // fetches when a mail is delivered as well as when it is shown
	{"ms-office", Outlook},             // Outlook's preview pane, which shows a mail that nobody asked to see
	{"msoffice", Outlook},
	{"microsoft office", Outlook}, // looks at a link before it is opened in a browser
	{"microsoft outlook", Outlook},
	{"bingpreview", Outlook}, // follows links for Outlook.com and Teams
	{"skypeuripreview", Outlook},
	{"barracuda", Scanner}, // scanners open each link before a mail is delivered
	{"proofpoint", Scanner},
	{"mimecast", Scanner},
	{"messagelabs", Scanner},
	{"symantec", Scanner},
	{"sophos", Scanner},
	{"forcepoint", Scanner},
	{"ironport", Scanner},
	{"fireeye", Scanner},
	{"trendmicro", Scanner},
	{"mailscanner", Scanner},
	{"cloudmark", Scanner},
	{"headlesschrome", Program}, // libraries, which many scanners do not bother to hide
	{"phantomjs", Program},
	{"python", Program},
	{"go-http-client", Program},
	{"java/", Program},
	{"okhttp", Program},
	{"curl/", Program},
	{"wget/", Program},
	{"libwww", Program},
	{"node-fetch", Program},
	{"axios/", Program},
	{"ruby", Program},
	{"php/", Program},
}

// appleAgent is all that Apple's Mail Privacy Protection says of itself. It fetches every picture when a mail is delivered.
const appleAgent = "Mozilla/5.0"

// mostAgent is how much of a User-Agent is looked at.
const mostAgent = 512

// Human tells whether a person may have caused a fetch: that nothing says otherwise. If not, why. Crawlers are for the
// caller to know.
func Human(r *http.Request) (bool, Reason) {
	why := reason(r)
	return why == "", why
}

func reason(r *http.Request) Reason {
	if r.Method != http.MethodGet {
		return Head
	}
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		for _, value := range r.Header.Values(name) {
			value = strings.ToLower(value)
			if strings.Contains(value, "prefetch") || strings.Contains(value, "prerender") || strings.Contains(value, "preview") {
				return Prefetch
			}
		}
	}
	agent := strings.TrimSpace(r.UserAgent())
	switch agent {
	case "":
		return Nameless
	case appleAgent:
		return Apple
	}
	agent = strings.ToLower(agent[:min(len(agent), mostAgent)])
	for _, m := range machines {
		if strings.Contains(agent, m.name) {
			return m.why
		}
	}
	return ""
}
