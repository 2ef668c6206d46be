// Package contract tries azure-sim with Microsoft's own Go client: what that client can't do, or doesn't understand,
// is a fault of azure-sim.
//
// The tests need a running azure-sim with the world of world.yaml, told by environment variables; the Rust test
// tests/tests/contract.rs starts one and runs them:
//
//	cargo test -p azureml-tests contract::
//
// Every answer that a client gets is decoded into the model that the client has for it and encoded again. A field that
// doesn't survive, a value that isn't in the model's enumeration, or a body where none belongs fails the test that asked.
package contract
