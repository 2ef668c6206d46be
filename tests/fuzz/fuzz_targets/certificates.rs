//! Certificates, as much as is read of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| azureml_fuzz::certificates::check(data));
