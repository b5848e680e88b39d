// Package e2e drives real browsers against the real binary. What the stand-in third parties received is the oracle: where
// nothing is promised, their log must be empty.
//
// A world (world_test.go) is a running `stile serve`, the example shop under several host names, and the third parties,
// all on loopback; the browser is told to find every host there. Pages and the consent host are on plain HTTP, because
// Chromium caches nothing that came with a certificate it does not know; third parties are on HTTPS, as vendors are.
package e2e
