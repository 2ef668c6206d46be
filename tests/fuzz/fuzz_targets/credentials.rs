//! Credentials as Secrets hold them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| azureml_fuzz::credentials::check(data));
