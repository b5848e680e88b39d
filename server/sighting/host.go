package sighting

import "regexp"

var inFile = regexp.MustCompile(`^([a-z0-9-]{1,63}\.){1,8}[a-z0-9-]{1,63}(:[0-9]{1,5})?$`)

// fileHost tells whether a site's file can name a host.
func fileHost(host string) bool { return inFile.MatchString(host) }
