//! Durations of manifests and of Azure's wire.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| azureml_fuzz::durations::check(data));
