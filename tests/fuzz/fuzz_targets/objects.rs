//! Objects as the API server may hold them.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_target!(|data: &[u8]| azureml_fuzz::objects::check(data));

fuzz_mutator!(|data: &mut [u8], size: usize, most: usize, seed: u32| {
    azureml_fuzz::mutate::json(data, size, most, seed)
});
