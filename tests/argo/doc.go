// Package argo lets Argo CD's own code judge what this operator ships for it: its Lua engine runs the health scripts, its
// settings reader reads the ConfigMap, its diff engines compare what runs with what was asked for.
//
// The tests of the operator (conditions) and the end-to-end tests (argo_cd) run it; they name in the environment what is
// to be judged.
package argo
