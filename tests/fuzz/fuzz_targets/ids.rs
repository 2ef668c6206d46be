//! ARM ids.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| azureml_fuzz::ids::check(data));
