// Package skald runs sagas: business transactions that span several services and either complete or are compensated.
package skald
