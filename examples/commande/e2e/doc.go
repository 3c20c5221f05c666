// Package e2e has no code of its own: its tests run the whole order system, over real HTTP, SMTP and databases and in a real browser, and hold
// it to its promises. The names of tests begin with the fault that they inject, where they inject one.
package e2e
