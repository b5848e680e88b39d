package consent

import "time"

// Mail is how a site's newsletters are counted: beacons that are opened and links that are followed.
type Mail struct {
	Category string        // whose consent counts: an optional one of Site.Categories
	Links    []string      // origins that a tracked link may lead to, patterns as in Site.Origins
	Log      time.Duration // how long opens and clicks are kept, in whole days
}
