package page

import "strings"

// candidates are the addresses in a srcset (WHATWG HTML, 4.8.4.2.2).
func candidates(srcset string) (list []string) {
	for {
		srcset = strings.TrimLeft(srcset, ", \t\n\f\r")
		if srcset == "" {
			return list
		}
		end := strings.IndexAny(srcset, " \t\n\f\r")
		if end < 0 {
			end = len(srcset)
		}
		address := srcset[:end]
		srcset = srcset[end:]
		if bare := strings.TrimRight(address, ","); len(bare) == len(address) {
			srcset = afterDescriptors(srcset)
			list = append(list, address)
		} else {
			list = append(list, bare)
		}
	}
}

// afterDescriptors is what follows the comma that is in no brackets.
func afterDescriptors(s string) string {
	open := false
	for i := range len(s) {
		switch {
		case s[i] == '(':
			open = true
		case s[i] == ')':
			open = false
		case s[i] == ',' && !open:
			return s[i+1:]
		}
	}
	return ""
}
