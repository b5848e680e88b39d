package gate

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// Version names what the banner shows and how it looks: the policy's version, a dash, and 6 hexadecimal digits. It changes
// with any of the banner's words, in any language and under any regime, and with its style.
func (g *Gate) Version() string { return g.version }

func (g *Gate) versionOf() (string, error) {
	notices, err := g.Notices()
	if err != nil {
		return "", err
	}
	var shown []string
	for i := range notices {
		shown = append(shown, notices[i].Hash)
	}
	slices.Sort(shown)
	sum := sha256.Sum256([]byte(strings.Join(append(shown, g.style.banner), "\x00")))
	return g.site.Policy.Version + "-" + hex.EncodeToString(sum[:3]), nil
}
