// Package fault hurts the real binary, its files and its PostgreSQL while visitors choose, and then looks at what is left
// (C3, C7): every record that was acknowledged is there once, as it was acknowledged; none was invented; what was erased is
// gone; and the log verifies.
//
// A fleet (process_test.go) is one or several `stile serve`; a crowd (crowd_test.go) is its visitors, over HTTP; a book
// (book_test.go) is what they were told, and holds it against the database. Each scenario draws from a seed that is logged:
//
//	go test ./e2e/fault                        # each fault once
//	go test ./e2e/fault -run Kill -seed 42     # again as it was, as far as a load of many visitors can be repeated
//	make soak SOAK=10m                         # round all of them until the time is up
//
// Where the tests run as root they have a mount namespace of their own, so that a small disk is gone with them.
package fault
