package page

import (
	"bytes"
	"mime"

	"golang.org/x/net/html/charset"
)

// Gatable tells whether a page can be gated: it is HTML, in an encoding that writes markup as ASCII does. head is its first
// 1024 bytes, or all of it; contentType the answer's header. ISO-2022-JP, UTF-16 and what browsers refuse to read are not,
// and neither is XHTML, which is no HTML to browsers. Of what is nothing said the first bytes tell.
func Gatable(contentType string, head []byte) bool {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil && kind == "" || kind != "text/html" {
		return false
	}
	_, name, _ := charset.DetermineEncoding(head, contentType)
	switch name {
	case "utf-16be", "utf-16le", "iso-2022-jp", "replacement":
		return false
	}
	// Some browsers guess this one, where the page does not say what it is.
	return params["charset"] != "" || !bytes.Contains(head, []byte("\x1b$"))
}
