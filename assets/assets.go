// Package assets holds the browser-side sources: ES modules, each of which exports one function, and style sheets. The
// gate minifies them once and composes answers of them.
package assets

import "embed"

// Files are core.js, act.js, banner.js, dialog.js, shared.css, banner.css, dialog.css, page.css, the layouts and
// stile.d.ts.
//
//go:embed *.js *.css stile.d.ts
var Files embed.FS
